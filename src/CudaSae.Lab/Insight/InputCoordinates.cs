using CudaSae.Numerics;

namespace CudaSae.Lab.Insight;

/// <summary>Computes mean and variance of each input coordinate over rows of raw activations, by Welford's recurrence
/// in double.</summary>
sealed class InputCoordinates(int width) : ICodeVisitor
{
    readonly double[] squares = new double[width];
    long rows;

    /// <summary>[d].</summary>
    public double[] Mean { get; } = new double[width];

    /// <summary>E(x_c − mean_c)² of coordinate c.</summary>
    public double Variance(int c) => squares[c] / rows;

    /// <summary>Rank of each coordinate by ascending variance, from 1.</summary>
    public int[] VarianceRanks()
    {
        var rank = new int[width];
        var place = 0;
        foreach (var c in Enumerable.Range(0, width).OrderBy(Variance)) rank[c] = ++place;
        return rank;
    }

    public void Visit(in CodeBatch batch)
    {
        for (var b = 0; b < batch.Rows; b++)
        {
            rows++;
            var x = batch.Input.Slice(b * width, width);
            for (var c = 0; c < width; c++)
            {
                var away = x[c] - Mean[c];
                Mean[c] += away / rows;
                squares[c] += away * (x[c] - Mean[c]);
            }
        }
    }
}

/// <summary>Computes mean and variance of ⟨x, direction⟩ over rows of raw activations.</summary>
/// <param name="direction">[d], with norm 1.</param>
sealed class InputProjection(double[] direction) : ICodeVisitor
{
    double squares;
    long rows;

    public double Mean { get; private set; }
    public double Variance => squares / rows;

    public void Visit(in CodeBatch batch)
    {
        for (var b = 0; b < batch.Rows; b++)
        {
            rows++;
            var p = Doubles.Dot(batch.Input.Slice(b * direction.Length, direction.Length), direction);
            var away = p - Mean;
            Mean += away / rows;
            squares += away * (p - Mean);
        }
    }
}
