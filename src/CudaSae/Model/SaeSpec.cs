using System.Text.Json.Serialization;
using CudaSae.Text;

namespace CudaSae.Model;

/// <summary>The architecture and the loss of a sparse autoencoder, transcoder or crosscoder, as data: each field
/// composes with the others where
/// the mathematics allows, and <see cref="Validate"/> refuses the rest. Letters: d input width, n latents, k active
/// latents a row. docs/internals/math.md.</summary>
public sealed record SaeSpec
{
    /// <summary>d: numbers that the encoder reads of one row.</summary>
    public required int InputWidth { get; init; }

    /// <summary>n: width of the dictionary.</summary>
    public required int Latents { get; init; }

    /// <summary>Which pre-activations survive into the code.</summary>
    public required Selection Selection { get; init; }

    /// <summary>What the decoder predicts; null for the encoder's own input.</summary>
    public Transcoding? Transcoder { get; init; }

    /// <summary>A crosscoder's sites: widths that add up to the decoder's output, one decoder norm each. Null for one
    /// site.</summary>
    public int[]? Sites { get; init; }

    /// <summary>Reconstructions from parts of the code that the loss also asks for; null for the whole code
    /// alone.</summary>
    public Nesting? Nested { get; init; }

    /// <summary>Penalty on the code; null for none.</summary>
    public SparsityPenalty? Penalty { get; init; }

    /// <summary>JumpReLU's loss on pre-activations below their threshold; null for none.</summary>
    public PreActLoss? PreAct { get; init; }

    /// <summary>Auxiliary loss that lets dead latents explain the residual; null for none.</summary>
    public AuxLoss? Aux { get; init; }

    /// <summary>Ghost gradients for dead latents; null for none.</summary>
    public GhostGrads? Ghost { get; init; }

    /// <summary>Rows without firing after which a latent counts as dead, where no loss has a number of its own. 0 for
    /// the resampling's window or, without one, for a sixtieth of the run, at most ten million: records of older
    /// versions have none.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public long DeadAfterTokens { get; init; }

    /// <summary>Whether b_dec is subtracted from the input before encoding.</summary>
    public bool PreEncoderBias { get; init; } = true;

    public Tying Tying { get; init; } = Tying.Untied;

    /// <summary>What is kept of the decoder rows' norms.</summary>
    public DecoderNorm DecoderNorm { get; init; } = DecoderNorm.Unit;

    /// <summary>Width of what the decoder predicts.</summary>
    [JsonIgnore]
    public int OutputWidth => Transcoder?.OutputWidth ?? InputWidth;

    /// <summary>Numbers in one row of data: the input, and behind it a transcoder's target.</summary>
    [JsonIgnore]
    public int RowWidth => InputWidth + (Transcoder?.OutputWidth ?? 0);

    /// <summary>Entries that a row of the sparse code has room for.</summary>
    [JsonIgnore]
    public int Active =>
        Selection.Capacity(Latents) is var own && Nested is Nesting.Budgets budgets && Selection is Selection.TopK
            ? Math.Max(own, budgets.Largest) : own;

    /// <summary>k of a finished SAE: of the budget that is evaluated, and after annealing.</summary>
    [JsonIgnore]
    public int ActiveAtInference => this switch
    {
        { Nested: Nesting.Budgets { Report: > 0 } budgets } => budgets.Report,
        { Selection: Selection.TopK { InitialK: > 0 } top } => top.K,
        _ => Active,
    };

    /// <summary>Dead latents that one step looks at, at most: AuxK's or the ghosts' window; 0 with neither.</summary>
    [JsonIgnore]
    public int DeadWindow => Aux?.Capacity(Latents) ?? Math.Min(Latents, Ghost?.Window ?? 0);

    /// <summary>Whether a row may have any number of active latents, so that training may start on the dense
    /// path.</summary>
    [JsonIgnore]
    public bool IsThresholded => Selection is Selection.Relu or Selection.JumpRelu or Selection.Gated;

    /// <summary>Reconstructions that the loss asks for, the whole one included.</summary>
    [JsonIgnore]
    public int Levels => Nested?.Count ?? 1;

    /// <summary>The widest code that the kernels' final select holds in shared memory.</summary>
    public const int MaxActive = 512;

    /// <summary>The widest row of a thresholded code in training; the kernels hold <see cref="MaxActive"/>.</summary>
    public const int MaxRoom = 1 << 14;

    /// <summary>Refuses a combination that cannot be trained, naming the field, its value and its range, or the
    /// reason.</summary>
    /// <exception cref="SaeException">The first field out of range.</exception>
    public SaeSpec Validate()
    {
        SpecRules.Check(this);
        return this;
    }

    /// <summary>The same of a finished SAE, whose rows may have any number of active latents.</summary>
    internal SaeSpec ValidateFinished()
    {
        SpecRules.Check(this, trains: false);
        return this;
    }
}

/// <summary>The decoder predicts another activation than the encoder reads: rows of data hold the input, then the
/// target.</summary>
/// <param name="OutputWidth">Width of the target.</param>
/// <param name="Skip">Adds W_skip x to the prediction (Paulo et al. 2025, arXiv 2501.18823).</param>
public sealed record Transcoding(int OutputWidth, bool Skip = false);

/// <summary>Which weights the encoder and the decoder share.</summary>
[JsonConverter(typeof(NamedEnum<Tying>))]
public enum Tying
{
    Untied,
    /// <summary>WEnc = WDec: one matrix, whose gradient is the sum of both.</summary>
    Tied,
    /// <summary>WEnc_f = s_f WDec_f with one learned scale a latent.</summary>
    Scaled,
}

/// <summary>Constraint on the rows of WDec.</summary>
[JsonConverter(typeof(NamedEnum<DecoderNorm>))]
public enum DecoderNorm
{
    /// <summary>No constraint.</summary>
    Free,
    /// <summary>Unit rows: the gradient's part along a row is removed, and the row is rescaled after the optimizer's
    /// step.</summary>
    Unit,
    /// <summary>Rows of norm at most 1: longer ones are rescaled after the optimizer's step (Anthropic, February
    /// 2024).</summary>
    AtMostOne,
}
