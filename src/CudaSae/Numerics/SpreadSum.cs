namespace CudaSae.Numerics;

/// <summary>Accumulates Σ‖y − ȳ‖² over successive rows, in double. Deviations are taken from the first row: over N rows
/// their squares exceed the result by a factor of at most N, whatever the mean is. Equal rows give exactly 0.</summary>
/// <param name="width">Number of columns.</param>
sealed class SpreadSum(int width)
{
    readonly float[] first = new float[width];
    readonly double[] sum = new double[width];
    double squares;

    /// <summary>Number of rows added.</summary>
    public long Rows { get; private set; }

    /// <summary>Adds a row.</summary>
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

    /// <summary>The sum so far; 0 before the first row.</summary>
    public double Total => Rows == 0 ? 0 : Math.Max(0, squares - Doubles.Squares(sum) / Rows);
}
