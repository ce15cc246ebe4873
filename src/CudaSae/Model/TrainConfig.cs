using System.Text.Json.Serialization;

namespace CudaSae.Model;

/// <summary>All settings of a run besides the architecture (<see cref="SaeSpec"/>). They are validated once, and saved
/// with the weights.</summary>
public sealed record TrainConfig
{
    /// <summary>B, the number of rows in a batch; 1 to 1,048,576.</summary>
    public int BatchRows { get; init; } = 1024;

    /// <summary>Number of rows to train on, over as many epochs as that takes; at least BatchRows. It is rounded down
    /// to whole batches.</summary>
    public long Vectors { get; init; } = 491_520;

    /// <summary>Seed of the starting weights, the shuffle and stochastic rounding; any value.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>Number of rows in a shuffle window, for data larger than memory (<c>WindowPermutation</c>); at least
    /// twice BatchRows. 0 shuffles all rows, which mixes them best.</summary>
    public long ShuffleWindow { get; init; }

    /// <summary>Learning rate at its peak; above 0, at most 1000.</summary>
    public float LearningRate { get; init; } = 5e-3f;

    /// <summary>Share of the steps, at the start, over which the learning rate rises linearly from 0; 0 to 1. The sum
    /// with <see cref="DecayFraction"/> is at most 1.</summary>
    public float WarmupFraction { get; init; } = 0.02f;

    /// <summary>Share of the steps, at the end, over which the learning rate falls linearly to 0; 0 to 1.</summary>
    public float DecayFraction { get; init; } = 0.8f;

    /// <summary>The rule by which gradients update the weights.</summary>
    public OptimizerKind Optimizer { get; init; } = OptimizerKind.Adam;

    /// <summary>AdamW's decay of both matrices; 0 or more, below 1. Each step applies w −= LearningRate · WeightDecay ·
    /// w. 0 for none.</summary>
    public float WeightDecay { get; init; }

    /// <summary>Storage format of the optimizer's moments.</summary>
    public MomentStorage Moments { get; init; } = MomentStorage.Float32;

    /// <summary>Normalization c of the loss L = c Σ‖e‖², against which penalties are weighed.</summary>
    public LossNormalization LossNormalization { get; init; } = LossNormalization.Variance;

    /// <summary>Parameters that are trained; the others keep their values.</summary>
    public Trainable Trainable { get; init; } = Trainable.All;

    /// <summary>Resampling of dead latents; null for none.</summary>
    public Resampling? Resampling { get; init; }

    /// <summary>Adam's decay of the first moment; 0 or more, below 1. With 0 and <see cref="Lazy"/>, rows without a
    /// gradient cost no time.</summary>
    public float Beta1 { get; init; } = 0.9f;

    /// <summary>Adam's decay of the second moment; 0 or more, below 1.</summary>
    public float Beta2 { get; init; } = 0.999f;

    /// <summary>Adam's ε, which is added to √v̂; 0 or more, below 1.</summary>
    public float Epsilon { get; init; } = 1e-8f;

    /// <summary>Whether only rows with a gradient are updated. The result equals that of Adam if Beta1 is 0; other
    /// values of Beta1 are refused.</summary>
    public bool Lazy { get; init; }

    /// <summary>The method that clips gradients to <see cref="ClipNorm"/>.</summary>
    public ClipKind Clip { get; init; } = ClipKind.None;

    /// <summary>Largest gradient norm that <see cref="Clip"/> lets pass; a finite number above 0.</summary>
    public float ClipNorm { get; init; } = 1f;

    /// <summary>Storage format of the weights on a device.</summary>
    public WeightStorage Storage { get; init; } = WeightStorage.SplitFloat32;

    /// <summary>Decay, per step, of the exponential moving average of the weights, which is saved beside them; 0 or
    /// more, below 1. 0 for none.</summary>
    public float EmaDecay { get; init; }

    /// <summary>Value of b_dec at the start.</summary>
    public DecoderBiasInit DecoderBias { get; init; } = DecoderBiasInit.GeometricMedian;

    /// <summary>Distribution from which WDec is drawn at the start; WEnc is a multiple of WDec.</summary>
    public DecoderInit DecoderInit { get; init; } = DecoderInit.Directions;

    /// <summary>Norm of the rows of WDec at the start, with <see cref="DecoderInit.Directions"/>; above 0, at most
    /// 1e6.</summary>
    public float DecoderInitNorm { get; init; } = 1;

    /// <summary>Norm of the rows of WEnc at the start, which are parallel to those of WDec; 0 to 1e6. With 0, WEnc is
    /// d / n times WDec (Anthropic, January 2025).</summary>
    public float EncoderInitNorm { get; init; } = 0.3f;

    /// <summary>Share of the rows on which each latent fires at the start; 0 or more, below 1. The data determine the
    /// b_enc that achieves it. With 0, b_enc is 0.</summary>
    public double InitialFiringRate { get; init; }

    /// <summary>Whether decoder norms are folded into the encoder when the SAE is saved. The rows of WDec then have
    /// norm 1, and the SAE computes the same function.</summary>
    public bool FoldDecoderNorms { get; init; }

    /// <summary>Decoder norm below which a latent is emptied when the SAE is saved; 0 to 1 (Anthropic, February 2024:
    /// 0.99). 0 for none.</summary>
    public float PruneBelow { get; init; }

    /// <summary>Density of the code above which a thresholded selection takes the dense training path; 0 to 1. The
    /// selection leaves that path at half of this density. 0 for the backend's crossover.</summary>
    public float DenseAbove { get; init; }

    /// <summary>Share of the rows, over 100 steps, from which on a latent is a dense column on a GPU; 0 to 1. Matrix
    /// products then replace gathers, until the share falls to half of this. 0 for off. A gain is predicted from 0.02
    /// on, and not measured. The CPU backend ignores this setting, because its code has no such crossover.</summary>
    public float HotDensity { get; init; }

    /// <summary>Whether inputs are scaled so that E‖x‖ = √d while training. The scale is folded into the weights when
    /// they are saved.</summary>
    public bool ScaleInputs { get; init; } = true;

    /// <summary>The method by which kernels find the largest pre-activations. The CPU backend computes all
    /// pre-activations with either method.</summary>
    public ScreeningKind Screening { get; init; }

    /// <summary>Steps between two dense checks, which compute a batch again by dense products and report the
    /// difference; 0 or more. 0 for none.</summary>
    public int ValidateEvery { get; init; }

    /// <summary>Steps between two lines of metrics.jsonl; 1 or more.</summary>
    public int LogEvery { get; init; } = 10;

    /// <summary>Steps between two checkpoints; 0 or more. 0 for one checkpoint at the end.</summary>
    public int CheckpointEvery { get; init; }

    // The following properties have setters. An older record may lack them. For init-only properties, generated JSON
    // code would then use the default of the type rather than the initializer.

    /// <summary>Number of the newest checkpoints that are kept; 1 or more.</summary>
    public int KeepCheckpoints { get; set; } = 2;

    /// <summary>Whether the checkpoint of the lowest FVU is also kept, as checkpoint/best.safetensors.</summary>
    public bool KeepBest { get; set; } = true;

    /// <summary>Whether checkpoints are written in the background from a copy of the state in host memory, if that
    /// memory suffices for the copy.</summary>
    public bool AsyncCheckpoints { get; set; } = true;

    /// <summary>Steps between two audits of <see cref="Screening"/>; 0 or more. An audit computes the code without
    /// screening too, and counts the entries that screening missed. 0 for none.</summary>
    public int ScreeningAudit { get; set; } = 1000;

    /// <summary>Bytes of device memory for training rows, so that batches are gathered there; 0 for none,
    /// <see cref="AutoPool"/> for a pool in free memory. The setting does not change the result of a run.</summary>
    public long DevicePool { get; set; } = AutoPool;

    /// <summary>Value of <see cref="DevicePool"/> that makes a pool if all rows, or two shuffle windows, fit into the
    /// memory that the run leaves free.</summary>
    public const long AutoPool = -1;

    /// <summary>The treatment of a row that holds NaN or infinity. A run that reads data supports Stop and Skip.
    /// <see cref="SaeTrainer"/>, whose batches come from its caller, supports Stop and Replace.</summary>
    public NonFiniteRows NonFinite { get; init; } = NonFiniteRows.Stop;

    /// <summary>The reaction to a divergence: a loss that is not finite, or that exceeds the limit of
    /// <see cref="SpikeAbove"/>.</summary>
    public DivergenceAction OnDivergence { get; init; } = DivergenceAction.Stop;

    /// <summary>Multiple of the running mean of the loss above which a loss is a divergence; above 1, or 0 for no such
    /// limit.</summary>
    public float SpikeAbove { get; init; }

    /// <summary>Number of steps of the run: Vectors / BatchRows, rounded down.</summary>
    [JsonIgnore]
    public long Steps => Vectors / BatchRows;

    /// <summary>Returns the config if it can be trained with. Messages name the field, its value and its
    /// range.</summary>
    /// <exception cref="SaeException">A field is out of range; names the first one.</exception>
    public TrainConfig Validate()
    {
        foreach (var setting in ConfigSettings.All) setting.Check(this);
        Resampling?.Validate();
        Require(Vectors >= BatchRows, nameof(Vectors), Vectors, $"at least BatchRows = {BatchRows}");
        Require(ShuffleWindow == 0 || ShuffleWindow >= 2L * BatchRows, nameof(ShuffleWindow), ShuffleWindow,
            $"0, or at least twice BatchRows = {BatchRows}");
        Require(WarmupFraction + DecayFraction <= 1.000001f, "WarmupFraction + DecayFraction",
            WarmupFraction + DecayFraction, "at most 1");
        Require(!Lazy
            || Beta1 == 0 && Optimizer == OptimizerKind.Adam && WeightDecay == 0 && Moments == MomentStorage.Float32,
            nameof(Lazy), Lazy,
            "False unless Optimizer = Adam, Moments = Float32, Beta1 = 0 and WeightDecay = 0");
        Require(Moments == MomentStorage.Float32 || Optimizer != OptimizerKind.Sgd, nameof(Moments), Moments,
            "Float32 with Optimizer = Sgd, which has no moments");
        Require(OnDivergence == DivergenceAction.Stop || CheckpointEvery > 0, nameof(CheckpointEvery), CheckpointEvery,
            "1 or more with OnDivergence = Rollback, which goes back to checkpoints");
        return this;
    }

    static void Require(bool good, string field, object value, string range)
    {
        if (!good) throw SettingRange.OutOfRange(field, value, range);
    }
}
