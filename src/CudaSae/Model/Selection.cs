using System.Text.Json.Serialization;
using CudaSae.Text;

namespace CudaSae.Model;

/// <summary>What selection keeps of a row of pre-activations z. Adding a kind is one case here, one in the kernels'
/// select files, one CPU method and one
/// reference method.</summary>
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
    /// <summary>z where z > 0 (Bricken et al. 2023, Towards Monosemanticity).</summary>
    /// <param name="Room">Entries that a row of the sparse path holds; a batch with a longer row takes the dense
    /// path.</param>
    public sealed record Relu(int Room = 256) : Selection;

    /// <summary>z where z > θ_f (Rajamanoharan et al. 2024, arXiv 2407.14435). θ learns by kernel density
    /// estimation.</summary>
    /// <param name="Kernel">K of the pseudo-derivatives.</param>
    /// <param name="Bandwidth">ε, in units of z; with <see cref="AdaptiveBandwidth"/> a multiple of the latent's
    /// running spread of z.</param>
    /// <param name="InitialThreshold">θ at the start.</param>
    /// <param name="Form">What the optimizer moves.</param>
    /// <param name="InputGradient">Whether the step's pseudo-derivative also reaches z (SAELens:
    /// jumprelu_ste_to_input).</param>
    /// <param name="AdaptiveBandwidth">ε_f = Bandwidth · σ_f, σ_f² the running variance of the latent's
    /// pre-activations.</param>
    /// <param name="Room">As for <see cref="Relu"/>; entries within reach of the kernel count too.</param>
    public sealed record JumpRelu(SmoothingKernel Kernel = SmoothingKernel.Rectangle, float Bandwidth = 0.001f,
        float InitialThreshold = 0.001f,
        ThresholdForm Form = ThresholdForm.Log, bool InputGradient = false, bool AdaptiveBandwidth = false, int Room = 256) : Selection;

    /// <summary>1[π > 0] relu(e^r (π − b_gate) + b_mag), π the pre-activation (Rajamanoharan et al. 2024, arXiv
    /// 2404.16014). The gate learns from the penalty on
    /// relu(π) and from an auxiliary reconstruction by relu(π).</summary>
    /// <param name="LiveAuxDecoder">Whether the auxiliary reconstruction's gradient reaches WDec and b_dec; the paper
    /// freezes them.</param>
    /// <param name="Rescale">Whether r is learned; otherwise it stays 0.</param>
    public sealed record Gated(bool LiveAuxDecoder = false, bool Rescale = true, int Room = 256) : Selection;

    /// <summary>The k largest pre-activations of each row, then ReLU; of equal ones the lower index (Gao et al. 2024,
    /// arXiv 2406.04093).</summary>
    /// <param name="K">k at the end of training.</param>
    /// <param name="InitialK">k at the start, falling linearly to K over the first <see cref="AnnealFraction"/> of the
    /// steps; 0 for K throughout.</param>
    public sealed record TopK(int K, int InitialK = 0, float AnnealFraction = 0.1f) : Selection;

    /// <summary>The k pre-activations of each row with the largest |z|, signs kept; of equal ones the positive, then
    /// the lower index.</summary>
    public sealed record AbsTopK(int K) : Selection;

    /// <summary>The B·k largest positive pre-activations of the batch, each row giving at most its
    /// <see cref="Capacity"/> largest; afterwards every z above a running threshold
    /// (Bussmann et al. 2024, arXiv 2412.06410).</summary>
    /// <param name="K">k: mean active latents a row.</param>
    /// <param name="ThresholdDecay">Decay of the running mean of the smallest value kept.</param>
    public sealed record BatchTopK(int K, float ThresholdDecay = 0.999f) : Selection;

    /// <summary>The largest pre-activation of each of k equal groups of neighbouring latents, then ReLU (sparsify:
    /// groupmax).</summary>
    public sealed record GroupMax(int K) : Selection;

    /// <summary>Entries a row of the sparse code holds. BatchTopK: eight times the mean, at most 512.</summary>
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

/// <summary>What JumpReLU's optimizer moves.</summary>
[JsonConverter(typeof(NamedEnum<ThresholdForm>))]
public enum ThresholdForm
{
    /// <summary>t = log θ with the chain rule: pseudo-derivatives times θ (arXiv 2407.14435).</summary>
    Log,
    /// <summary>θ itself, kept at 0 or above.</summary>
    Direct,
    /// <summary>t = log θ, the pseudo-derivative −(θ/ε)K taken for t itself, without another factor θ (Anthropic,
    /// January 2025).</summary>
    LogUnchained,
}

/// <summary>Kernels of the pseudo-derivatives, each of integral 1 over u = (z − θ)/ε.</summary>
[JsonConverter(typeof(NamedEnum<SmoothingKernel>))]
public enum SmoothingKernel { Rectangle, Triangular, Epanechnikov, Biweight, Gaussian, Cosine, Cauchy, Silverman }
