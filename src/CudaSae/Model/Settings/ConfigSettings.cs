using static CudaSae.Model.SettingRange;

namespace CudaSae.Model;

/// <summary>The table of settings: every field of <see cref="TrainConfig"/> once, in the record's order.</summary>
static partial class ConfigSettings
{
    public static readonly IReadOnlyList<ConfigSetting> All =
        [.. Run(), .. Optimizer(), .. Start(), .. Paths(), .. Output()];

    static readonly Dictionary<string, ConfigSetting> ByField = All.ToDictionary(setting => setting.Field);

    /// <summary>The setting of a field in snake_case; null where there is none.</summary>
    public static ConfigSetting? Of(string field) => ByField.GetValueOrDefault(field);

    static ConfigSetting[] Run() =>
    [
        new ConfigSetting<int>(nameof(TrainConfig.BatchRows), c => c.BatchRows, (c, v) => c with { BatchRows = v },
            "B: rows in a batch")
            { Unit = "rows", Values = Between(1, 1 << 20), Resume = ResumeRule.Rows },
        new ConfigSetting<long>(nameof(TrainConfig.Vectors), c => c.Vectors, (c, v) => c with { Vectors = v },
            "rows to train on, over as many epochs as that takes")
            { Unit = "rows", Values = AtLeast(1L), Resume = ResumeRule.FreeAndKept },
        new ConfigSetting<ulong>(nameof(TrainConfig.Seed), c => c.Seed, (c, v) => c with { Seed = v },
            "seed of the weights, the shuffle and the rounding") { Resume = ResumeRule.Rows },
        new ConfigSetting<long>(nameof(TrainConfig.ShuffleWindow), c => c.ShuffleWindow,
            (c, v) => c with { ShuffleWindow = v },
            "rows of a shuffle window, for data larger than memory; 0 for a shuffle of all rows")
            { Unit = "rows", Values = AtLeast(0L), Resume = ResumeRule.Rows },
        new ConfigSetting<long>(nameof(TrainConfig.DevicePool), c => c.DevicePool, (c, v) => c with { DevicePool = v },
            "device memory for training rows, so that batches are gathered there: auto for what is free, off, or bytes "
            + "such as 16GiB; a run alone has one, the SAEs of a sweep share batches of the host")
        {
            Unit = "bytes", Values = AtLeast(TrainConfig.AutoPool, "-1 for auto, 0 for none, or bytes"),
            Resume = ResumeRule.Free,
        },
        new ConfigSetting<NonFiniteRows>(nameof(TrainConfig.NonFinite), c => c.NonFinite,
            (c, v) => c with { NonFinite = v },
            "rows with NaN or infinity: stop with an error, or skip to leave them out") { Resume = ResumeRule.Free },
    ];

    static ConfigSetting[] Optimizer() =>
    [
        new ConfigSetting<float>(nameof(TrainConfig.LearningRate), c => c.LearningRate,
            (c, v) => c with { LearningRate = v },
            "learning rate at its peak")
            { Values = Above0(1e3f, "above 0, at most 1000"), Resume = ResumeRule.Free },
        new ConfigSetting<float>(nameof(TrainConfig.WarmupFraction), c => c.WarmupFraction,
            (c, v) => c with { WarmupFraction = v }, "share of the steps over which the learning rate rises")
            { Values = Between(0f, 1f), Resume = ResumeRule.Free },
        new ConfigSetting<float>(nameof(TrainConfig.DecayFraction), c => c.DecayFraction,
            (c, v) => c with { DecayFraction = v },
            "share of the steps, at the end, over which the learning rate falls to 0")
            { Values = Between(0f, 1f), Resume = ResumeRule.Free },
        new ConfigSetting<OptimizerKind>(nameof(TrainConfig.Optimizer), c => c.Optimizer,
            (c, v) => c with { Optimizer = v },
            "the rule that moves the weights") { Resume = ResumeRule.Moments },
        new ConfigSetting<float>(nameof(TrainConfig.Beta1), c => c.Beta1, (c, v) => c with { Beta1 = v },
            "Adam's decay of the first moment") { Values = FromZeroBelowOne(0f, 1f), Resume = ResumeRule.Moments },
        new ConfigSetting<float>(nameof(TrainConfig.Beta2), c => c.Beta2, (c, v) => c with { Beta2 = v },
            "Adam's decay of the second moment") { Values = FromZeroBelowOne(0f, 1f), Resume = ResumeRule.Moments },
        new ConfigSetting<float>(nameof(TrainConfig.Epsilon), c => c.Epsilon, (c, v) => c with { Epsilon = v },
            "Adam's epsilon") { Values = FromZeroBelowOne(0f, 1f), Resume = ResumeRule.Moments },
        new ConfigSetting<float>(nameof(TrainConfig.WeightDecay), c => c.WeightDecay,
            (c, v) => c with { WeightDecay = v },
            "AdamW's decay of both matrices")
            { Values = FromZeroBelowOne(0f, 1f), Resume = ResumeRule.Free },
        new ConfigSetting<MomentStorage>(nameof(TrainConfig.Moments), c => c.Moments, (c, v) => c with { Moments = v },
            "storage of the optimizer's moments") { Resume = ResumeRule.Arrays },
        new ConfigSetting<bool>(nameof(TrainConfig.Lazy), c => c.Lazy, (c, v) => c with { Lazy = v },
            "update touched rows only; equal to Adam with Beta1 = 0") { Resume = ResumeRule.Arrays },
        new ConfigSetting<ClipKind>(nameof(TrainConfig.Clip), c => c.Clip, (c, v) => c with { Clip = v },
            "gradient clipping: by row, by the norm of the last step, or of this one") { Resume = ResumeRule.Free },
        new ConfigSetting<float>(nameof(TrainConfig.ClipNorm), c => c.ClipNorm, (c, v) => c with { ClipNorm = v },
            "largest gradient norm that clipping lets pass")
        {
            Values = new("a number above 0", 0, 1e6f, value => value > 0 && float.IsFinite(value)),
            Resume = ResumeRule.Free,
        },
        new ConfigSetting<LossNormalization>(nameof(TrainConfig.LossNormalization), c => c.LossNormalization,
            (c, v) => c with { LossNormalization = v },
            "c of the loss c Σ‖e‖², against which penalties are weighed")
            { HasOption = false, Resume = ResumeRule.Loss },
        new ConfigSetting<Trainable>(nameof(TrainConfig.Trainable), c => c.Trainable,
            (c, v) => c with { Trainable = v },
            "parameters that are trained; the others keep their values")
        {
            HasOption = false, Resume = ResumeRule.Steps,
            Values = new(Text.EnumNames.Forms(typeof(Trainable)), default, Trainable.All,
                value => (value & ~Trainable.All) == 0),
        },
        new ConfigSetting<Resampling?>(nameof(TrainConfig.Resampling), c => c.Resampling,
            (c, v) => c with { Resampling = v },
            "resampling of dead latents; null for none") { HasOption = false, Resume = ResumeRule.Steps },
    ];
}
