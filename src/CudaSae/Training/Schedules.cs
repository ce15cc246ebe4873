using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Training;

/// <summary>Numbers that change with the step: pure functions of it, so a resumed run continues them by
/// itself.</summary>
static class Schedules
{
    /// <summary>Linear rise over the first WarmupFraction of the steps, level, then linear fall to 0 over the last
    /// DecayFraction.
    /// Step t of T gets the value at the middle of its interval, so neither the first nor the last step is
    /// lost.</summary>
    public static float LearningRate(TrainConfig config, long step)
    {
        var at = Progress(config, step);
        var up = config.WarmupFraction > 0 ? Math.Min(1, at / config.WarmupFraction) : 1;
        var down = config.DecayFraction > 0 ? Math.Min(1, (1 - at) / config.DecayFraction) : 1;
        return (float)(config.LearningRate * Math.Min(up, down) * (config.Resampling?.RateFactor(step) ?? 1));
    }

    static double Progress(TrainConfig config, long step) => (step - 0.5) / config.Steps;

    /// <summary>λ / B: a linear rise over WarmupFraction of the steps.</summary>
    public static float Penalty(SaeSpec spec, TrainConfig config, long step) => spec.Penalty is not { } penalty ? 0
        : (float)(penalty.Coefficient / config.BatchRows * (penalty.WarmupFraction > 0
            ? Math.Min(1, Progress(config, step) / penalty.WarmupFraction) : 1));

    /// <summary>p of the Lp penalty: falls from 1 in equal steps, <see cref="SparsityPenalty.Lp.Changes"/> of
    /// them.</summary>
    public static float Power(SparsityPenalty.Lp lp, TrainConfig config, long step) =>
        PowerAfter(lp, PowerChanges(lp, config, step));

    /// <summary>Changes of p up to a step.</summary>
    public static int PowerChanges(SparsityPenalty.Lp lp, TrainConfig config, long step)
    {
        var at = Progress(config, step);
        if (at < lp.AnnealFrom) return 0;
        return lp.AnnealTo <= lp.AnnealFrom ? lp.Changes
            : Math.Min(lp.Changes, 1 + (int)((at - lp.AnnealFrom) / (lp.AnnealTo - lp.AnnealFrom) * lp.Changes));
    }

    /// <summary>p after so many changes.</summary>
    public static float PowerAfter(SparsityPenalty.Lp lp, int changes) =>
        1 - (1 - lp.Power) * Math.Min(changes, lp.Changes) / lp.Changes;

    /// <summary>k of a step: from InitialK to K over the first AnnealFraction of the steps, linearly.</summary>
    public static uint ActiveNow(SaeSpec spec, TrainConfig config, long step) =>
        spec.Selection is not Selection.TopK { InitialK: > 0 } top ? 0
        : (uint)Math.Max(top.K,
            Math.Round(top.InitialK + (top.K - top.InitialK) * Progress(config, step) / top.AnnealFraction));

    /// <summary>Steps without firing after which a latent is dead: of the loss that revives dead latents, else the
    /// spec's own, else the resampling's window, else of a sixtieth of the run.</summary>
    public static uint DeadAfterSteps(SaeSpec spec, TrainConfig config)
    {
        var tokens = spec.Aux?.DeadAfterTokens ?? spec.Ghost?.DeadAfterTokens ?? spec.PreAct?.DeadAfterTokens
            ?? spec.DeadAfterTokens;
        if (tokens == 0 && config.Resampling is { } resampling) return (uint)resampling.Window;
        if (tokens == 0) tokens = DeadAfter.Rows(config);
        return (uint)Math.Clamp((tokens + config.BatchRows - 1) / config.BatchRows, 1, int.MaxValue);
    }

    /// <summary>The scalars of step t, from 1.</summary>
    public static StepScalars Scalars(SaeSpec spec, TrainConfig config, DataScale scale, long step)
    {
        var adam = config.Optimizer is OptimizerKind.Adam or OptimizerKind.LazyRowAdam;
        var scalars = new StepScalars
        {
            Seed = config.Seed,
            Step = (uint)step,
            LearningRate = LearningRate(config, step),
            Beta1 = config.Beta1,
            Beta2 = config.Beta2,
            Epsilon = config.Epsilon,
            Correction1 = adam ? (float)(1 / (1 - Math.Pow(config.Beta1, step))) : 1,
            Correction2 = adam ? (float)(1 / (1 - Math.Pow(config.Beta2, step))) : 1,
            InputScale = (float)scale.InputScale,
            TargetScale = (float)scale.TargetScale,
            LossScale = LossScale(spec, config, scale),
            AuxCoefficient = spec.Aux?.Coefficient ?? 0,
            ClipNorm = config.ClipNorm,
            EmaDecay = config.EmaDecay,
            DeadAfterSteps = DeadAfterSteps(spec, config),
            Penalty = Penalty(spec, config, step),
            Power = 1,
            NextPower = 1,
            PreAct = (spec.PreAct?.Coefficient ?? 0) / config.BatchRows,
            WeightDecay = config.WeightDecay,
            K = ActiveNow(spec, config, step),
            Trainable = config.Trainable,
            AllDead = spec.Ghost is { } ghost && step <= ghost.AllFirstSteps ? 1u : 0,
        };
        if (spec.Penalty is SparsityPenalty.Lp lp)
        {
            var changes = PowerChanges(lp, config, step);
            (scalars.Power, scalars.NextPower) = (PowerAfter(lp, changes), PowerAfter(lp, changes + 1));
        }
        SetPrefixes(spec, config.Seed, step, ref scalars);
        return scalars;
    }

    /// <summary>The scalars of an evaluation: the end of every schedule, the budget that is reported, BatchTopK by its
    /// running threshold.</summary>
    public static StepScalars Inference(SaeSpec spec, TrainConfig config, DataScale scale)
    {
        var scalars = Scalars(spec, config, scale, config.Steps);
        scalars.Inference = 1;
        if (spec.Nested is Nesting.Budgets { Report: > 0 } budgets) scalars.K = (uint)budgets.Report;
        return scalars;
    }

    static float LossScale(SaeSpec spec, TrainConfig config, DataScale scale) =>
        (float)(1 / (config.BatchRows * config.LossNormalization switch
        {
            LossNormalization.Sum => 1,
            LossNormalization.Mean => spec.OutputWidth,
            _ => scale.Variance,
        }));

    /// <summary>Matryoshka's widths of a step: those of the spec, or drawn log-uniformly between n / 64 and
    /// n.</summary>
    static void SetPrefixes(SaeSpec spec, ulong seed, long step, ref StepScalars scalars)
    {
        if (spec.Nested is not Nesting.Prefixes prefixes) return;
        var count = prefixes.Widths.Length;
        Span<uint> widths = stackalloc uint[count];
        for (var m = 0; m < count; m++)
            widths[m] = !prefixes.Random ? (uint)prefixes.Widths[m]
                : (uint)Math.Clamp(Math.Round(spec.Latents * Math.Pow(64,
                    CounterRandom.Uniform(seed, (ulong)step, 0x7072656669786573, (ulong)m) - 1)),
                    1, spec.Latents);
        widths.Sort();
        for (var m = 0; m < count; m++) scalars.Prefix[m] = widths[m];
        scalars.Prefix[count] = (uint)spec.Latents;
        scalars.PrefixCount = (uint)count + 1;
    }
}
