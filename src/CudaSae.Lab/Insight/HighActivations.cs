using CudaSae.Formats;
using CudaSae.Numerics;

namespace CudaSae.Lab.Insight;

/// <summary>Measures codes of which only values above a share of their latent's maximum count. It needs a second pass,
/// because the maxima are over the same rows.</summary>
/// <param name="max">[n], <see cref="LatentStatistics.Max"/>.</param>
sealed class HighActivations(SaeModel model, float[] max) : ICodeVisitor
{
    /// <summary>The levels, 10 % to 90 %.</summary>
    public static double[] Levels { get; } = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

    readonly double[] squaredError = new double[Levels.Length];
    readonly double[] error = new double[model.Spec.OutputWidth];
    readonly SpreadSum spread = new(model.Spec.OutputWidth);
    readonly long[] rowsAbove = new long[Levels.Length], above = new long[Levels.Length];
    readonly List<(double Share, int Entry)> sorted = [];
    long rows;

    /// <summary>Share of the rows with a latent above a level.</summary>
    public double RowShare(int level) => (double)rowsAbove[level] / rows;

    /// <summary>Mean number of latents above a level in a row.</summary>
    public double PerRow(int level) => (double)above[level] / rows;

    /// <summary>Σ‖x̂_level − y‖² / Σ‖y − ȳ‖², where x̂_level omits the values at or below the level; NaN if all rows
    /// are equal.</summary>
    public double Fvu(int level) => Ratio.Of(squaredError[level], spread.Total) ?? double.NaN;

    public void Visit(in CodeBatch batch)
    {
        var d = error.Length;
        for (var b = 0; b < batch.Rows; b++)
        {
            var y = batch.Target.Slice(b * d, d);
            var h = batch.Reconstruction.Slice(b * d, d);
            for (var c = 0; c < d; c++) error[c] = (double)h[c] - y[c];
            spread.Add(y);
            Row(batch.Codes.Indices(b), batch.Codes.Values(b), batch.Codes.Undo(b).Scale);
        }
        rows += batch.Rows;
    }

    /// <summary>Visits the levels in ascending order; each removes more values from x̂.</summary>
    void Row(ReadOnlySpan<int> index, ReadOnlySpan<float> value, float scale)
    {
        sorted.Clear();
        for (var j = 0; j < index.Length; j++) sorted.Add(((double)Math.Abs(value[j]) / max[index[j]], j));
        sorted.Sort();
        var next = 0;
        for (var level = 0; level < Levels.Length; level++)
        {
            for (; next < sorted.Count && sorted[next].Share <= Levels[level]; next++)
            {
                var j = sorted[next].Entry;
                Doubles.Add(error, -(double)value[j] * scale, model.Parameters.WDec[index[j]]);
            }
            squaredError[level] += Doubles.Squares(error);
            above[level] += sorted.Count - next;
            if (sorted.Count > next) rowsAbove[level]++;
        }
    }
}
