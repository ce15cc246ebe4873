using CudaSae.Activations;

namespace CudaSae.Lab.Insight.Probes;

/// <summary>Logistic probes of one property.</summary>
/// <param name="Property">Its place among the labels' properties.</param>
/// <param name="Latents">Chosen ones, the best first; the probe of k reads the first k.</param>
/// <param name="Sparse">For each k that was asked for.</param>
/// <param name="Dense">On the raw activations; null if it was not requested.</param>
/// <param name="Blind">Without any input.</param>
/// <param name="Unconverged">Fits that stopped above the gradient's tolerance.</param>
sealed record SparseProbeResult(int Property, int[] Latents, ProbeScore[] Sparse, ProbeScore? Dense, ProbeScore Blind,
    int Unconverged);

/// <summary>k-sparse probing (Gurnee et al. 2023, arXiv 2305.01610): over the rows that choose, latents are ranked by
/// the absolute difference of their mean with and without the answer in standard deviations, and a logistic regression
/// is fitted to the first k; the other rows measure it. Beside it one on all d raw activations.</summary>
sealed class SparseProbe
{
    /// <summary>Properties with fewer rows of either kind, on either side of the split, are not probed.</summary>
    public const int LeastRows = 10;

    readonly Labels labels;
    readonly bool[] chooses;
    readonly CodeColumns columns;
    readonly Dictionary<int, int> place;        // of a latent among the columns
    readonly int[] ks;
    readonly double l2;
    readonly float[]? raw;                      // [rows, d]
    readonly int width;

    /// <param name="chooses">[rows]: the split.</param>
    /// <param name="columns">Of all latents that are going to be chosen.</param>
    /// <param name="ks">Numbers of latents, ascending.</param>
    /// <param name="raw">[rows, d] for the dense probe, or null.</param>
    public SparseProbe(Labels labels, bool[] chooses, CodeColumns columns, int[] ks, double l2, float[]? raw)
    {
        (this.labels, this.chooses, this.columns, this.ks, this.l2, this.raw) = (labels, chooses, columns, ks, l2, raw);
        (place, width) = (columns.Latents.Select((latent, c) => (latent, c)).ToDictionary(p => p.latent, p => p.c),
            raw is null ? 0 : raw.Length / labels.Rows);
    }

    /// <summary>Raw activations of the first rows, for the dense probe.</summary>
    /// <param name="width">Numbers of a row that are wanted, from its start: the input's.</param>
    /// <exception cref="SaeException">They take more than the budget.</exception>
    public static float[] Read(ActivationSource source, int rows, int width, long budget)
    {
        var size = (long)rows * width;
        if (size > Array.MaxLength || size * sizeof(float) > budget)
            throw new SaeException($"a logistic probe on {rows} rows of {width} takes {size * sizeof(float) >> 20} "
                + $"MiB, the budget is {budget >> 20} MiB; give fewer --rows, or a larger --memory, or leave "
                + "--logistic out");
        var (raw, row) = (new float[size], new float[source.Width]);
        for (var r = 0; r < rows; r++)
        {
            source.ReadRow(r, row);
            row.AsSpan(0, width).CopyTo(raw.AsSpan(r * width));
        }
        return raw;
    }

    /// <summary>Probes those properties that have the rows for it, in order.</summary>
    /// <param name="results">Of the search over all latents.</param>
    public SparseProbeResult[] Run(IReadOnlyList<PropertyResult> results)
    {
        var probed = new SparseProbeResult?[results.Count];
        Parallel.For(0, results.Count, p => probed[p] = One(p, [.. results[p].ByDifference.Select(c => c.Latent)]));
        return [.. probed.Where(p => p is not null).Select(p => p!)];
    }

    SparseProbeResult? One(int p, int[] latents)
    {
        var property = labels.Properties[p];
        var answers = labels[property.Question].ToArray();
        int[] fit = [.. Enumerable.Range(0, labels.Rows).Where(r => chooses[r] && answers[r] >= 0)],
        test = [.. Enumerable.Range(0, labels.Rows).Where(r => !chooses[r] && answers[r] >= 0)];
        bool[] fitTruth = [.. fit.Select(r => answers[r] == property.Class)],
        testTruth = [.. test.Select(r => answers[r] == property.Class)];
        if (latents.Length == 0 || Fewest(fitTruth) < LeastRows || Fewest(testTruth) < LeastRows) return null;
        var unconverged = 0;
        var sparse = ks.Select(k =>
            Measure(Gather(fit, latents, k), Gather(test, latents, k), Math.Min(k, latents.Length)))
            .ToArray();
        ProbeScore? dense = raw is null ? null : Measure(GatherRaw(fit), GatherRaw(test), width);
        return new(p, latents, sparse, dense, ProbeScore.Blind(fitTruth, testTruth), unconverged);

        ProbeScore Measure(float[] fitted, float[] tested, int wide)
        {
            var regression = LogisticRegression.Fit(fitted, fitTruth, wide, l2);
            unconverged += regression.Converged ? 0 : 1;
            double[] z = new double[fit.Length], testZ = new double[test.Length];
            regression.Predict(fitted, z);
            regression.Predict(tested, testZ);
            return ProbeScore.Of(z, fitTruth, testZ, testTruth);
        }
    }

    static int Fewest(bool[] truth) => Math.Min(truth.Count(t => t), truth.Count(t => !t));

    /// <summary>Values of the first k latents on some rows, ascending: [rows, k].</summary>
    float[] Gather(int[] rows, int[] latents, int k)
    {
        k = Math.Min(k, latents.Length);
        var into = new float[rows.Length * k];
        for (var j = 0; j < k; j++)
        {
            var active = columns.Rows(place[latents[j]]);
            var values = columns.Values(place[latents[j]]);
            for (int r = 0, at = 0; r < rows.Length; r++)
            {
                while (at < active.Length && active[at] < rows[r]) at++;
                if (at < active.Length && active[at] == rows[r]) into[r * k + j] = values[at];
            }
        }
        return into;
    }

    float[] GatherRaw(int[] rows)
    {
        var into = new float[(long)rows.Length * width];
        for (var r = 0; r < rows.Length; r++) raw.AsSpan(rows[r] * width, width).CopyTo(into.AsSpan(r * width));
        return into;
    }
}
