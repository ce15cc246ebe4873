using System.Globalization;
using CudaSae.Metrics;
using CudaSae.Model;

namespace CudaSae.Training;

/// <summary>Holds every step's loss against the running mean of those before. What it knows is saved, so that a resumed
/// run judges alike.</summary>
sealed class DivergenceGuard(TrainConfig config)
{
    const int Settled = 10;             // losses before the mean is a yardstick
    const double Decay = 0.98;
    const int MaxAttempts = 3;          // from one checkpoint

    double mean;
    int seen, attempts;
    long looked, lastReturn = -1;

    public bool RollsBack => config.OnDivergence == DivergenceAction.Rollback;

    public bool IsOn => RollsBack || config.SpikeAbove > 0;

    /// <summary>The steps up to this one are behind.</summary>
    public void Begin(long step) => looked = step;

    /// <summary>Why this step is a divergence; null if it is none, or was looked at before.</summary>
    public string? Look(StepMetrics metrics)
    {
        if (metrics.Step <= looked) return null;
        looked = metrics.Step;
        if (!double.IsFinite(metrics.Loss) || !double.IsFinite(metrics.GradientNorm))
            return double.IsFinite(metrics.Loss) ? $"the gradient's norm became {metrics.GradientNorm}"
                : $"the loss became {metrics.Loss}";
        if (config.SpikeAbove > 0 && seen >= Settled && metrics.Loss > config.SpikeAbove * mean)
            return string.Create(CultureInfo.InvariantCulture,
                $"the loss became {metrics.Loss:g4}, {metrics.Loss / mean:0.0} times its running mean");
        mean = seen == 0 ? metrics.Loss : Decay * mean + (1 - Decay) * metrics.Loss;
        seen++;
        return null;
    }

    /// <summary>Counts a return to a checkpoint.</summary>
    /// <exception cref="SaeException">It is one too many without a newer checkpoint in between.</exception>
    public void Returned(string why, long from, long to)
    {
        attempts = to == lastReturn ? attempts + 1 : 1;
        lastReturn = to;
        if (attempts > MaxAttempts)
            throw new SaeException($"{why} at step {from}, as after each of {MaxAttempts} returns to the checkpoint of "
                + $"step {to}; --resume it with a lower --learning-rate or with --clip",
                kind: SaeErrorKind.Numbers);
    }

    public IEnumerable<KeyValuePair<string, string>> Save() =>
        [new("loss_mean", mean.ToString("R", CultureInfo.InvariantCulture)),
            new("losses_seen", seen.ToString(CultureInfo.InvariantCulture))];

    public void Load(IReadOnlyDictionary<string, string> saved)
    {
        mean = saved.TryGetValue("loss_mean", out var text)
            && double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number)
            ? number : 0;
        seen = saved.TryGetValue("losses_seen", out text)
            && int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var count)
            ? count : 0;
    }
}
