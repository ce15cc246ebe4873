using static CudaSae.Model.SettingRange;

namespace CudaSae.Model;

/// <summary>Settings of the start, of the paths of a step, and of what a run writes.</summary>
static partial class ConfigSettings
{
    static ConfigSetting[] Start() =>
    [
        new ConfigSetting<WeightStorage>(nameof(TrainConfig.Storage), c => c.Storage, (c, v) => c with { Storage = v },
            "storage of weights on a device") { Resume = ResumeRule.Arrays },
        new ConfigSetting<float>(nameof(TrainConfig.EmaDecay), c => c.EmaDecay, (c, v) => c with { EmaDecay = v },
            "decay of the saved average of the weights; 0 for none")
            { Values = FromZeroBelowOne(0f, 1f), Resume = ResumeRule.Arrays },
        new ConfigSetting<DecoderBiasInit>(nameof(TrainConfig.DecoderBias), c => c.DecoderBias,
            (c, v) => c with { DecoderBias = v }, "b_dec at the start, from the data or 0")
            { Resume = ResumeRule.Weights },
        new ConfigSetting<DecoderInit>(nameof(TrainConfig.DecoderInit), c => c.DecoderInit,
            (c, v) => c with { DecoderInit = v }, "distribution of WDec at the start")
            { HasOption = false, Resume = ResumeRule.Weights },
        new ConfigSetting<float>(nameof(TrainConfig.DecoderInitNorm), c => c.DecoderInitNorm,
            (c, v) => c with { DecoderInitNorm = v }, "norm of decoder rows at the start")
            { HasOption = false, Values = Above0(1e6f, "above 0, at most 1e6"), Resume = ResumeRule.Weights },
        new ConfigSetting<float>(nameof(TrainConfig.EncoderInitNorm), c => c.EncoderInitNorm,
            (c, v) => c with { EncoderInitNorm = v }, "norm of encoder rows at the start")
            { Values = Between(0f, 1e6f, "0 to 1e6"), Resume = ResumeRule.Weights },
        new ConfigSetting<double>(nameof(TrainConfig.InitialFiringRate), c => c.InitialFiringRate,
            (c, v) => c with { InitialFiringRate = v },
            "share of the rows on which each latent fires at the start, which sets b_enc; 0 for b_enc = 0")
            { HasOption = false, Values = FromZeroBelowOne(0.0, 1.0), Resume = ResumeRule.Weights },
        new ConfigSetting<bool>(nameof(TrainConfig.ScaleInputs), c => c.ScaleInputs,
            (c, v) => c with { ScaleInputs = v },
            "scale inputs to a mean norm of √d while training") { Resume = ResumeRule.Scale },
        new ConfigSetting<bool>(nameof(TrainConfig.FoldDecoderNorms), c => c.FoldDecoderNorms,
            (c, v) => c with { FoldDecoderNorms = v }, "fold decoder norms into the encoder when the SAE is saved")
            { HasOption = false, Resume = ResumeRule.FreeAndKept },
        new ConfigSetting<float>(nameof(TrainConfig.PruneBelow), c => c.PruneBelow, (c, v) => c with { PruneBelow = v },
            "decoder norm below which a latent is emptied when the SAE is saved; 0 for none")
            { HasOption = false, Values = Between(0f, 1f), Resume = ResumeRule.FreeAndKept },
    ];

    static ConfigSetting[] Paths() =>
    [
        new ConfigSetting<float>(nameof(TrainConfig.DenseAbove), c => c.DenseAbove, (c, v) => c with { DenseAbove = v },
            "density above which a thresholded selection takes the dense training path; 0 for the backend's crossover")
            { HasOption = false, Values = Between(0f, 1f), Resume = ResumeRule.Free },
        new ConfigSetting<float>(nameof(TrainConfig.HotDensity), c => c.HotDensity, (c, v) => c with { HotDensity = v },
            "density above which a latent is a dense column on a GPU; 0 for none")
            { HasOption = false, Values = Between(0f, 1f), Resume = ResumeRule.Steps },
        new ConfigSetting<ScreeningKind>(nameof(TrainConfig.Screening), c => c.Screening,
            (c, v) => c with { Screening = v },
            "kernels rule latents out by 8-bit products before they encode: for half a million latents and more")
            { Resume = ResumeRule.Arrays },
        new ConfigSetting<int>(nameof(TrainConfig.ScreeningAudit), c => c.ScreeningAudit,
            (c, v) => c with { ScreeningAudit = v }, "steps between two counts of what screening missed; 0 for none")
            { HasOption = false, Unit = "steps", Values = AtLeast(0), Resume = ResumeRule.Free },
        new ConfigSetting<int>(nameof(TrainConfig.ValidateEvery), c => c.ValidateEvery,
            (c, v) => c with { ValidateEvery = v },
            "steps between two dense checks, which compute a batch again by dense products; 0 for none")
            { Unit = "steps", Values = AtLeast(0), Resume = ResumeRule.Free },
    ];

    static ConfigSetting[] Output() =>
    [
        new ConfigSetting<int>(nameof(TrainConfig.LogEvery), c => c.LogEvery, (c, v) => c with { LogEvery = v },
            "steps between two lines of metrics.jsonl")
            { Unit = "steps", Values = AtLeast(1), Resume = ResumeRule.Free },
        new ConfigSetting<int>(nameof(TrainConfig.CheckpointEvery), c => c.CheckpointEvery,
            (c, v) => c with { CheckpointEvery = v },
            "steps between two checkpoints; 0 for a checkpoint at the end alone")
            { Unit = "steps", Values = AtLeast(0), Resume = ResumeRule.Free },
        new ConfigSetting<int>(nameof(TrainConfig.KeepCheckpoints), c => c.KeepCheckpoints,
            (c, v) => c with { KeepCheckpoints = v },
            "newest checkpoints to keep, beside the one of the lowest FVU")
            { Unit = "checkpoints", Values = AtLeast(1), Resume = ResumeRule.Free },
        new ConfigSetting<bool>(nameof(TrainConfig.KeepBest), c => c.KeepBest, (c, v) => c with { KeepBest = v },
            "keep the checkpoint of the lowest FVU too") { HasOption = false, Resume = ResumeRule.Free },
        new ConfigSetting<bool>(nameof(TrainConfig.AsyncCheckpoints), c => c.AsyncCheckpoints,
            (c, v) => c with { AsyncCheckpoints = v }, "write checkpoints in the background from a copy of the state")
            { HasOption = false, Resume = ResumeRule.Free },
        new ConfigSetting<DivergenceAction>(nameof(TrainConfig.OnDivergence), c => c.OnDivergence,
            (c, v) => c with { OnDivergence = v },
            "when the loss is not a number or exceeds SpikeAbove: stop, or rollback to the newest checkpoint and past "
            + "the batches since") { Resume = ResumeRule.Free },
        new ConfigSetting<float>(nameof(TrainConfig.SpikeAbove), c => c.SpikeAbove, (c, v) => c with { SpikeAbove = v },
            "multiple of its running mean above which a loss is a divergence; 0 for none")
        {
            Resume = ResumeRule.Free,
            Values = new("0, or a number above 1", 0, 1e6f,
                value => value is 0 or > 1 && float.IsFinite(value)),
        },
    ];
}
