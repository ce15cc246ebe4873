using System.Globalization;
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
        var at = Progress(config, step);
        var up = config.WarmupFraction > 0 ? Math.Min(1, at / config.WarmupFraction) : 1;
        var down = config.DecayFraction > 0 ? Math.Min(1, (1 - at) / config.DecayFraction) : 1;
        return (float)(config.LearningRate * Math.Min(up, down) * (config.Resampling?.RateFactor(step) ?? 1));
    }

    static double Progress(TrainConfig config, long step) => (step - 0.5) / config.Steps;

    /// <summary>λ / B: a linear rise over WarmupFraction of the steps.</summary>
    public static float Penalty(SaeSpec spec, TrainConfig config, long step) => spec.Penalty is not { } penalty ? 0
        : (float)(penalty.Coefficient / config.BatchRows * (penalty.WarmupFraction > 0 ? Math.Min(1, Progress(config, step) / penalty.WarmupFraction) : 1));

    /// <summary>p of the Lp penalty: falls from 1 in equal steps, <see cref="SparsityPenalty.Lp.Changes"/> of them.</summary>
    public static float Power(SparsityPenalty.Lp lp, TrainConfig config, long step) => PowerAfter(lp, PowerChanges(lp, config, step));

    /// <summary>Changes of p up to a step.</summary>
    public static int PowerChanges(SparsityPenalty.Lp lp, TrainConfig config, long step)
    {
        var at = Progress(config, step);
        if (at < lp.AnnealFrom) return 0;
        return lp.AnnealTo <= lp.AnnealFrom ? lp.Changes : Math.Min(lp.Changes, 1 + (int)((at - lp.AnnealFrom) / (lp.AnnealTo - lp.AnnealFrom) * lp.Changes));
    }

    /// <summary>p after so many changes.</summary>
    public static float PowerAfter(SparsityPenalty.Lp lp, int changes) => 1 - (1 - lp.Power) * Math.Min(changes, lp.Changes) / lp.Changes;

    /// <summary>k of a step: from InitialK to K over the first AnnealFraction of the steps, linearly.</summary>
    public static uint ActiveNow(SaeSpec spec, TrainConfig config, long step) => spec.Selection is not Selection.TopK { InitialK: > 0 } top ? 0
        : (uint)Math.Max(top.K, Math.Round(top.InitialK + (top.K - top.InitialK) * Progress(config, step) / top.AnnealFraction));

    /// <summary>Steps without firing after which a latent is dead: of the loss that revives dead latents, else the
    /// spec's own, else the resampling's window, else of a sixtieth of the run.</summary>
    public static uint DeadAfterSteps(SaeSpec spec, TrainConfig config)
    {
        var tokens = spec.Aux?.DeadAfterTokens ?? spec.Ghost?.DeadAfterTokens ?? spec.PreAct?.DeadAfterTokens
            ?? spec.DeadAfterTokens;
        if (tokens == 0 && config.Resampling is { } resampling) return (uint)resampling.Window;
        if (tokens == 0) tokens = Preset.DeadAfter(config);
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
            Trainable = (uint)config.Trainable,
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

    /// <summary>The scalars of an evaluation: the end of every schedule, the budget that is reported, BatchTopK by its running threshold.</summary>
    public static StepScalars Inference(SaeSpec spec, TrainConfig config, DataScale scale)
    {
        var scalars = Scalars(spec, config, scale, config.Steps);
        scalars.Inference = 1;
        if (spec.Nested is Nesting.Budgets { Report: > 0 } budgets) scalars.K = (uint)budgets.Report;
        return scalars;
    }

    static float LossScale(SaeSpec spec, TrainConfig config, DataScale scale) => (float)(1 / (config.BatchRows * config.LossNormalization switch
    {
        LossNormalization.Sum => 1,
        LossNormalization.Mean => spec.OutputWidth,
        _ => scale.Variance,
    }));

    /// <summary>Matryoshka's widths of a step: those of the spec, or drawn log-uniformly between n / 64 and n.</summary>
    static void SetPrefixes(SaeSpec spec, ulong seed, long step, ref StepScalars scalars)
    {
        if (spec.Nested is not Nesting.Prefixes prefixes) return;
        var count = prefixes.Widths.Length;
        Span<uint> widths = stackalloc uint[count];
        for (var m = 0; m < count; m++)
            widths[m] = !prefixes.Random ? (uint)prefixes.Widths[m]
                : (uint)Math.Clamp(Math.Round(spec.Latents * Math.Pow(64, CounterRandom.Uniform(seed, (ulong)step, 0x7072656669786573, (ulong)m) - 1)), 1, spec.Latents);
        widths.Sort();
        for (var m = 0; m < count; m++) scalars.Prefix[m] = widths[m];
        scalars.Prefix[count] = (uint)spec.Latents;
        scalars.PrefixCount = (uint)count + 1;
    }
}

/// <summary>What training takes from its data.</summary>
/// <param name="InputScale">s: x = s · raw, so that E‖x‖ = √d, or where the mean dominates E‖x − x̄‖² = d; 1 without
/// ScaleInputs.</param>
/// <param name="Variance">E‖y − ȳ‖² of the scaled target, which is the input unless transcoding: the loss is divided by it.</param>
/// <param name="TargetScale">The scale of a transcoder's target, so that E‖y‖ = √d_out; otherwise the input's.</param>
public readonly record struct DataScale(double InputScale, double Variance, double TargetScale)
{
    public DataScale(double inputScale, double variance) : this(inputScale, variance, inputScale) { }

    /// <summary>As a checkpoint keeps it.</summary>
    internal IEnumerable<KeyValuePair<string, string>> Save() =>
        [new("input_scale", Text(InputScale)), new("variance", Text(Variance)), new("target_scale", Text(TargetScale))];

    static string Text(double number) => number.ToString("R", CultureInfo.InvariantCulture);

    /// <summary>From a checkpoint; null where it keeps none, as older ones.</summary>
    internal static DataScale? From(IReadOnlyDictionary<string, string> saved) =>
        Number(saved, "input_scale") is { } input && Number(saved, "variance") is { } variance
            && Number(saved, "target_scale") is { } target
            ? new(input, variance, target)
            : null;

    static double? Number(IReadOnlyDictionary<string, string> saved, string key) =>
        saved.TryGetValue(key, out var text)
            && double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number)
            ? number
            : null;

    /// <summary>Variance / (E‖x‖)² below which the mean dominates.</summary>
    const double Dominated = 1e-3;

    /// <summary>The same of a transcoder's target: the encoder does not see it, so nothing else makes up for a small
    /// spread.</summary>
    const double TargetDominated = 0.05;

    /// <param name="centred">Whether the run subtracts the data's mean from its first step on: then the scale may be
    /// measured about it.</param>
    public static DataScale Of(DataStatistics statistics, TrainConfig config, bool centred = true)
    {
        var scale = Scale(statistics, config, centred);
        return new(scale, statistics.Variance * scale * scale);
    }

    /// <param name="target">Statistics of a transcoder's target, which b_dec begins in the middle of unless it begins
    /// at 0.</param>
    public static DataScale Of(DataStatistics statistics, DataStatistics target, TrainConfig config)
    {
        var scale = Scale(target, config, config.DecoderBias != DecoderBiasInit.Zero, TargetDominated);
        return new(Scale(statistics, config, centred: false), target.Variance * scale * scale, scale);
    }

    // Adam's steps are of the learning rate's size whatever the scale. Where the mean makes up the norm, a norm of √d
    // leaves a spread that is smaller than such a step.
    static double Scale(DataStatistics statistics, TrainConfig config, bool centred, double dominated = Dominated)
    {
        if (!(statistics.Variance > 0)) throw new SaeException("all rows of the data are equal: there is nothing to learn");
        if (!config.ScaleInputs) return 1;
        return Math.Sqrt(statistics.Width)
            / (centred && IsDominated(statistics, dominated) ? Math.Sqrt(statistics.Variance)
            : statistics.MeanNorm);
    }

    /// <summary>Whether the mean dominates the norm so far that the scale is measured about it.</summary>
    internal static bool IsDominated(DataStatistics statistics, double dominated = Dominated) =>
        statistics.Variance < dominated * statistics.MeanNorm * statistics.MeanNorm;
}
