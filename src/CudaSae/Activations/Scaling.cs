using CudaSae.Model;

namespace CudaSae.Activations;

/// <summary>Measures the scale that training gives its data.</summary>
static class Scaling
{
    /// <summary>Variance / (E‖x‖)² below which the mean dominates.</summary>
    const double Dominated = 1e-3;

    /// <summary>The same of a transcoder's target: the encoder does not see it, so nothing else makes up for a small
    /// spread.</summary>
    const double TargetDominated = 0.05;

    /// <param name="centred">Whether the run subtracts the data's mean from its first step on: then the scale may be
    /// measured about it.</param>
    public static DataScale Measure(DataStatistics statistics, TrainConfig config, bool centred = true)
    {
        var scale = Scale(statistics, config, centred);
        return new(scale, statistics.Variance * scale * scale);
    }

    /// <param name="target">Statistics of a transcoder's target, which b_dec begins in the middle of unless it begins
    /// at 0.</param>
    public static DataScale Measure(DataStatistics statistics, DataStatistics target, TrainConfig config)
    {
        var scale = Scale(target, config, config.DecoderBias != DecoderBiasInit.Zero, TargetDominated);
        return new(Scale(statistics, config, centred: false), target.Variance * scale * scale, scale);
    }

    // Adam's steps are of the learning rate's size whatever the scale. Where the mean makes up the norm, a norm of √d
    // leaves a spread that is smaller than such a step.
    static double Scale(DataStatistics statistics, TrainConfig config, bool centred, double dominated = Dominated)
    {
        if (!(statistics.Variance > 0))
            throw new SaeException("all rows of the data are equal: there is nothing to learn");
        if (!config.ScaleInputs) return 1;
        return Math.Sqrt(statistics.Width)
            / (centred && IsDominated(statistics, dominated) ? Math.Sqrt(statistics.Variance)
            : statistics.MeanNorm);
    }

    /// <summary>Whether the mean dominates the norm so far that the scale is measured about it.</summary>
    internal static bool IsDominated(DataStatistics statistics, double dominated = Dominated) =>
        statistics.Variance < dominated * statistics.MeanNorm * statistics.MeanNorm;
}
