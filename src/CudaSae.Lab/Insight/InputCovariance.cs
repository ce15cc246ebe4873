using CudaSae.Numerics;

namespace CudaSae.Lab.Insight;

/// <summary>Computes the covariance of raw inputs from at most <see cref="MaxRows"/> rows at equal distances.</summary>
/// <param name="mean">[d], <see cref="InputCoordinates.Mean"/> over all rows.</param>
/// <param name="rows">Number of rows that the pass visits.</param>
sealed class InputCovariance(double[] mean, long rows) : ICodeVisitor
{
    const long MaxRows = 16_384;

    readonly long stride = (rows + MaxRows - 1) / MaxRows;
    readonly double[] sums = new double[mean.Length * mean.Length], away = new double[mean.Length];
    long seen, taken;

    public void Visit(in CodeBatch batch)
    {
        var d = mean.Length;
        for (var b = 0; b < batch.Rows; b++)
        {
            if (seen++ % stride != 0) continue;
            taken++;
            for (var c = 0; c < d; c++) away[c] = batch.Input[b * d + c] - mean[c];
            for (var c = 0; c < d; c++) Doubles.Axpy(away[c], away.AsSpan(0, c + 1), sums.AsSpan(c * d, c + 1));
        }
    }

    /// <summary>A new matrix, [d, d] row-major, symmetric.</summary>
    public double[] Matrix()
    {
        var (d, matrix) = (mean.Length, new double[sums.Length]);
        for (var i = 0; i < d; i++)
            for (var j = 0; j <= i; j++) matrix[i * d + j] = matrix[j * d + i] = sums[i * d + j] / taken;
        return matrix;
    }
}
