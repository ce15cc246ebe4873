using CudaSae.Data;
using CudaSae.Model;

namespace CudaSae.Training;

/// <summary>Numbers that change with the step: pure functions of it, so a resumed run continues them by itself.</summary>
public static class Schedules
{
    /// <summary>Linear rise over the first WarmupFraction of the steps, level, then linear fall to 0 over the last DecayFraction.
    /// Step t of T gets the value at the middle of its interval, so neither the first nor the last step is lost.</summary>
    public static float LearningRate(TrainConfig config, long step)
    {
        var at = (step - 0.5) / config.Steps;
        var up = config.WarmupFraction > 0 ? Math.Min(1, at / config.WarmupFraction) : 1;
        var down = config.DecayFraction > 0 ? Math.Min(1, (1 - at) / config.DecayFraction) : 1;
        return (float)(config.LearningRate * Math.Min(up, down));
    }

    /// <summary>Steps without firing after which a latent is dead; beyond reach without an auxiliary loss.</summary>
    public static uint DeadAfterSteps(SaeSpec spec, TrainConfig config) =>
        spec.Aux is { } aux ? (uint)Math.Clamp((aux.DeadAfterTokens + config.BatchRows - 1) / config.BatchRows, 1, int.MaxValue) : int.MaxValue;

    /// <summary>The scalars of step t, from 1.</summary>
    public static StepScalars Scalars(SaeSpec spec, TrainConfig config, DataScale scale, long step) => new()
    {
        Seed = config.Seed,
        Step = (uint)step,
        LearningRate = LearningRate(config, step),
        Beta1 = config.Beta1,
        Beta2 = config.Beta2,
        Epsilon = config.Epsilon,
        Correction1 = config.Optimizer == OptimizerKind.Adam ? (float)(1 / (1 - Math.Pow(config.Beta1, step))) : 1,
        Correction2 = config.Optimizer == OptimizerKind.Adam ? (float)(1 / (1 - Math.Pow(config.Beta2, step))) : 1,
        InputScale = (float)scale.InputScale,
        LossScale = (float)(1 / (config.BatchRows * scale.Variance)),
        AuxCoefficient = spec.Aux?.Coefficient ?? 0,
        ClipNorm = config.ClipNorm,
        EmaDecay = config.EmaDecay,
        DeadAfterSteps = DeadAfterSteps(spec, config),
    };
}

/// <summary>What training takes from its data.</summary>
/// <param name="InputScale">s: x = s · raw, so that E‖x‖ = √d; 1 without ScaleInputs.</param>
/// <param name="Variance">E‖x − x̄‖² of the scaled input: the loss is divided by it.</param>
public readonly record struct DataScale(double InputScale, double Variance)
{
    public static DataScale Of(DataStatistics statistics, TrainConfig config)
    {
        if (!(statistics.Variance > 0)) throw new SaeException("all rows of the data are equal: there is nothing to learn");
        var scale = config.ScaleInputs ? Math.Sqrt(statistics.Width) / statistics.MeanNorm : 1;
        return new(scale, statistics.Variance * scale * scale);
    }
}
