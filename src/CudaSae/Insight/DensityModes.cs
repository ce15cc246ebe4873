namespace CudaSae.Insight;

/// <summary>Whether latents fall into a rare and a usual kind by their density, on a logarithmic scale.</summary>
/// <param name="Firings">Latents with fewer are of the rare kind: a power of two.</param>
/// <param name="Separation">Ashman's D = √2 |μ₁ − μ₂| / √(σ₁² + σ₂²) of log₁₀ density (Ashman, Bird and Zepf 1994): above 2 where the two kinds are apart.</param>
/// <param name="Valley">The emptiest octave between the two kinds' fullest ones, as a share of the lower of these two: 0 where nothing lies between, 1 where there is no valley.</param>
/// <param name="Rare">Latents of the rare kind.</param>
public sealed record DensityModes(long Firings, double Separation, double Valley, int Rare)
{
    public const double MinSeparation = 2, MaxValley = 0.5, MaxDensity = 1e-2;
    const int MinLatents = 8;

    /// <summary>Why there are not two kinds, or null where there are.</summary>
    public string? Objection(int latents, long rows) => this switch
    {
        { Rare: < MinLatents } => $"only {Rare} latents would belong to it",
        _ when latents - Rare < MinLatents => $"only {latents - Rare} latents would be left",
        { Separation: < MinSeparation } => $"the two kinds overlap: Ashman's D is {Separation:0.00}, apart are those above {MinSeparation:0}",
        { Valley: > MaxValley } => $"there is no valley between them: its emptiest octave has {100 * Valley:0} % of the lower peak",
        _ when (double)Firings / rows > MaxDensity => $"the split is at a density of {Histograms.Share((double)Firings / rows)}, which is not low",
        _ => null,
    };

    /// <summary>The best split of octaves of firings (silent, 1, 2 to 3, 4 to 7, …) in two: the largest variance between the two sides (Otsu 1979). Octaves, because densities of few firings are whole
    /// multiples of 1 / rows, and narrower bins would have gaps that mean nothing.</summary>
    public static DensityModes Find(long[] firings)
    {
        var counts = new double[65];
        foreach (var f in firings) counts[Octave(f)]++;
        var split = Split(counts);
        var floor = split == 0 ? 0 : 1L << split - 1;
        var (low, high) = (Doubles.Moments([.. firings.Where(f => f < floor).Select(Log)]), Doubles.Moments([.. firings.Where(f => f >= floor).Select(Log)]));
        var separation = Math.Sqrt(2) * Math.Abs(high.Mean - low.Mean) / Math.Sqrt(low.Deviation * low.Deviation + high.Deviation * high.Deviation);
        return new(floor, double.IsNaN(separation) ? 0 : separation, ValleyOf(counts, split), firings.Count(f => f < floor));
    }

    static int Octave(long firings) => firings == 0 ? 0 : 64 - System.Numerics.BitOperations.LeadingZeroCount((ulong)firings);
    static double Log(long firings) => Math.Log10(Math.Max(firings, 0.5));

    /// <summary>The first octave of the upper side.</summary>
    static int Split(double[] counts)
    {
        double total = counts.Sum(), moment = counts.Select((c, i) => c * i).Sum(), below = 0, momentBelow = 0, best = -1;
        var at = 0;
        for (var i = 1; i < counts.Length; i++)
        {
            below += counts[i - 1];
            momentBelow += counts[i - 1] * (i - 1);
            if (below == 0 || below == total) continue;
            var apart = momentBelow / below - (moment - momentBelow) / (total - below);
            if (below * (total - below) * apart * apart is var between && between > best) (best, at) = (between, i);
        }
        return at;
    }

    static double ValleyOf(double[] counts, int split)
    {
        if (split == 0) return 1;
        int low = 0, high = split;
        for (var i = 0; i < split; i++) if (counts[i] > counts[low]) low = i;
        for (var i = split; i < counts.Length; i++) if (counts[i] > counts[high]) high = i;
        var valley = counts[low..(high + 1)].Min();
        return valley / Math.Max(1, Math.Min(counts[low], counts[high]));
    }
}
