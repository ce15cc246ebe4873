using System.Text.Json.Serialization;
using CudaSae.Text;


namespace CudaSae.Model;

/// <summary>Every number of a run besides the architecture. Validated once, printed at start, saved with the
/// weights.</summary>
public sealed record TrainConfig
{
    /// <summary>B: rows in a batch.</summary>
    public int BatchRows { get; init; } = 1024;

    /// <summary>Rows to see in all, over as many passes as that takes; rounded down to whole batches.</summary>
    public long Vectors { get; init; } = 491_520;

    /// <summary>Seed of the initial weights, the shuffle and stochastic rounding.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>Rows that are shuffled among themselves at a time, for data that are too large to be read in any order:
    /// see <c>WindowPermutation</c>. 0 for all of them, the best mixing.</summary>
    public long ShuffleWindow { get; init; }

    /// <summary>Step size at its peak.</summary>
    public float LearningRate { get; init; } = 5e-3f;

    /// <summary>Share of the steps over which the learning rate rises linearly from 0.</summary>
    public float WarmupFraction { get; init; } = 0.02f;

    /// <summary>Share of the steps, at the end, over which the learning rate falls linearly to 0.</summary>
    public float DecayFraction { get; init; } = 0.8f;

    public OptimizerKind Optimizer { get; init; } = OptimizerKind.Adam;

    /// <summary>AdamW's decay of both matrices, a step: w −= LearningRate · WeightDecay · w. 0 for none.</summary>
    public float WeightDecay { get; init; }

    /// <summary>How the optimizer's moments are held.</summary>
    public MomentStorage Moments { get; init; } = MomentStorage.Float32;

    /// <summary>c of L = c Σ‖e‖²: what penalties are weighed against.</summary>
    public LossNormalization LossNormalization { get; init; } = LossNormalization.Variance;

    /// <summary>Parameters that are trained; the others stay as they are.</summary>
    public Trainable Trainable { get; init; } = Trainable.All;

    /// <summary>Neuron resampling; null for none.</summary>
    public Resampling? Resampling { get; init; }

    /// <summary>Adam's decay of the first moment. 0 with <see cref="Lazy"/> makes untouched rows free.</summary>
    public float Beta1 { get; init; } = 0.9f;

    /// <summary>Adam's decay of the second moment.</summary>
    public float Beta2 { get; init; } = 0.999f;

    /// <summary>Adam's ε, added to √v̂.</summary>
    public float Epsilon { get; init; } = 1e-8f;

    /// <summary>Update only the rows that got a gradient; equal to dense Adam when Beta1 is 0, refused
    /// otherwise.</summary>
    public bool Lazy { get; init; }

    public ClipKind Clip { get; init; } = ClipKind.None;

    /// <summary>Largest gradient norm that <see cref="Clip"/> lets pass.</summary>
    public float ClipNorm { get; init; } = 1f;

    public WeightStorage Storage { get; init; } = WeightStorage.SplitFloat32;

    /// <summary>Decay of the exponential moving average of the weights that is saved beside them; 0 for none.</summary>
    public float EmaDecay { get; init; }

    public DecoderBiasInit DecoderBias { get; init; } = DecoderBiasInit.GeometricMedian;

    /// <summary>How WDec is drawn; WEnc is a multiple of it.</summary>
    public DecoderInit DecoderInit { get; init; } = DecoderInit.Directions;

    /// <summary>Norm of the rows of WDec at the start, with <see cref="DecoderInit.Directions"/>.</summary>
    public float DecoderInitNorm { get; init; } = 1;

    /// <summary>Norm of the rows of WEnc at the start, along those of WDec; 0 for d / n times WDec (Anthropic, January
    /// 2025).</summary>
    public float EncoderInitNorm { get; init; } = 0.3f;

    /// <summary>b_enc at the start is set by the data so that each latent fires on this share of the rows; 0 for b_enc
    /// = 0.</summary>
    public double InitialFiringRate { get; init; }

    /// <summary>Fold decoder norms into the encoder when the SAE is saved: WDec rows become unit, the function
    /// stays.</summary>
    public bool FoldDecoderNorms { get; init; }

    /// <summary>Latents whose decoder norm is below this when the SAE is saved are emptied (Anthropic, February 2024:
    /// 0.99); 0 for none.</summary>
    public float PruneBelow { get; init; }

    /// <summary>Density above which thresholded selections take the dense training path; they leave it at half of
    /// this. 0 for the backend's own crossover.</summary>
    public float DenseAbove { get; init; }

    /// <summary>Share of the rows, over 100 steps, from which on a latent is a dense column on a GPU: matrix products
    /// in place of gathers; it ceases to be one at half of this. 0 for off.
    /// Predicted to pay from 0.02 on, not measured. The CPU backend, whose code has no such crossover, ignores
    /// it.</summary>
    public float HotDensity { get; init; }

    /// <summary>Scale inputs so that E‖x‖ = √d while training; folded into the weights when they are saved.</summary>
    public bool ScaleInputs { get; init; } = true;

    /// <summary>How kernels find the largest pre-activations. The CPU backend computes them all, whatever this
    /// says.</summary>
    public ScreeningKind Screening { get; init; }

    /// <summary>Steps between two dense checks, which compute a batch again by dense products and report the
    /// difference; 0 for none.</summary>
    public int ValidateEvery { get; init; }

    /// <summary>Steps between two lines of the log.</summary>
    public int LogEvery { get; init; } = 10;

    /// <summary>Steps between two checkpoints; 0 for one at the end only.</summary>
    public int CheckpointEvery { get; init; }

    // Setters: generated JSON code gives init-only fields that a run's older record lacks their type's default, not
    // their initializer.

    /// <summary>The newest checkpoints that are kept, at least 1.</summary>
    public int KeepCheckpoints { get; set; } = 2;

    /// <summary>Keep the checkpoint of the lowest FVU as checkpoint/best.safetensors too.</summary>
    public bool KeepBest { get; set; } = true;

    /// <summary>Write checkpoints in the background from a copy of the state in host memory, if there is room for
    /// it.</summary>
    public bool AsyncCheckpoints { get; set; } = true;

    /// <summary>With <see cref="Screening"/>: every so many steps the code is computed without it too, and what it
    /// missed is counted; 0 for never.</summary>
    public int ScreeningAudit { get; set; } = 1000;

    /// <summary>Bytes of device memory in which training rows may lie, so that batches are gathered there:
    /// <see cref="AutoPool"/> for what is free, 0 for none. It changes no bit of a run.</summary>
    public long DevicePool { get; set; } = AutoPool;

    /// <summary>A pool where the rows, or two windows of them, fit into what is free beside the run.</summary>
    public const long AutoPool = -1;

    /// <summary>What to do with a row that holds NaN or infinity. A run that reads data takes Stop and Skip;
    /// SaeTrainer, whose batches come from its caller, takes Stop and Replace.</summary>
    public NonFiniteRows NonFinite { get; init; } = NonFiniteRows.Stop;

    public DivergenceAction OnDivergence { get; init; } = DivergenceAction.Stop;

    /// <summary>A loss of this many times its running mean is a divergence too, besides one that is no number; 0 for no
    /// such limit.</summary>
    public float SpikeAbove { get; init; }

    /// <summary>Steps of the run.</summary>
    [System.Text.Json.Serialization.JsonIgnore]
    public long Steps => Vectors / BatchRows;

    /// <summary>Refuses what cannot be trained, naming the field, its value and its range.</summary>
    /// <exception cref="SaeException">The first field out of range.</exception>
    public TrainConfig Validate()
    {
        Require(BatchRows is >= 1 and <= 1 << 20, nameof(BatchRows), BatchRows, "1 to 1048576");
        Require(Vectors >= BatchRows, nameof(Vectors), Vectors, $"at least BatchRows = {BatchRows}");
        Require(ShuffleWindow == 0 || ShuffleWindow >= 2L * BatchRows, nameof(ShuffleWindow), ShuffleWindow,
            $"0, or at least twice BatchRows = {BatchRows}");
        Require(DevicePool >= AutoPool, nameof(DevicePool), DevicePool, "-1 for auto, 0 for none, or bytes");
        Require(LearningRate is > 0 and <= 1e3f, nameof(LearningRate), LearningRate, "above 0, at most 1000");
        Require(WarmupFraction is >= 0 and <= 1, nameof(WarmupFraction), WarmupFraction, "0 to 1");
        Require(DecayFraction is >= 0 and <= 1, nameof(DecayFraction), DecayFraction, "0 to 1");
        Require(WarmupFraction + DecayFraction <= 1.000001f, "WarmupFraction + DecayFraction",
            WarmupFraction + DecayFraction, "at most 1");
        Require(Beta1 is >= 0 and < 1, nameof(Beta1), Beta1, "0 or more, below 1");
        Require(Beta2 is >= 0 and < 1, nameof(Beta2), Beta2, "0 or more, below 1");
        Require(Epsilon is >= 0 and < 1, nameof(Epsilon), Epsilon, "0 or more, below 1");
        Require(!Lazy
            || Beta1 == 0 && Optimizer == OptimizerKind.Adam && WeightDecay == 0 && Moments == MomentStorage.Float32,
            nameof(Lazy), Lazy,
            "off unless Optimizer is Adam in float32 with Beta1 and WeightDecay 0: only then does it equal Adam");
        Require(WeightDecay is >= 0 and < 1, nameof(WeightDecay), WeightDecay, "0 or more, below 1");
        Require(Moments == MomentStorage.Float32 || Optimizer != OptimizerKind.Sgd, nameof(Moments), Moments,
            "Float32 with Sgd, which has none");
        Require(DecoderInitNorm is > 0 and <= 1e6f, nameof(DecoderInitNorm), DecoderInitNorm, "above 0, at most 1e6");
        Require(InitialFiringRate is >= 0 and < 1, nameof(InitialFiringRate), InitialFiringRate, "0 or more, below 1");
        Require(PruneBelow is >= 0 and <= 1, nameof(PruneBelow), PruneBelow, "0 to 1");
        Require(DenseAbove is >= 0 and <= 1, nameof(DenseAbove), DenseAbove, "0 to 1");
        Require(HotDensity is >= 0 and <= 1, nameof(HotDensity), HotDensity, "0 to 1");
        Resampling?.Validate();
        Require(ClipNorm is > 0 and < float.PositiveInfinity, nameof(ClipNorm), ClipNorm, "a number above 0");
        Require(EmaDecay is >= 0 and < 1, nameof(EmaDecay), EmaDecay, "0 or more, below 1");
        Require(EncoderInitNorm is >= 0 and <= 1e6f, nameof(EncoderInitNorm), EncoderInitNorm, "0 to 1e6");
        Require(ValidateEvery >= 0, nameof(ValidateEvery), ValidateEvery, "0 or more");
        Require(ScreeningAudit >= 0, nameof(ScreeningAudit), ScreeningAudit, "0 or more");
        Require(LogEvery >= 1, nameof(LogEvery), LogEvery, "1 or more");
        Require(CheckpointEvery >= 0, nameof(CheckpointEvery), CheckpointEvery, "0 or more");
        Require(SpikeAbove is 0 or > 1 and < float.PositiveInfinity, nameof(SpikeAbove), SpikeAbove,
            "0, or a number above 1");
        Require(OnDivergence == DivergenceAction.Stop || CheckpointEvery > 0, nameof(CheckpointEvery), CheckpointEvery,
            "1 or more with OnDivergence Rollback, which goes back to checkpoints");
        Require(KeepCheckpoints >= 1, nameof(KeepCheckpoints), KeepCheckpoints, "1 or more");
        Named(Optimizer);
        Named(Moments);
        Named(LossNormalization);
        Named(Clip);
        Named(Storage);
        Named(DecoderBias);
        Named(DecoderInit);
        Named(Screening);
        Named(NonFinite);
        Named(OnDivergence);
        Require((Trainable & ~Trainable.All) == 0, nameof(Trainable), Trainable, EnumNames.Forms(typeof(Trainable)));
        return this;

        static void Named<T>(T value) where T : struct, Enum =>
            Require(Enum.IsDefined(value), typeof(T).Name, value, EnumNames.Forms(typeof(T)));
    }

    static void Require(bool good, string field, object value, string range)
    {
        if (!good)
            throw new SaeException(
                FormattableString.Invariant($"{field} = {value} is out of range: it must be {range}"));
    }
}

[JsonConverter(typeof(NamedEnum<OptimizerKind>))]
public enum OptimizerKind
{
    /// <summary>Adam (Kingma and Ba 2014) with bias correction, no weight decay.</summary>
    Adam,
    /// <summary>Adam that leaves rows without a gradient alone, moments included: not Adam, because momentum no longer
    /// moves them.</summary>
    LazyRowAdam,
    /// <summary>The sign of the momentum (Bernstein et al. 2018, arXiv 1802.04434).</summary>
    Signum,
    /// <summary>Plain gradient descent: the weights move by −LearningRate × gradient. Gradient tests read gradients
    /// through it.</summary>
    Sgd,
}

/// <summary>Where a gradient is cut to <see cref="TrainConfig.ClipNorm"/>, after projection and before Adam.</summary>
[JsonConverter(typeof(NamedEnum<ClipKind>))]
public enum ClipKind
{
    None,
    /// <summary>Each latent's pair of rows and bias by its own norm: one pass, an approximation of the global
    /// clip.</summary>
    PerRow,
    /// <summary>Everything by the norm that the previous step measured: one pass.</summary>
    PreviousNorm,
    /// <summary>Everything by this step's norm, exactly: the gradients are summed twice, once for the norm.</summary>
    GlobalNorm,
}

/// <summary>How a device holds weights. The CPU backend always computes on float32.</summary>
[JsonConverter(typeof(NamedEnum<WeightStorage>))]
public enum WeightStorage
{
    /// <summary>float32 as two 16-bit halves; the upper one, rounded, is the bfloat16 operand of the encoder.</summary>
    SplitFloat32,
    /// <summary>bfloat16 with stochastic rounding: half the memory.</summary>
    BFloat16,
}

[JsonConverter(typeof(NamedEnum<DecoderBiasInit>))]
public enum DecoderBiasInit { Zero, Mean, GeometricMedian }

/// <summary>What to do with a row that holds NaN or infinity.</summary>
[JsonConverter(typeof(NamedEnum<NonFiniteRows>))]
public enum NonFiniteRows
{
    /// <summary>Stop with an error that names the file and the row.</summary>
    Stop,
    /// <summary>Leave the row out of the run, and count it: the next row of the data takes its place in the batch.
    /// For runs that read data.</summary>
    Skip,
    /// <summary>Train on another row of the same batch in its place, and count it: on the nearest finite row before
    /// it, or else on the first finite row. For SaeTrainer, whose batches have a fixed size.</summary>
    Replace,
}

[JsonConverter(typeof(NamedEnum<DecoderInit>))]
public enum DecoderInit
{
    /// <summary>Random directions of one norm.</summary>
    Directions,
    /// <summary>Each number uniform in ±1/√d (Anthropic, January 2025, erratum).</summary>
    Uniform,
}

/// <summary>c of L = c Σ_b ‖e_b‖².</summary>
[JsonConverter(typeof(NamedEnum<LossNormalization>))]
public enum LossNormalization
{
    /// <summary>1 / (B · Var x): the fraction of variance unexplained.</summary>
    Variance,
    /// <summary>1 / B: squared distance of a row.</summary>
    Sum,
    /// <summary>1 / (B · d).</summary>
    Mean,
}

/// <summary>Formats of Adam's two moments. The narrow ones round stochastically, by a counter keyed on seed, step and
/// place.</summary>
[JsonConverter(typeof(NamedEnum<MomentStorage>))]
public enum MomentStorage
{
    Float32,
    BFloat16,
    /// <summary>Eight bits with one scale a row; the second moment as its square root.</summary>
    Int8,
}

/// <summary>What an encoder on kernels does before it computes pre-activations.</summary>
[JsonConverter(typeof(NamedEnum<ScreeningKind>))]
public enum ScreeningKind
{
    /// <summary>Nothing: it computes them all, in bfloat16.</summary>
    None,
    /// <summary>Rules out most of them by products of 8-bit numbers, with a stated chance of losing an entry, and
    /// computes the rest (kernels/screen.cu). For dictionaries of half a million latents
    /// and more; takes a copy of WEnc of a byte a number.</summary>
    Int8,
}
