using CudaSae.Model;

namespace CudaSae.Activations;

/// <summary>Measures the scale by which training multiplies its data.</summary>
static class Scaling
{
    /// <summary>Variance / (E‖x‖)² below which the mean dominates.</summary>
    const double Dominated = 1e-3;

    /// <summary>The same limit for a transcoder's target. The encoder does not read the target, so nothing else
    /// compensates for a small spread.</summary>
    const double TargetDominated = 0.05;

    /// <summary>Measures the scale of data that is its own target.</summary>
    /// <param name="statistics">Statistics of the data.</param>
    /// <param name="config">The run's configuration.</param>
    /// <param name="centred">Whether the run subtracts the data's mean from its first step on, so that the scale may be
    /// measured about the mean.</param>
    public static DataScale Measure(DataStatistics statistics, TrainConfig config, bool centred = true)
    {
        var scale = Scale(statistics, config, centred);
        return new(scale, statistics.Variance * scale * scale);
    }

    /// <summary>Measures the scales of a transcoder's input and target.</summary>
    /// <param name="statistics">Statistics of the input.</param>
    /// <param name="target">Statistics of the target. b_dec starts at its centre unless it starts at 0.</param>
    /// <param name="config">The run's configuration.</param>
    public static DataScale Measure(DataStatistics statistics, DataStatistics target, TrainConfig config)
    {
        var scale = Scale(target, config, config.DecoderBias != DecoderBiasInit.Zero, TargetDominated);
        return new(Scale(statistics, config, centred: false), target.Variance * scale * scale, scale);
    }

    // Adam's steps have the size of the learning rate whatever the scale is. If the mean dominates the norm, a norm of
    // √d leaves a spread that is smaller than such a step.
    static double Scale(DataStatistics statistics, TrainConfig config, bool centred, double dominated = Dominated)
    {
        if (!(statistics.Variance > 0))
            throw new SaeException("all rows of the data are equal; training needs rows that differ");
        if (!config.ScaleInputs) return 1;
        return Math.Sqrt(statistics.Width)
            / (centred && IsDominated(statistics, dominated) ? Math.Sqrt(statistics.Variance)
            : statistics.MeanNorm);
    }

    /// <summary>Returns whether the mean dominates the norm so much that the scale is measured about the
    /// mean.</summary>
    internal static bool IsDominated(DataStatistics statistics, double dominated = Dominated) =>
        statistics.Variance < dominated * statistics.MeanNorm * statistics.MeanNorm;
}
