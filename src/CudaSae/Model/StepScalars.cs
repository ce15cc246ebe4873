using System.Text.Json.Serialization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using CudaSae.Text;

namespace CudaSae.Model;

/// <summary>The numbers that change with every step. On a device they live in one block that each kernel reads, so that a
/// captured graph need not be captured again. Mirrors <c>StepScalars</c> of kernels/params/step.h.</summary>
[StructLayout(LayoutKind.Sequential, Size = 256)]
struct StepScalars
{
    public ulong Seed;              // of the run
    public uint Step;               // t, from 1
    public uint Abandoned;          // set on the device: a row found no room on the sparse path, so nothing was moved and the dense path follows; one word with Step
    public float LearningRate;      // of this step
    public float Beta1, Beta2, Epsilon;
    public float Correction1;       // 1 / (1 − beta1^t); 1 for Sgd
    public float Correction2;       // 1 / (1 − beta2^t)
    public float InputScale;        // x = InputScale · raw
    public float LossScale;         // c: L = c · Σ‖e‖²
    public float AuxCoefficient;    // α, 0 when there is no auxiliary loss
    public float ClipNorm;          // cut to this norm
    public float EmaDecay;          // 0 for none
    public uint DeadAfterSteps;     // a latent is dead when Step − its last firing ≥ this
    public float Penalty;           // λ / B
    public float Power;             // p of the Lp penalty
    public float NextPower;         // p after its next change, whose penalty is measured too
    public float PreAct;            // λ_P / B
    public float WeightDecay;       // of both matrices, decoupled (AdamW)
    public float TargetScale;       // y = TargetScale · raw target of a transcoder
    public uint K;                  // k of this step, where it is annealed
    public uint Inference;          // 1: BatchTopK keeps what exceeds its running threshold
    public uint Trainable;          // Trainable
    public uint AllDead;            // 1: ghost gradients treat every latent as dead
    public uint PrefixCount;        // Matryoshka's widths of this step, all latents included
    public PrefixWidths Prefix;
    public uint Input;              // which of a backend's inputs holds the batch; set by the backend

    /// <summary>Sixteen widths.</summary>
    [InlineArray(16)]
    public struct PrefixWidths
    {
        uint first;
    }
}

/// <summary>Which parameters the optimizer moves.</summary>
[Flags]
[JsonConverter(typeof(NamedEnum<Trainable>))]
public enum Trainable : uint
{
    None = 0,
    Encoder = 1,            // WEnc
    EncoderBias = 2,        // b_enc, b_gate
    Decoder = 4,            // WDec
    DecoderBias = 8,        // b_dec
    Threshold = 16,         // θ
    MagnitudeBias = 32,     // b_mag
    MagnitudeScale = 64,    // r_mag
    Skip = 128,             // WSkip
    TieScale = 256,
    All = 511,
}
