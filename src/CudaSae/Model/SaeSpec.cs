using System.Text.Json.Serialization;

namespace CudaSae.Model;

/// <summary>The architecture of a sparse autoencoder, as data. Letters: d input width, n latents, k active latents a row.</summary>
public sealed record SaeSpec
{
    /// <summary>d: numbers in one activation vector.</summary>
    public required int InputWidth { get; init; }

    /// <summary>n: width of the dictionary.</summary>
    public required int Latents { get; init; }

    /// <summary>Which pre-activations survive into the code.</summary>
    public required Selection Selection { get; init; }

    /// <summary>Auxiliary loss that lets dead latents explain the residual; null for none.</summary>
    public AuxLoss? Aux { get; init; }

    /// <summary>What is kept of the decoder rows' norms.</summary>
    public DecoderNorm DecoderNorm { get; init; } = DecoderNorm.Unit;

    /// <summary>k: entries of the code in every row.</summary>
    [JsonIgnore]
    public int Active => Selection switch
    {
        Selection.TopK top => top.K,
        _ => throw new SaeException($"selection {Selection.GetType().Name} is not built yet; use TopK"),
    };

    /// <summary>Refuses a combination that cannot be trained, naming the field, its value and its range.</summary>
    /// <exception cref="SaeException">The first field out of range.</exception>
    public SaeSpec Validate()
    {
        Require(InputWidth is >= 1 and <= 16384, nameof(InputWidth), InputWidth, "1 to 16384");
        Require(Latents is >= 1 and <= 1 << 26, nameof(Latents), Latents, "1 to 67108864");
        Require(Active >= 1 && Active <= Latents, "K", Active, $"1 to Latents = {Latents}");
        Require(Active <= MaxActive, "K", Active, $"1 to {MaxActive}");
        if (Aux is { } aux)
        {
            Require(aux.K is >= 1 and <= MaxActive, "Aux.K", aux.K, $"1 to {MaxActive}");
            Require(aux.Coefficient is >= 0 and <= 1e6f, "Aux.Coefficient", aux.Coefficient, "0 to 1e6");
            Require(aux.DeadAfterTokens >= 1, "Aux.DeadAfterTokens", aux.DeadAfterTokens, "1 or more");
        }
        return this;
    }

    /// <summary>The widest selection that the kernels' final select holds in shared memory.</summary>
    public const int MaxActive = 512;

    static void Require(bool good, string field, object value, string range)
    {
        if (!good) throw new SaeException($"{field} = {value} is out of range: it must be {range}");
    }
}

/// <summary>What selection keeps of a row of pre-activations.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "kind")]
[JsonDerivedType(typeof(TopK), "topk")]
public abstract record Selection
{
    /// <summary>The k largest pre-activations of each row, then ReLU; of equal ones the lower index (Gao et al. 2024, arXiv 2406.04093).</summary>
    public sealed record TopK(int K) : Selection;
}

/// <summary>AuxK (arXiv 2406.04093 §A.2): the k dead latents with the largest pre-activations reconstruct the residual.</summary>
/// <param name="K">Dead latents a row; all of them while fewer are dead, the term then scaled by dead / K.</param>
/// <param name="Coefficient">α, the weight of ‖e − ê‖² / Var(e) in the loss.</param>
/// <param name="DeadAfterTokens">A latent is dead when it has not fired for this many rows.</param>
/// <param name="Relu">Whether the chosen pre-activations pass a ReLU, as in OpenAI's trainer, or not, as in SAELens'.</param>
public sealed record AuxLoss(int K, float Coefficient, long DeadAfterTokens, bool Relu = true)
{
    /// <summary>Dead latents that one step looks at; when more are dead, a window of this many moves through them.</summary>
    public int Capacity(int latents) => Math.Min(latents, (Math.Max(4 * K, 1024) + 63) & ~63);
}

/// <summary>Constraint on the rows of WDec.</summary>
public enum DecoderNorm
{
    /// <summary>No constraint.</summary>
    Free,
    /// <summary>Unit rows: the gradient's part along a row is removed, and the row is rescaled after Adam.</summary>
    Unit,
}
