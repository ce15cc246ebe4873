using System.Text.Json.Serialization;
using CudaSae.Text;

namespace CudaSae.Model;

/// <summary>Additional reconstructions in the loss, each from a part of the code. The last one uses the whole
/// code.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "kind")]
[JsonDerivedType(typeof(Prefixes), "prefixes")]
[JsonDerivedType(typeof(Budgets), "budgets")]
public abstract record Nesting
{
    /// <summary>Matryoshka (Bussmann et al. 2025, arXiv 2503.17547): reconstructions by the first Widths[m] latents.
    /// The last reconstruction, by all n, is added to them.</summary>
    /// <param name="Widths">Ascending numbers of latents; with <paramref name="Random"/> only the number of widths
    /// matters.</param>
    /// <param name="Random">Whether widths are drawn in each step, log-uniform between 1/64 of the latents and
    /// all.</param>
    /// <param name="Mean">Whether the losses are averaged (dictionary_learning) or summed (SAELens).</param>
    public sealed record Prefixes(int[] Widths, bool Random = false, bool Mean = false) : Nesting
    {
        /// <summary>Compares the widths by value.</summary>
        public bool Equals(Prefixes? other) =>
            other is not null && Random == other.Random && Mean == other.Mean
                && Widths.AsSpan().SequenceEqual(other.Widths);
        /// <inheritdoc/>
        public override int GetHashCode() => HashCode.Combine(Widths.Length, Random, Mean);
    }

    /// <summary>Reconstructions by the Ks[m] largest of a row's entries. Multi-TopK (arXiv 2406.04093): k and 4k with
    /// weights 1 and 1/8; HierarchicalTopK (Balagansky et al. 2025, arXiv 2505.24473): 1 to k.</summary>
    /// <param name="Ks">Ascending numbers of entries.</param>
    /// <param name="Weights">Weight of each budget's loss.</param>
    /// <param name="Report">The budget whose reconstruction is evaluated; 0 selects the largest.</param>
    public sealed record Budgets(int[] Ks, float[] Weights, int Report = 0) : Nesting
    {
        /// <summary>The largest budget; 0 without budgets.</summary>
        [JsonIgnore]
        public int Largest => Ks.Length > 0 ? Ks[^1] : 0;

        /// <summary>Compares the budgets and weights by value.</summary>
        public bool Equals(Budgets? other) =>
            other is not null && Report == other.Report && Ks.AsSpan().SequenceEqual(other.Ks)
                && Weights.AsSpan().SequenceEqual(other.Weights);
        /// <inheritdoc/>
        public override int GetHashCode() => HashCode.Combine(Ks.Length, Largest, Report);
    }

    /// <summary>Number of reconstructions, including the one by the whole code.</summary>
    [JsonIgnore]
    public int Count => this switch { Prefixes p => p.Widths.Length + 1, Budgets b => b.Ks.Length, _ => 1 };
}

/// <summary>A penalty on the code, summed over latents, averaged over rows, times λ. f is a value of the code (relu(π)
/// for Gated); <see cref="Weight"/> defines ω.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "kind")]
[JsonDerivedType(typeof(L1), "l1")]
[JsonDerivedType(typeof(Tanh), "tanh")]
[JsonDerivedType(typeof(Lp), "lp")]
[JsonDerivedType(typeof(L0), "l0")]
[JsonDerivedType(typeof(TargetL0), "target_l0")]
public abstract record SparsityPenalty
{
    /// <summary>λ at its peak.</summary>
    public required float Coefficient { get; init; }

    /// <summary>Share of the steps over which λ rises linearly from 0.</summary>
    public float WarmupFraction { get; init; } = 0.05f;

    /// <summary>The factor ω of each latent's value.</summary>
    public PenaltyWeight Weight { get; init; } = PenaltyWeight.One;

    /// <summary>Σ f ω.</summary>
    public sealed record L1 : SparsityPenalty;

    /// <summary>Σ tanh(s · f ω) with s = <paramref name="Scale"/> (Anthropic, February 2024 and January 2025): slope s
    /// at 0, at most 1.</summary>
    /// <param name="Scale">Factor within the tanh.</param>
    public sealed record Tanh(float Scale = 4) : SparsityPenalty;

    /// <summary>Σ (f ω)^p, p falling linearly from 1 to <paramref name="Power"/> between two shares of the steps
    /// (Karvonen et al. 2024, arXiv 2408.00113: p-annealing). At each change of p, λ is rescaled so that the penalty of
    /// the last ten batches stays the same.</summary>
    /// <param name="Power">p at the end.</param>
    /// <param name="AnnealFrom">Share of the steps before the first change.</param>
    /// <param name="AnnealTo">Share of the steps by which p has reached <paramref name="Power"/>.</param>
    /// <param name="Changes">Number of equal steps in which p falls.</param>
    public sealed record Lp(float Power = 0.2f, float AnnealFrom = 0.2f, float AnnealTo = 0.9f, int Changes = 10)
        : SparsityPenalty;

    /// <summary>Σ 1[z > θ], for JumpReLU only. Its gradient reaches only θ, through the kernel.</summary>
    public sealed record L0 : SparsityPenalty;

    /// <summary>(L0 / <paramref name="Target"/> − 1)² with L0 the batch's mean, for JumpReLU only.</summary>
    /// <param name="Target">Mean number of active latents per row to reach.</param>
    public sealed record TargetL0(float Target) : SparsityPenalty;
}

/// <summary>The factor ω of a penalty.</summary>
[JsonConverter(typeof(NamedEnum<PenaltyWeight>))]
public enum PenaltyWeight
{
    /// <summary>ω = 1.</summary>
    One,
    /// <summary>ω = ‖WDec_f‖, summed over sites; the gradient reaches the norm (Anthropic, April 2024).</summary>
    DecoderNorm,
    /// <summary>ω = ‖WDec_f‖ as a constant, without a gradient.</summary>
    DecoderNormDetached,
}

/// <summary>λ_P Σ relu(θ_f − z) ‖WDec_f‖, averaged over rows (Anthropic, January 2025).</summary>
/// <param name="Coefficient">λ_P.</param>
/// <param name="DeadOnly">Whether the sum is over dead latents only (SAELens) or over all.</param>
/// <param name="DeadAfterTokens">Rows without firing after which a latent is dead.</param>
public sealed record PreActLoss(float Coefficient = 3e-6f, bool DeadOnly = false, long DeadAfterTokens = 10_000_000);

/// <summary>AuxK (arXiv 2406.04093 §A.2): the k dead latents with the largest pre-activations reconstruct the
/// residual.</summary>
/// <param name="K">Dead latents per row. While fewer are dead, all of them are used and the term is scaled by dead /
/// <paramref name="K"/>.</param>
/// <param name="Coefficient">α, the weight of ‖ê + e‖² / Var(e) in the loss, with e = x̂ − y.</param>
/// <param name="DeadAfterTokens">Rows without firing after which a latent is dead.</param>
/// <param name="Relu">Whether the chosen pre-activations pass a ReLU, as in OpenAI's trainer, or not, as in
/// SAELens.</param>
public sealed record AuxLoss(int K, float Coefficient, long DeadAfterTokens, bool Relu = true)
{
    /// <summary>Returns the most dead latents that one step considers. If more are dead, a window of this size moves
    /// through them.</summary>
    /// <param name="latents">n.</param>
    public int Capacity(int latents) => Math.Min(latents, (Math.Max(4 * K, 1024) + 63) & ~63);
}

/// <summary>Ghost gradients (Anthropic, January 2024): dead latents, through exp(z), reconstruct the residual. Their
/// output is scaled to half its norm, and the term is scaled to the main error.</summary>
/// <param name="DeadAfterTokens">Rows without firing after which a latent is dead.</param>
/// <param name="AllFirstSteps">Number of first steps in which all latents count as dead (the variant of February
/// 2024).</param>
/// <param name="Window">The most dead latents that one step considers. If more are dead, a window of this size moves
/// through them.</param>
public sealed record GhostGrads(long DeadAfterTokens, int AllFirstSteps = 0, int Window = 4096);
