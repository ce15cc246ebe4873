namespace CudaSae.Lab.Insight.Probes;

/// <summary>A probe on rows that it was not fitted to.</summary>
/// <param name="F1">At the threshold whose F1 was greatest on the rows that it was fitted to.</param>
/// <param name="Accuracy">Of "more likely than not": z > 0.</param>
/// <param name="Auroc">Of z.</param>
readonly record struct ProbeScore(double F1, double Accuracy, double Auroc)
{
    /// <param name="fitted">z of the rows that it was fitted to, <paramref name="fittedTruth"/> their answers.</param>
    public static ProbeScore Of(ReadOnlySpan<double> fitted, ReadOnlySpan<bool> fittedTruth, ReadOnlySpan<double> z,
        ReadOnlySpan<bool> truth)
    {
        var threshold = BestThreshold(fitted, fittedTruth);
        int hits = 0, predicted = 0, positives = 0, right = 0;
        for (var r = 0; r < z.Length; r++)
        {
            var yes = z[r] >= threshold;
            hits += yes && truth[r] ? 1 : 0;
            predicted += yes ? 1 : 0;
            positives += truth[r] ? 1 : 0;
            right += z[r] > 0 == truth[r] ? 1 : 0;
        }
        return new(predicted + positives == 0 ? 0 : 2.0 * hits / (predicted + positives), (double)right / z.Length,
            AurocOf(z, truth));
    }

    /// <summary>Without a look at the row: always the commoner answer for accuracy, always yes for F1, 2 p / (1 + p)
    /// with p the share of rows with the answer.</summary>
    public static ProbeScore Blind(ReadOnlySpan<bool> fittedTruth, ReadOnlySpan<bool> truth)
    {
        var share = (double)truth.Count(true) / truth.Length;
        return new(2 * share / (1 + share), 2 * fittedTruth.Count(true) > fittedTruth.Length ? share : 1 - share, 0.5);
    }

    /// <summary>(Σ over positives of the number of negatives below + ½ of those that tie) / (positives ·
    /// negatives).</summary>
    public static double AurocOf(ReadOnlySpan<double> z, ReadOnlySpan<bool> truth)
    {
        var (order, sorted) = Sorted(z);
        long twice = 0, negatives = 0, positives = 0;
        for (int first = 0, last; first < sorted.Length; first = last)
        {
            long yes = 0;
            for (last = first; last < sorted.Length && sorted[last] == sorted[first]; last++)
                yes += truth[order[last]] ? 1 : 0;
            twice += yes * (2 * negatives + (last - first - yes));
            (positives, negatives) = (positives + yes, negatives + (last - first - yes));
        }
        return twice / (2.0 * positives * negatives);
    }

    /// <summary>The greatest t among these whose F1 is greatest, predicting yes where z ≥ t.</summary>
    static double BestThreshold(ReadOnlySpan<double> z, ReadOnlySpan<bool> truth)
    {
        var (order, sorted) = Sorted(z);
        var (positives, hits, best, threshold) = (truth.Count(true), 0, -1.0, double.PositiveInfinity);
        for (var last = sorted.Length; last > 0;)
        {
            var first = last;
            while (first > 0 && sorted[first - 1] == sorted[last - 1]) hits += truth[order[--first]] ? 1 : 0;
            if (2.0 * hits / (sorted.Length - first + positives) is var f1 && f1 > best)
                (best, threshold) = (f1, sorted[first]);
            last = first;
        }
        return threshold;
    }

    static (int[] Order, double[] Sorted) Sorted(ReadOnlySpan<double> z)
    {
        var sorted = z.ToArray();
        int[] order = [.. Enumerable.Range(0, z.Length)];
        Array.Sort(sorted, order);
        return (order, sorted);
    }
}
