using CudaSae.Numerics;

namespace CudaSae.Activations;

/// <summary>Statistics of the data that the start of a run needs, from a seeded sample, in double.</summary>
sealed class DataStatistics
{
    const int MaxRows = 32_768;             // as for the geometric median of OpenAI's trainer
    const int MaxIterations = 100;
    const double Tolerance = 1e-5;

    /// <summary>Draws the sample and computes its sums.</summary>
    /// <param name="source">The data.</param>
    /// <param name="rows">Number of training rows, which are the first rows of the source.</param>
    /// <param name="seed">Seed of the sample.</param>
    /// <param name="first">First column of the statistics; it separates a transcoder's input from its target.</param>
    /// <param name="columns">Number of columns from there; 0 for all.</param>
    public DataStatistics(ActivationSource source, long rows, ulong seed, int first = 0, int columns = 0)
    {
        var width = columns > 0 ? columns : source.Width - first;
        var row = new float[source.Width];
        var bytes = new byte[source.RowBytes];
        SampleRows = (int)Math.Min(rows, MaxRows);
        sample = new float[(long)SampleRows * width];
        Mean = new double[width];
        var permutation = new RowPermutation(seed ^ 0x5a5a5a5a, 0, rows);
        var taken = 0;
        for (long at = 0; at < rows && taken < SampleRows; at++)
        {
            var i = permutation[at];
            source.Read(i, bytes);
            if (!Finite.All(bytes, source.Type)) continue;
            source.ReadRow(i, row);
            row.AsSpan(first, width).CopyTo(sample.AsSpan(taken++ * width, width));
        }
        if (taken == 0) throw new SaeException("no row of the data is finite");
        (SampleRows, Width) = (taken, width);
        Sum();
    }

    readonly float[] sample;    // [SampleRows, d]

    public int SampleRows { get; }
    public int Width { get; }
    public double[] Mean { get; }                       // [d]
    public double MeanNorm { get; private set; }        // E‖x‖
    public double Variance { get; private set; }        // E‖x − mean‖², summed over coordinates

    /// <summary>Returns a row of the sample.</summary>
    public ReadOnlySpan<float> Row(int i) => sample.AsSpan(i * Width, Width);

    void Sum()
    {
        for (var i = 0; i < SampleRows; i++)
        {
            double squares = 0;
            var row = Row(i);
            for (var c = 0; c < Width; c++)
            {
                Mean[c] += row[c];
                squares += (double)row[c] * row[c];
            }
            MeanNorm += Math.Sqrt(squares) / SampleRows;
        }
        for (var c = 0; c < Width; c++) Mean[c] /= SampleRows;
        for (var i = 0; i < SampleRows; i++) Variance += SquaredDistance(Row(i), Mean) / SampleRows;
    }

    /// <summary>Returns Σ x_c² over the sample for each column c, [d].</summary>
    public double[] SquaresByColumn()
    {
        var squares = new double[Width];
        for (var i = 0; i < SampleRows; i++)
        {
            var row = Row(i);
            for (var c = 0; c < Width; c++) squares[c] += (double)row[c] * row[c];
        }
        return squares;
    }

    static double SquaredDistance(ReadOnlySpan<float> row, ReadOnlySpan<double> from)
    {
        double sum = 0;
        for (var c = 0; c < row.Length; c++) sum += (row[c] - from[c]) * (row[c] - from[c]);
        return sum;
    }

    /// <summary>Returns the point with the smallest sum of distances to the sample, by Weiszfeld's iteration from the
    /// mean.</summary>
    public double[] GeometricMedian() => geometricMedian ??= FindMedian();

    double[]? geometricMedian;

    double[] FindMedian()
    {
        var median = (double[])Mean.Clone();
        for (var iteration = 0; iteration < MaxIterations; iteration++)
        {
            var next = new double[Width];
            double weights = 0, moved = 0;
            for (var i = 0; i < SampleRows; i++)
            {
                var row = Row(i);
                var weight = 1 / Math.Max(Math.Sqrt(SquaredDistance(row, median)), 1e-12 * (1 + MeanNorm));
                weights += weight;
                for (var c = 0; c < Width; c++) next[c] += weight * row[c];
            }
            for (var c = 0; c < Width; c++)
            {
                next[c] /= weights;
                moved += (next[c] - median[c]) * (next[c] - median[c]);
            }
            median = next;
            if (Math.Sqrt(moved) <= Tolerance * MeanNorm) break;
        }
        return median;
    }
}
