namespace CudaSae.Numerics;

/// <summary>Σ‖y − ȳ‖² over rows that come one after the other, in double. Deviations are taken from the first row: of N
/// rows their squares exceed the result by a factor of at most N, whatever the mean is. Equal rows leave exactly
/// 0.</summary>
/// <param name="width">Of a row.</param>
sealed class SpreadSum(int width)
{
    readonly float[] first = new float[width];
    readonly double[] sum = new double[width];
    double squares;

    public long Rows { get; private set; }

    public void Add(ReadOnlySpan<float> row)
    {
        if (Rows++ == 0) row.CopyTo(first);
        for (var i = 0; i < sum.Length; i++)
        {
            var away = (double)row[i] - first[i];
            sum[i] += away;
            squares += away * away;
        }
    }

    /// <summary>0 of no rows.</summary>
    public double Total => Rows == 0 ? 0 : Math.Max(0, squares - Doubles.Squares(sum) / Rows);
}
