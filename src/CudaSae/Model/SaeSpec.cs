using System.Text.Json.Serialization;
using CudaSae.Text;

namespace CudaSae.Model;

/// <summary>The architecture and the loss of a sparse autoencoder, transcoder or crosscoder, as data. Fields combine
/// freely as far as the mathematics allows, and <see cref="Validate"/> refuses the rest. Letters: d input width, n
/// latents, k active latents per row. docs/internals/math.md has the formulas.</summary>
public sealed record SaeSpec
{
    /// <summary>d: the width of the encoder's input.</summary>
    public required int InputWidth { get; init; }

    /// <summary>n: the number of latents.</summary>
    public required int Latents { get; init; }

    /// <summary>The rule that selects the pre-activations of the code.</summary>
    public required Selection Selection { get; init; }

    /// <summary>The target that the decoder predicts; null for the encoder's input.</summary>
    public Transcoding? Transcoder { get; init; }

    /// <summary>Widths of a crosscoder's sites, which add up to the decoder's output. Each site has its own decoder
    /// norm. Null for one site.</summary>
    public int[]? Sites { get; init; }

    /// <summary>Additional reconstructions in the loss from parts of the code; null for none.</summary>
    public Nesting? Nested { get; init; }

    /// <summary>Penalty on the code; null for none.</summary>
    public SparsityPenalty? Penalty { get; init; }

    /// <summary>JumpReLU's loss on pre-activations below their threshold; null for none.</summary>
    public PreActLoss? PreAct { get; init; }

    /// <summary>Auxiliary loss by which dead latents reconstruct the residual; null for none.</summary>
    public AuxLoss? Aux { get; init; }

    /// <summary>Ghost gradients for dead latents; null for none.</summary>
    public GhostGrads? Ghost { get; init; }

    /// <summary>Rows without firing after which a latent counts as dead, if no loss defines a number. 0 selects the
    /// window of resampling or, without resampling, a sixtieth of the run, at most ten million. Records of older
    /// versions lack this field.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public long DeadAfterTokens { get; init; }

    /// <summary>Whether b_dec is subtracted from the input before encoding.</summary>
    public bool PreEncoderBias { get; init; } = true;

    /// <summary>The weights that the encoder and the decoder share.</summary>
    public Tying Tying { get; init; } = Tying.Untied;

    /// <summary>Constraint on the norms of the decoder's rows.</summary>
    public DecoderNorm DecoderNorm { get; init; } = DecoderNorm.Unit;

    /// <summary>Width of the decoder's prediction.</summary>
    [JsonIgnore]
    public int OutputWidth => Transcoder?.OutputWidth ?? InputWidth;

    /// <summary>Width of one row of data: the input, followed by a transcoder's target.</summary>
    [JsonIgnore]
    public int RowWidth => InputWidth + (Transcoder?.OutputWidth ?? 0);

    /// <summary>Capacity of a row of the sparse code, in entries.</summary>
    [JsonIgnore]
    public int Active =>
        Selection.Capacity(Latents) is var own && Nested is Nesting.Budgets budgets && Selection is Selection.TopK
            ? Math.Max(own, budgets.Largest) : own;

    /// <summary>Entries per row of a finished SAE: the budget that is evaluated, and k after annealing.</summary>
    [JsonIgnore]
    public int ActiveAtInference => this switch
    {
        { Nested: Nesting.Budgets { Report: > 0 } budgets } => budgets.Report,
        { Selection: Selection.TopK { InitialK: > 0 } top } => top.K,
        _ => Active,
    };

    /// <summary>The most dead latents that one step considers: the window of AuxK or of ghost gradients; 0 with
    /// neither.</summary>
    [JsonIgnore]
    public int DeadWindow => Aux?.Capacity(Latents) ?? Math.Min(Latents, Ghost?.Window ?? 0);

    /// <summary>Whether a row may have any number of active latents, so that training may start on the dense
    /// path.</summary>
    [JsonIgnore]
    public bool IsThresholded => Selection is Selection.Relu or Selection.JumpRelu or Selection.Gated;

    /// <summary>Number of reconstructions in the loss, including the one by the whole code.</summary>
    [JsonIgnore]
    public int Levels => Nested?.Count ?? 1;

    /// <summary>The widest code that the kernels' final select holds in shared memory.</summary>
    public const int MaxActive = 512;

    /// <summary>The widest row of a thresholded code in training; the kernels hold <see cref="MaxActive"/>.</summary>
    public const int MaxRoom = 1 << 14;

    /// <summary>Refuses a combination that cannot be trained. The message names the field, its value and its range, or
    /// the reason.</summary>
    /// <returns>This spec.</returns>
    /// <exception cref="SaeException">A field is out of range, or fields contradict each other.</exception>
    public SaeSpec Validate()
    {
        SpecRules.Check(this);
        return this;
    }

    /// <summary>Validates the spec of a finished SAE, whose rows may have any number of active latents.</summary>
    internal SaeSpec ValidateFinished()
    {
        SpecRules.Check(this, trains: false);
        return this;
    }
}

/// <summary>A decoder target other than the encoder's input. A row of data holds the input, then the target.</summary>
/// <param name="OutputWidth">Width of the target.</param>
/// <param name="Skip">Whether the prediction includes W_skip x (Paulo et al. 2025, arXiv 2501.18823).</param>
public sealed record Transcoding(int OutputWidth, bool Skip = false);

/// <summary>The weights that the encoder and the decoder share.</summary>
[JsonConverter(typeof(NamedEnum<Tying>))]
public enum Tying
{
    /// <summary>The encoder and the decoder have separate weights.</summary>
    Untied,
    /// <summary>WEnc = WDec: there is one matrix, whose gradient is the sum of both.</summary>
    Tied,
    /// <summary>WEnc_f = s_f WDec_f, with one learned scale per latent.</summary>
    Scaled,
}

/// <summary>Constraint on the rows of WDec.</summary>
[JsonConverter(typeof(NamedEnum<DecoderNorm>))]
public enum DecoderNorm
{
    /// <summary>The norms are free.</summary>
    Free,
    /// <summary>Rows have norm 1: the gradient's component along a row is removed, and the row is rescaled after the
    /// optimizer's step.</summary>
    Unit,
    /// <summary>Rows have norm at most 1: longer rows are rescaled after the optimizer's step (Anthropic, February
    /// 2024).</summary>
    AtMostOne,
}
