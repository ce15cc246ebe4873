using System.Text.Json.Serialization;
using CudaSae.Text;

namespace CudaSae.Model;

// A new kind needs one case here, one in the kernels' select files, one CPU method and one reference method.
/// <summary>The rule that selects the code from a row of pre-activations z.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "kind")]
[JsonDerivedType(typeof(Relu), "relu")]
[JsonDerivedType(typeof(JumpRelu), "jumprelu")]
[JsonDerivedType(typeof(Gated), "gated")]
[JsonDerivedType(typeof(TopK), "topk")]
[JsonDerivedType(typeof(AbsTopK), "abs_topk")]
[JsonDerivedType(typeof(BatchTopK), "batch_topk")]
[JsonDerivedType(typeof(GroupMax), "group_max")]
public abstract record Selection
{
    /// <summary>Keeps z where z > 0 (Bricken et al. 2023, Towards Monosemanticity).</summary>
    /// <param name="Room">Capacity of a row of the sparse path, in entries; a batch with a longer row takes the dense
    /// path.</param>
    public sealed record Relu(int Room = 256) : Selection;

    /// <summary>Keeps z where z > θ_f (Rajamanoharan et al. 2024, arXiv 2407.14435). θ is learned by kernel density
    /// estimation.</summary>
    /// <param name="Kernel">The kernel K of the pseudo-derivatives.</param>
    /// <param name="Bandwidth">ε, in units of z; with <paramref name="AdaptiveBandwidth"/> a multiple of the latent's
    /// running spread of z.</param>
    /// <param name="InitialThreshold">θ at the start of training.</param>
    /// <param name="Form">The quantity that the optimizer updates.</param>
    /// <param name="InputGradient">Whether the step's pseudo-derivative also reaches z (SAELens:
    /// jumprelu_ste_to_input).</param>
    /// <param name="AdaptiveBandwidth">Whether ε_f = <paramref name="Bandwidth"/> · σ_f, where σ_f² is the running
    /// variance of the latent's pre-activations.</param>
    /// <param name="Room">Capacity of a row of the sparse path, in entries; entries within reach of the kernel count
    /// too.</param>
    public sealed record JumpRelu(SmoothingKernel Kernel = SmoothingKernel.Rectangle, float Bandwidth = 0.001f,
        float InitialThreshold = 0.001f,
        ThresholdForm Form = ThresholdForm.Log, bool InputGradient = false, bool AdaptiveBandwidth = false,
        int Room = 256) : Selection;

    /// <summary>Keeps 1[π > 0] relu(e^r (π − b_gate) + b_mag), where π is the pre-activation (Rajamanoharan et al.
    /// 2024, arXiv 2404.16014). The gate is learned from the penalty on relu(π) and from an auxiliary reconstruction by
    /// relu(π).</summary>
    /// <param name="LiveAuxDecoder">Whether the auxiliary reconstruction's gradient reaches WDec and b_dec; the paper
    /// freezes them.</param>
    /// <param name="Rescale">Whether r is learned; otherwise it stays 0.</param>
    /// <param name="Room">Capacity of a row of the sparse path, in entries; a batch with a longer row takes the dense
    /// path.</param>
    public sealed record Gated(bool LiveAuxDecoder = false, bool Rescale = true, int Room = 256) : Selection;

    /// <summary>Keeps the k largest pre-activations of each row, then applies ReLU. Among equal values the lower index
    /// wins (Gao et al. 2024, arXiv 2406.04093).</summary>
    /// <param name="K">k at the end of training.</param>
    /// <param name="InitialK">k at the start, which falls linearly to <paramref name="K"/> over the first
    /// <paramref name="AnnealFraction"/> of the steps; 0 for a constant k.</param>
    /// <param name="AnnealFraction">Share of the steps over which k falls.</param>
    public sealed record TopK(int K, int InitialK = 0, float AnnealFraction = 0.1f) : Selection;

    /// <summary>Keeps the k pre-activations of each row with the largest |z|, with their signs. Among equal magnitudes
    /// the positive value wins, then the lower index.</summary>
    /// <param name="K">Entries per row.</param>
    public sealed record AbsTopK(int K) : Selection;

    /// <summary>Keeps the B·k largest positive pre-activations of the batch, at most <see cref="Capacity"/> of each
    /// row. After training it keeps every z above a running threshold (Bussmann et al. 2024, arXiv
    /// 2412.06410).</summary>
    /// <param name="K">Mean number of active latents per row.</param>
    /// <param name="ThresholdDecay">Decay of the running mean of the smallest kept value.</param>
    public sealed record BatchTopK(int K, float ThresholdDecay = 0.999f) : Selection;

    /// <summary>Keeps the largest pre-activation of each of k equal groups of neighbouring latents, then applies ReLU
    /// (sparsify: groupmax).</summary>
    /// <param name="K">Number of groups, which divides the number of latents.</param>
    public sealed record GroupMax(int K) : Selection;

    /// <summary>Returns the capacity of a row of the sparse code, in entries. For BatchTopK it is eight times the mean,
    /// at most 512.</summary>
    /// <param name="latents">n.</param>
    public int Capacity(int latents) => this switch
    {
        Relu s => Math.Min(latents, s.Room),
        JumpRelu s => Math.Min(latents, s.Room),
        Gated s => Math.Min(latents, s.Room),
        TopK s => Math.Max(s.K, s.InitialK),
        AbsTopK s => s.K,
        BatchTopK s => Math.Min(Math.Max(s.K, Math.Min(8 * s.K, SaeSpec.MaxActive)), latents),
        GroupMax s => s.K,
        _ => throw new SaeException($"selection {GetType().Name} is unknown"),
    };
}

/// <summary>The quantity that JumpReLU's optimizer updates.</summary>
[JsonConverter(typeof(NamedEnum<ThresholdForm>))]
public enum ThresholdForm
{
    /// <summary>t = log θ with the chain rule: pseudo-derivatives are multiplied by θ (arXiv 2407.14435).</summary>
    Log,
    /// <summary>θ itself, kept at 0 or above.</summary>
    Direct,
    /// <summary>t = log θ, where the pseudo-derivative −(θ/ε)K is taken as that of t, without another factor θ
    /// (Anthropic, January 2025).</summary>
    LogUnchained,
}

/// <summary>Kernels of the pseudo-derivatives, each of integral 1 over u = (z − θ)/ε.</summary>
[JsonConverter(typeof(NamedEnum<SmoothingKernel>))]
public enum SmoothingKernel
{
    /// <summary>1 for |u| &lt; ½.</summary>
    Rectangle,
    /// <summary>1 − |u| for |u| &lt; 1.</summary>
    Triangular,
    /// <summary>¾ (1 − u²) for |u| &lt; 1.</summary>
    Epanechnikov,
    /// <summary>15/16 (1 − u²)² for |u| &lt; 1.</summary>
    Biweight,
    /// <summary>exp(−u²/2) / √(2π), cut off at |u| = 4.5.</summary>
    Gaussian,
    /// <summary>(1 + cos πu) / 2 for |u| ≤ 1.</summary>
    Cosine,
    /// <summary>1 / (π (1 + u²)), cut off at |u| = 32.</summary>
    Cauchy,
    /// <summary>½ exp(−|u|/√2) sin(|u|/√2 + π/4), cut off at |u| = 13.</summary>
    Silverman,
}
