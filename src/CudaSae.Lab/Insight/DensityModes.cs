using CudaSae.Numerics;

namespace CudaSae.Lab.Insight;

/// <summary>Whether latents fall into a rare and a usual kind by their density, on a logarithmic scale.</summary>
/// <param name="Firings">Latents with fewer are of the rare kind: a power of two.</param>
/// <param name="Rare">Latents of the rare kind.</param>
/// <param name="Separation">Ashman's D = √2 |μ₁ − μ₂| / √(σ₁² + σ₂²) of log₁₀ density (Ashman, Bird and Zepf 1994):
/// above 2 where the two kinds are apart.</param>
/// <param name="Peak">Latents in the rare kind's fullest octave, or in the usual kind's where that is lower.</param>
/// <param name="Valley">Latents in the emptiest octave between the two.</param>
sealed record DensityModes(long Firings, int Rare, double Separation, double Peak, double Valley)
{
    public const double MinSeparation = 2, MaxValley = 0.5, MinDeviations = 2, MaxDensity = 1e-2;
    const int MinLatents = 8, Octaves = 65;

    /// <summary>Why there are not two kinds, or null where there are.</summary>
    public string? Objection(int latents, long rows) => this switch
    {
        { Rare: < MinLatents } => $"only {Rare} latents would belong to it",
        _ when latents - Rare < MinLatents => $"only {latents - Rare} latents would be left",
        _ when (double)Firings / rows > MaxDensity =>
            $"the best split is at a density of {Histograms.Share((double)Firings / rows)}, which is not low",
        { Separation: < MinSeparation } =>
            $"at the best split the two kinds overlap, Ashman's D is {Separation:0.00} and would be above "
                + $"{MinSeparation:0}",
        _ when Valley > MaxValley * Peak || Peak - Valley < MinDeviations * Math.Sqrt(Peak + Valley) =>
            $"at the best split there is no valley, its emptiest octave has {Valley:0} latents and the lower peak "
                + $"{Peak:0}",
        _ => null,
    };

    /// <summary>The best split of octaves of firings (silent, 1, 2 to 3, 4 to 7, …) in two, by the variance between its
    /// sides (Otsu 1979): among splits that nothing speaks against, or among all where there is
    /// none such. Otsu's criterion alone prefers to halve a large kind rather than to cut off a small one. Octaves,
    /// because densities of few firings are whole multiples of 1 / rows, and narrower bins would have
    /// gaps that mean nothing.</summary>
    public static DensityModes Find(long[] firings, long rows)
    {
        var counts = new double[Octaves];
        foreach (var f in firings) counts[Octave(f)]++;
        var splits = Enumerable.Range(1, Octaves - 2)
            .Select(at => (Modes: At(firings, counts, at), Between: Between(counts, at)))
            .OrderByDescending(s => s.Between).ToArray();
        return (splits.FirstOrDefault(s => s.Modes.Objection(firings.Length, rows) is null).Modes) ?? splits[0].Modes;
    }

    static int Octave(long firings) =>
        firings == 0 ? 0 : 64 - System.Numerics.BitOperations.LeadingZeroCount((ulong)firings);
    static double Log(long firings) => Math.Log10(Math.Max(firings, 0.5));

    /// <param name="split">The first octave of the upper side.</param>
    static DensityModes At(long[] firings, double[] counts, int split)
    {
        var floor = 1L << split - 1;
        double[] low = [.. firings.Where(f => f < floor).Select(Log)],
        high = [.. firings.Where(f => f >= floor).Select(Log)];
        var ((mean1, deviation1), (mean2, deviation2)) = (Doubles.Moments(low), Doubles.Moments(high));
        var separation =
            Math.Sqrt(2) * Math.Abs(mean2 - mean1) / Math.Sqrt(deviation1 * deviation1 + deviation2 * deviation2);
        int peak1 = 0, peak2 = split;
        for (var i = 0; i < split; i++) if (counts[i] > counts[peak1]) peak1 = i;
        for (var i = split; i < counts.Length; i++) if (counts[i] > counts[peak2]) peak2 = i;
        return new(floor, low.Length, double.IsNaN(separation) ? 0 : separation, Math.Min(counts[peak1], counts[peak2]),
            counts[peak1..(peak2 + 1)].Min());
    }

    /// <summary>Otsu's variance between the two sides, in octaves², times latents².</summary>
    static double Between(double[] counts, int split)
    {
        double below = 0, momentBelow = 0, above = 0, momentAbove = 0;
        for (var i = 0; i < counts.Length; i++)
        {
            if (i < split) (below, momentBelow) = (below + counts[i], momentBelow + counts[i] * i);
            else (above, momentAbove) = (above + counts[i], momentAbove + counts[i] * i);
        }
        return below == 0 || above == 0 ? 0 : below * above * Math.Pow(momentAbove / above - momentBelow / below, 2);
    }
}
