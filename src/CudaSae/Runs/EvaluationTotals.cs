using CudaSae.Backends;
using CudaSae.Numerics;

namespace CudaSae.Runs;

/// <summary>Accumulates the sums of an <see cref="Evaluation"/> over rows, in double.</summary>
/// <param name="width">d_out.</param>
/// <param name="n">Number of latents.</param>
/// <param name="siteWidths">Widths of a crosscoder's sites, which also get separate sums; null for none.</param>
sealed class EvaluationTotals(int width, int n, int[]? siteWidths = null) : ICodeVisitor
{
    readonly SiteTotals? sites = SiteTotals.Of(siteWidths);
    readonly SpreadSum spread = new(width);
    readonly float[] target = new float[width];
    readonly int[] firings = new int[n];
    readonly bool[] fired = new bool[n];
    double squaredError, reconstructed, product, cosine, active;

    /// <summary>Creates the totals of a loaded SAE.</summary>
    public static EvaluationTotals For(Sae sae) => new(sae.OutputWidth, sae.Latents, sae.Spec.Sites);

    internal void Add(ReadOnlySpan<float> raw, double scale, ReadOnlySpan<float> xhat)
    {
        double yy = 0, hh = 0, yh = 0;
        for (var i = 0; i < width; i++)
        {
            var y = target[i] = raw[i] * (float)scale;
            yy += (double)y * y;
            hh += (double)xhat[i] * xhat[i];
            yh += (double)y * xhat[i];
            squaredError += ((double)xhat[i] - y) * ((double)xhat[i] - y);
        }
        spread.Add(target);
        reconstructed += hh;
        product += yh;
        cosine += yh / Math.Max(Math.Sqrt(yy * hh), 1e-300);
        sites?.Add(raw, scale, xhat);
    }

    /// <summary>Adds the firings of the last batch, each with the weight <paramref name="times"/>.</summary>
    internal void AddFirings(IBackend backend, double times)
    {
        backend.ReadFirings(firings);
        for (var f = 0; f < n; f++)
        {
            active += times * firings[f];
            fired[f] |= firings[f] > 0;
        }
    }

    /// <summary>Adds the entries of a row that <see cref="AddFirings"/> does not count.</summary>
    /// <param name="code">[n] The whole row.</param>
    /// <param name="counted">Number of its entries that <see cref="AddFirings"/> counts.</param>
    internal void AddRest(ReadOnlySpan<float> code, int counted)
    {
        active -= counted;
        for (var f = 0; f < n; f++)
        {
            if (code[f] == 0) continue;
            active++;
            fired[f] = true;
        }
    }

    public void Visit(in CodeBatch batch)
    {
        for (var b = 0; b < batch.Rows; b++)
            Add(batch.Target.Slice(b * width, width), 1, batch.Reconstruction.Slice(b * width, width));
        active += batch.Codes.Count;
        foreach (var f in batch.Codes.AllIndices) fired[f] = true;
    }

    /// <summary>Returns the measures of the rows that were added.</summary>
    /// <param name="leftOut">Number of rows that were not added because they hold NaN or infinity.</param>
    public Evaluation Finish(long leftOut)
    {
        var rows = spread.Rows;
        return new(rows, Ratio.Of(squaredError, spread.Total), active / rows, 100.0 * fired.Count(f => !f) / n,
            cosine / rows, Ratio.Of(reconstructed, product))
        { LeftOut = leftOut, SiteFvu = sites?.Fvu() };
    }
}
