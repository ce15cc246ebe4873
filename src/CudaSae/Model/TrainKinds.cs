using System.Text.Json.Serialization;
using CudaSae.Text;

namespace CudaSae.Model;

/// <summary>The rule by which gradients update the weights.</summary>
[JsonConverter(typeof(NamedEnum<OptimizerKind>))]
public enum OptimizerKind
{
    /// <summary>Adam (Kingma and Ba 2014) with bias correction, without weight decay.</summary>
    Adam,
    /// <summary>Adam that updates neither rows without a gradient nor their moments. It differs from Adam, because
    /// momentum does not move these rows.</summary>
    LazyRowAdam,
    /// <summary>The sign of the momentum (Bernstein et al. 2018, arXiv 1802.04434).</summary>
    Signum,
    /// <summary>Plain gradient descent: the weights change by −LearningRate × gradient. Gradient tests use it to read
    /// gradients.</summary>
    Sgd,
}

/// <summary>The method that clips gradients to <see cref="TrainConfig.ClipNorm"/>, after projection and before the
/// optimizer.</summary>
[JsonConverter(typeof(NamedEnum<ClipKind>))]
public enum ClipKind
{
    /// <summary>Gradients are not clipped.</summary>
    None,
    /// <summary>The gradients of a latent's two rows and bias are clipped by their common norm. This takes one pass and
    /// approximates the global clip.</summary>
    PerRow,
    /// <summary>All gradients are clipped by the norm that the previous step measured. This takes one pass.</summary>
    PreviousNorm,
    /// <summary>All gradients are clipped by the exact norm of this step. The gradients are summed twice, once for the
    /// norm.</summary>
    GlobalNorm,
}

/// <summary>Storage format of weights on a device. The CPU backend always computes on float32.</summary>
[JsonConverter(typeof(NamedEnum<WeightStorage>))]
public enum WeightStorage
{
    /// <summary>float32 as two 16-bit halves; the upper one, rounded, is the bfloat16 operand of the encoder.</summary>
    SplitFloat32,
    /// <summary>bfloat16 with stochastic rounding: half the memory.</summary>
    BFloat16,
}

/// <summary>Value of b_dec at the start.</summary>
[JsonConverter(typeof(NamedEnum<DecoderBiasInit>))]
public enum DecoderBiasInit
{
    /// <summary>b_dec starts at 0.</summary>
    Zero,
    /// <summary>b_dec starts at the mean of the decoder's target, on a sample of the rows.</summary>
    Mean,
    /// <summary>b_dec starts at the geometric median of the decoder's target, on a sample of the rows.</summary>
    GeometricMedian,
}

/// <summary>The treatment of a row that holds NaN or infinity.</summary>
[JsonConverter(typeof(NamedEnum<NonFiniteRows>))]
public enum NonFiniteRows
{
    /// <summary>Training stops with an error that names the file and the row.</summary>
    Stop,
    /// <summary>The row is left out of the run and counted; the next row of the data takes its place in the batch. This
    /// applies to runs that read data.</summary>
    Skip,
    /// <summary>Another row of the same batch replaces the row, which is counted: the nearest finite row before it, or
    /// else the first finite row. This applies to <see cref="SaeTrainer"/>, whose batches have a fixed size.</summary>
    Replace,
}

/// <summary>Distribution from which WDec is drawn at the start.</summary>
[JsonConverter(typeof(NamedEnum<DecoderInit>))]
public enum DecoderInit
{
    /// <summary>Random directions, all of the same norm.</summary>
    Directions,
    /// <summary>Each number uniform in ±1/√d (Anthropic, January 2025, erratum).</summary>
    Uniform,
}

/// <summary>Normalization c of the loss L = c Σ_b ‖e_b‖².</summary>
[JsonConverter(typeof(NamedEnum<LossNormalization>))]
public enum LossNormalization
{
    /// <summary>c = 1 / (B · Var x): the loss is the fraction of variance unexplained.</summary>
    Variance,
    /// <summary>c = 1 / B: the loss is the mean squared distance of a row.</summary>
    Sum,
    /// <summary>c = 1 / (B · d): the loss is the mean squared error of a number.</summary>
    Mean,
}

/// <summary>Storage format of Adam's two moments. The narrow formats round stochastically, by a counter-based generator
/// with a key of seed, step and position.</summary>
[JsonConverter(typeof(NamedEnum<MomentStorage>))]
public enum MomentStorage
{
    /// <summary>float32: 4 bytes a number.</summary>
    Float32,
    /// <summary>bfloat16: 2 bytes a number.</summary>
    BFloat16,
    /// <summary>8 bits a number, with one scale per row. The second moment is stored as its square root.</summary>
    Int8,
}

/// <summary>The method by which an encoder on kernels rules out latents before it computes
/// pre-activations.</summary>
[JsonConverter(typeof(NamedEnum<ScreeningKind>))]
public enum ScreeningKind
{
    /// <summary>The encoder rules out no latents: it computes all pre-activations, in bfloat16.</summary>
    None,
    /// <summary>The encoder rules out most latents by products of 8-bit numbers, with a stated probability of losing an
    /// entry, and computes the others (kernels/screen.cu). This method is for half a million latents and more. It needs
    /// a copy of WEnc with one byte a number.</summary>
    Int8,
}
