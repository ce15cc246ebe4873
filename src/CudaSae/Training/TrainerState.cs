using System.Globalization;
using CudaSae.Backends;
using CudaSae.Model;

namespace CudaSae.Training;

/// <summary>What a run decides from its own measurements, and a checkpoint therefore keeps: the path that thresholded
/// selections take, and the rescaling of an annealed penalty.
/// Both are decided at fixed steps from sums that are waited for, so a resumed run decides alike.</summary>
sealed class TrainerState(SaeSpec spec, TrainConfig config)
{
    const int SwitchEvery = 10;         // steps
    const int MeanOver = 10;            // batches whose penalty is kept through a change of p

    /// <summary>Whether thresholded selections take the dense path.</summary>
    public bool Dense { get; private set; } = spec.IsThresholded;

    /// <summary>Factor of λ, so that a change of p leaves the penalty what it was (Karvonen et al. 2024, arXiv
    /// 2408.00113).</summary>
    public double PenaltyFactor { get; private set; } = 1;

    double powerSum, nextPowerSum;

    /// <summary>After step t: looks at its sums where a decision needs them.</summary>
    /// <returns>One line for the log when the path changed.</returns>
    public string? After(long step, IBackend backend)
    {
        if (spec.Penalty is SparsityPenalty.Lp lp) FollowPower(lp, step, backend);
        return spec.IsThresholded && step % SwitchEvery == 0
            ? Switch(step, backend.ReadSums(), config.DenseAbove > 0 ? config.DenseAbove : backend.DenseCrossover)
            : null;
    }

    /// <summary>Sparse below half of the limit and with every row well inside its room; dense above the limit, or when
    /// a row found no room.</summary>
    string? Switch(long step, in StepSums sums, double above)
    {
        var density = (double)sums.Active / config.BatchRows / spec.Latents;
        var fits = sums.MaxRow <= 0.75 * spec.Active;
        var dense = Dense ? density > 0.5 * above || !fits : density > above || sums.Dense == 1;
        if (dense == Dense) return null;
        Dense = dense;
        return string.Create(CultureInfo.InvariantCulture,
            $"step {step}: {(dense ? "dense" : "sparse")} path from here on, {100 * density:0.00} % of the latents "
                + $"active, fullest row {sums.MaxRow}");
    }

    void FollowPower(SparsityPenalty.Lp lp, long step, IBackend backend)
    {
        var now = Schedules.PowerChanges(lp, config, step);
        if (Schedules.PowerChanges(lp, config, step + MeanOver) == now) return;
        var sums = backend.ReadSums();
        powerSum += sums.Penalty;
        nextPowerSum += sums.NextPenalty;
        if (Schedules.PowerChanges(lp, config, step + 1) == now) return;
        if (nextPowerSum > 0) PenaltyFactor *= powerSum / nextPowerSum;
        (powerSum, nextPowerSum) = (0, 0);
    }

    public IEnumerable<KeyValuePair<string, string>> Save() =>
    [
        new("dense", Dense ? "1" : "0"),
        new("penalty_factor", PenaltyFactor.ToString("R", CultureInfo.InvariantCulture)),
        new("power_sum", powerSum.ToString("R", CultureInfo.InvariantCulture)),
        new("next_power_sum", nextPowerSum.ToString("R", CultureInfo.InvariantCulture)),
    ];

    public void Load(IReadOnlyDictionary<string, string> saved)
    {
        Dense = saved.TryGetValue("dense", out var dense) ? dense == "1" : Dense;
        PenaltyFactor = Number("penalty_factor", 1);
        powerSum = Number("power_sum", 0);
        nextPowerSum = Number("next_power_sum", 0);

        double Number(string key, double otherwise) =>
            saved.TryGetValue(key, out var text)
                && double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number)
                ? number : otherwise;
    }
}
