using System.Numerics;
using CudaSae.Numerics;

namespace CudaSae.Lab.Synthetic;

/// <summary>How much of a known dictionary an SAE found. Cosines are absolute: the sign of a row is not
/// counted.</summary>
/// <param name="Features">m: rows of the true dictionary.</param>
/// <param name="Latents">n: rows of the learned one.</param>
/// <param name="Recovered">Share of true features whose best cosine with a learned row is above
/// <see cref="Threshold"/>.</param>
/// <param name="MeanMaxCosine">Mean over true features of their best cosine (MMCS, Sharkey et al. 2022).</param>
/// <param name="MatchedCosine">The same where no learned row may serve twice, under the best such matching; a feature
/// without a partner
/// counts 0. Null where both sides exceed <see cref="MaxMatched"/>.</param>
sealed record Recovery(long Features, long Latents, double Recovered, double MeanMaxCosine, double? MatchedCosine)
{
    public const double Threshold = 0.9;
    public const int MaxMatched = 2048;

    /// <param name="truth">[m, d].</param>
    /// <param name="learned">[n, d], W_dec.</param>
    public static Recovery Of(Matrix truth, Matrix learned)
    {
        if (truth.Columns != learned.Columns)
            throw new SaeException($"the dictionary is {truth.Columns} wide, the SAE {learned.Columns}; name the "
                + "dictionary that its data were made with");
        using UnitRows truths = new(truth, "the dictionary"), latents = new(learned, "W_dec");
        var (t, l) = (truths.Rows, latents.Rows);
        using var cosines = Math.Min(t.Rows, l.Rows) <= MaxMatched ? new Matrix(t.Rows, checked((int)l.Rows)) : null;
        var best = new double[t.Rows];
        Parallel.For(0L, t.Rows, f =>
        {
            for (long j = 0; j < l.Rows; j++)
            {
                var cosine = Math.Min(1, Math.Abs(Dot(t[f], l[j])));
                best[f] = Math.Max(best[f], cosine);
                if (cosines is not null) cosines[f][(int)j] = cosine;
            }
        });
        return new(t.Rows, l.Rows, (double)best.Count(c => c > Threshold) / t.Rows, best.Average(), Matched(cosines));
    }

    static double? Matched(Matrix? cosines)
    {
        if (cosines is null) return null;
        var columnOf = Assignment.Maximize(cosines);
        double sum = 0;
        for (var f = 0; f < columnOf.Length; f++)
            if (columnOf[f] >= 0) sum += cosines[f][columnOf[f]];
        return sum / columnOf.Length;
    }

    static float Dot(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        var sums = Vector<float>.Zero;
        var i = 0;
        for (; i <= a.Length - Vector<float>.Count; i += Vector<float>.Count)
            sums += new Vector<float>(a[i..]) * new Vector<float>(b[i..]);
        var sum = Vector.Sum(sums);
        for (; i < a.Length; i++) sum += a[i] * b[i];
        return sum;
    }
}
