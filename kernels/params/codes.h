// Codes of the spec and the configuration as the kernels read them. build/border.sh generates the enums in C#, except
// those that are written by hand there. LayoutTests compares the names and values of all of them.
#pragma once
#include <cstdint>

// How a row's code is selected, where the formulas of an entry depend on it.
enum class SelectionCode : int32_t {
    Bounded = 0,    // at most k entries a row: TopK and its variants
    Relu = 1,
    JumpRelu = 2,
    Gated = 3,
};

// The sparsity penalty of a loss.
enum class PenaltyCode : int32_t {
    None = 0,
    L1 = 1,
    Tanh = 2,
    Lp = 3,
    L0 = 4,
    TargetL0 = 5,
};

// The latents to which the pre-activation loss applies.
enum class PreActCode : int32_t {
    None = 0,
    All = 1,
    Dead = 2,
};

// The index of a product's operand B that a list replaces.
enum class GatherCode : int32_t {
    None = 0,
    K = 1,
    N = 2,
};

// K(u), which stands for the derivative of a JumpReLU threshold. In C# by hand: Model.
enum class SmoothingKernel : int32_t {
    Rectangle = 0,
    Triangular = 1,
    Epanechnikov = 2,
    Biweight = 3,
    Gaussian = 4,
    Cosine = 5,
    Cauchy = 6,
    Silverman = 7,
};

// How theta is stored, and what its gradient contains. In C# by hand: Model.
enum class ThresholdForm : int32_t {
    Log = 0,
    Direct = 1,
    LogUnchained = 2,
};

// What the penalty of an entry is multiplied by. In C# by hand: Model.
enum class PenaltyWeight : int32_t {
    One = 0,
    DecoderNorm = 1,
    DecoderNormDetached = 2,
};

// The relation of the encoder's weights to the decoder's. In C# by hand: Model.
enum class Tying : int32_t {
    Untied = 0,
    Tied = 1,
    Scaled = 2,
};

// The constraint on the rows of the decoder. In C# by hand: Model.
enum class DecoderNorm : int32_t {
    Free = 0,
    Unit = 1,
    AtMostOne = 2,
};

// In C# by hand: Model.
enum class OptimizerKind : int32_t {
    Adam = 0,
    LazyRowAdam = 1,
    Signum = 2,
    Sgd = 3,
};

// How the moments of matrices are stored. In C# by hand: Model.
enum class MomentStorage : int32_t {
    Float32 = 0,
    BFloat16 = 1,
    Int8 = 2,
};

// The parameters that the optimizer moves, one bit each. In C# by hand: Model.
enum class Trainable : uint32_t {
    None = 0,
    Encoder = 1,
    EncoderBias = 2,
    Decoder = 4,
    DecoderBias = 8,
    Threshold = 16,
    MagnitudeBias = 32,
    MagnitudeScale = 64,
    Skip = 128,
    TieScale = 256,
    All = 511,
};

// The type of the numbers of the data. In C# by hand: Numerics.
enum class InputType : int32_t {
    Float32 = 0,
    Float16 = 1,
    BFloat16 = 2,
};
