using CudaSae.Model;

namespace CudaSae.Lab.Verification;

/// <summary>encode and select: z, and which of them become the code.</summary>
sealed partial class Reference
{
    /// <summary>[B, n] relu(π) of Gated.</summary>
    public double[] Gate { get; } = new double[(long)config.BatchRows * spec.Latents];

    readonly int[] level = new int[(long)config.BatchRows * spec.Latents]; // first reconstruction that holds the entry
    readonly double[] spreadMean = new double[spec.Latents], spreadVariance = new double[spec.Latents];
    double smallestKept;

    void Encode()
    {
        for (var b = 0; b < B; b++)
            for (var f = 0; f < n; f++)
            {
                double sum = BEnc[f];
                for (var i = 0; i < d; i++) sum += Centered(b, i) * rounding.Operand(WEnc[f * d + i]);
                PreActs[b * n + f] = sum;
            }
        Array.Clear(Value);
        Array.Clear(Gate);
        Array.Clear(level);
        MeasureSpread();
        if (spec.Selection is Selection.BatchTopK batch) SelectBatch(batch);
        else
            for (var b = 0; b < B; b++) SelectRow(b);
        Sums.Active = Value.Count(v => v != 0);
    }

    void SelectRow(int b)
    {
        var z = PreActs.AsSpan(b * n, n);
        switch (spec.Selection)
        {
            case Selection.Relu:
                for (var f = 0; f < n; f++) Keep(b, f, Math.Max(0, z[f]));
                break;
            case Selection.JumpRelu:
                for (var f = 0; f < n; f++) Keep(b, f, z[f] > Theta(f) ? z[f] : 0);
                break;
            case Selection.Gated:
                for (var f = 0; f < n; f++)
                {
                    Gate[b * n + f] = Math.Max(0, z[f]);
                    Keep(b, f, z[f] > 0 ? Math.Max(0, Magnitude(z[f], f)) : 0);
                }
                break;
            case Selection.TopK:
                KeepLargest(b, z, scalars.K > 0 ? (int)scalars.K : spec.Active);
                break;
            case Selection.AbsTopK abs:
                foreach (var f in LargestMagnitudes(b, abs.K)) Keep(b, f, PreActs[b * n + f]);
                break;
            case Selection.GroupMax groups:
                var size = n / groups.K;
                for (var g = 0; g < groups.K; g++)
                {
                    var best = g * size + Largest(z.Slice(g * size, size), 1)[0];
                    Keep(b, best, Math.Max(0, z[best]));
                }
                break;
        }
    }

    double Magnitude(double pi, int f) => Math.Exp(RMag[f]) * (pi - BEnc[f]) + BMag[f];

    void Keep(int b, int f, double value)
    {
        if (double.IsNaN(value)) value = 0;
        Value[b * n + f] = value;
        if (spec.Nested is Nesting.Prefixes)
            while (level[b * n + f] < M - 1 && f >= scalars.Prefix[level[b * n + f]]) level[b * n + f]++;
    }

    void KeepLargest(int b, ReadOnlySpan<double> z, int k)
    {
        var chosen = Choose(b, z, k);
        foreach (var f in chosen) Keep(b, f, Math.Max(0, z[f]));
        if (spec.Nested is not Nesting.Budgets budgets) return;
        foreach (var f in chosen)
        {
            var rank = 0;
            foreach (var other in chosen)
                if (z[other] > z[f] || z[other] == z[f] && other < f) rank++;
            while (rank >= budgets.Ks[level[b * n + f]]) level[b * n + f]++;
        }
    }

    /// <summary>By |z|, then the positive, then the lower index.</summary>
    int[] LargestMagnitudes(int b, int k) =>
        Chosen is { } given ? [.. Enumerable.Range(0, n).Where(f => given[b * n + f])]
        : [.. Enumerable.Range(0, n)
            .OrderByDescending(f => double.IsNaN(PreActs[b * n + f]) ? -1 : Math.Abs(PreActs[b * n + f]))
            .ThenByDescending(f => PreActs[b * n + f] > 0).ThenBy(f => f).Take(k).Order()];

    int[] Choose(int b, ReadOnlySpan<double> keys, int k) =>
        Chosen is { } given ? [.. Enumerable.Range(0, n).Where(f => given[b * n + f])] : Largest(keys, k);

    /// <summary>Each row's largest positive pre-activations, of those the B·k largest; of equal ones the earlier row,
    /// then the lower index.</summary>
    void SelectBatch(Selection.BatchTopK batch)
    {
        var room = batch.Capacity(n);
        var candidates = new List<(double Z, int Entry)>();
        for (var b = 0; b < B; b++)
        {
            var own = Largest(PreActs.AsSpan(b * n, n), room);
            if (PreActs[b * n + own.MinBy(f => PreActs[b * n + f])] > 0 && room < n) Sums.Overflows++;
            foreach (var f in own)
                if (PreActs[b * n + f] > 0) candidates.Add((PreActs[b * n + f], b * n + f));
        }
        var kept = Chosen is { } given ? candidates.Where(c => given[c.Entry])
            : scalars.Inference == 1 ? candidates.Where(c => c.Z > BatchThreshold)
            : candidates.OrderByDescending(c => c.Z).ThenBy(c => c.Entry).Take(B * batch.K);
        smallestKept = double.PositiveInfinity;
        foreach (var (z, entry) in kept)
        {
            Keep(entry / n, entry % n, z);
            smallestKept = Math.Min(smallestKept, z);
        }
    }

    /// <summary>The running mean of the smallest value kept; a batch without positive values leaves it alone.</summary>
    void MoveBatchThreshold(Selection.BatchTopK batch)
    {
        if (scalars.Inference == 0 && !double.IsInfinity(smallestKept))
            BatchThreshold = BatchThreshold == 0 ? smallestKept
                : batch.ThresholdDecay * BatchThreshold + (1 - batch.ThresholdDecay) * smallestKept;
        Sums.Threshold = (float)BatchThreshold;
    }

    public const int SpreadRows = 48;
    public const double SpreadDecay = 0.99;

    /// <summary>Running mean and variance of each latent's z over the first rows of the batches.</summary>
    void MeasureSpread()
    {
        if (spec.Selection is not Selection.JumpRelu { AdaptiveBandwidth: true } || scalars.Inference == 1) return;
        var rows = Math.Min(B, SpreadRows);
        for (var f = 0; f < n; f++)
        {
            double mean = 0, variance = 0;
            for (var b = 0; b < rows; b++) mean += PreActs[b * n + f] / rows;
            for (var b = 0; b < rows; b++) variance += Math.Pow(PreActs[b * n + f] - mean, 2) / rows;
            var keep = scalars.Step == 1 ? 0 : SpreadDecay;
            var away = mean - spreadMean[f];
            spreadMean[f] += (1 - keep) * away;
            spreadVariance[f] = keep * (spreadVariance[f] + (1 - keep) * away * away) + (1 - keep) * variance;
        }
    }

    /// <summary>ε_f.</summary>
    public double Bandwidth(int f) => spec.Selection is not Selection.JumpRelu jump ? 0
        : jump.AdaptiveBandwidth ? jump.Bandwidth * Math.Sqrt(Math.Max(1e-12, spreadVariance[f])) : jump.Bandwidth;

    /// <summary>Positions of the k largest numbers, ascending. NaN is lowest, −0 equals 0, of equal ones the lower
    /// position wins.</summary>
    public static int[] Largest(ReadOnlySpan<double> numbers, int k)
    {
        var order = new int[numbers.Length];
        var keys = new double[numbers.Length];
        for (var f = 0; f < numbers.Length; f++)
        {
            order[f] = f;
            keys[f] = numbers[f] + 0.0;
        }
        Array.Sort(order, (p, q) =>
        {
            var byValue = double.IsNaN(keys[p]) || double.IsNaN(keys[q])
                ? double.IsNaN(keys[p]).CompareTo(double.IsNaN(keys[q]))
                : keys[q].CompareTo(keys[p]);
            return byValue != 0 ? byValue : p.CompareTo(q);
        });
        var chosen = order[..k];
        Array.Sort(chosen);
        return chosen;
    }
}
