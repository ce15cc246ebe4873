using CudaSae.Lab.Insight.Contexts;

namespace CudaSae.Lab.Insight.Images;

/// <summary>Of each latent how often it fires, the rows on which it is largest, and its activation mass a
/// class.</summary>
/// <param name="latents">n.</param>
/// <param name="classes">C; 0 where there are no labels.</param>
/// <param name="labelOf">Class of a row; not asked without classes.</param>
sealed class ImageLatents(int latents, int classes, Func<long, int> labelOf) : ICodeVisitor
{
    /// <summary>Rows that are kept of each latent.</summary>
    public const int Kept = 16;

    readonly TopRows top = new(latents, Kept);
    long firstRow;
    readonly long[] fired = new long[latents];
    readonly double[] mass = new double[latents * classes];

    /// <summary>Rows seen.</summary>
    public long Rows { get; private set; }
    public int Latents => latents;
    public int Classes => classes;

    /// <summary>Rows seen, by class.</summary>
    public long[] ClassRows { get; } = new long[classes];

    /// <summary>Share of the rows on which a latent is not 0.</summary>
    public double Density(int latent) => (double)fired[latent] / Math.Max(1, Rows);

    /// <summary>Rows on which it is largest, descending; of equal ones the earlier first.</summary>
    public (float Value, long Row)[] Of(int latent)
    {
        var rows = top.Rows(latent);
        var values = top.Values(latent);
        var all = new (float, long)[rows.Length];
        for (var i = 0; i < all.Length; i++) all[i] = (values[i], firstRow + rows[i]);
        return all;
    }

    /// <summary>Σ of a latent's activations on rows of a class over Σ on all rows; 0 for a silent one.</summary>
    public double Share(int latent, int category)
    {
        double all = 0;
        for (var c = 0; c < classes; c++) all += mass[latent * classes + c];
        return all > 0 ? mass[latent * classes + category] / all : 0;
    }

    /// <summary>The class with the largest share, and that share: 1 for a latent of one class, 1 / C for one that tells
    /// none apart.</summary>
    public (int Class, double Share) Purity(int latent) =>
        Enumerable.Range(0, classes).Select(c => (c, Share(latent, c))).DefaultIfEmpty().MaxBy(p => p.Item2);

    public void Visit(in CodeBatch batch)
    {
        if (Rows == 0) firstRow = batch.FirstRow;
        for (var b = 0; b < batch.Rows; b++)
        {
            var row = batch.FirstRow + b;
            var indices = batch.Codes.Indices(b);
            var values = batch.Codes.Values(b);
            var label = classes > 0 ? labelOf(row) : 0;
            if (classes > 0) ClassRows[label]++;
            for (var e = 0; e < indices.Length; e++)
            {
                fired[indices[e]]++;
                if (classes > 0) mass[indices[e] * classes + label] += Math.Abs(values[e]);
                top.Offer(indices[e], (int)(row - firstRow), values[e]);
            }
        }
        Rows += batch.Rows;
    }
}
