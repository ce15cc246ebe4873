using CudaSae.Activations;
using CudaSae.Numerics;

namespace CudaSae.Lab.Insight;

/// <summary>Computes principal components of training rows in double. They are a yardstick for SAEs: the variance of
/// held-out rows that a linear code with k numbers a row leaves unexplained.</summary>
sealed class Pca
{
    /// <summary>The maximum width of a row; the eigenvectors cost O(d³).</summary>
    public const int MaxWidth = 2048;

    const int MaxRows = 65_536;         // in the covariance, drawn at random if there are more
    const int Panel = 64;               // rows in one product

    readonly int d;

    /// <param name="rows">Number of training rows, which are the first of the source.</param>
    /// <param name="first">First column of the target, which SAEs reconstruct.</param>
    /// <param name="columns">Width of the target, at most <see cref="MaxWidth"/>.</param>
    /// <exception cref="SaeException">The rows are too wide, or none is finite.</exception>
    public Pca(ActivationSource source, long rows, int first, int columns)
    {
        if (columns > MaxWidth)
            throw new SaeException($"rows of {columns} numbers are too wide for principal components, which take "
                + $"up to {MaxWidth}");
        d = columns;
        Mean = new double[d];
        var order = Drawn(source, rows);
        Rows = order.Count;
        var row = new float[source.Width];
        for (var i = 0; i < Rows; i++)
        {
            source.ReadRow(order[i], row);
            for (var c = 0; c < d; c++) Mean[c] += row[first + c] / (double)Rows;
        }
        var covariance = new double[d * d];
        var panel = new double[Panel * d];
        for (var start = 0; start < Rows; start += Panel)
        {
            var count = Math.Min(Panel, Rows - start);
            for (var b = 0; b < count; b++)
            {
                source.ReadRow(order[start + b], row);
                // transposed, so that the values of a coordinate are contiguous
                for (var c = 0; c < d; c++) panel[c * Panel + b] = row[first + c] - Mean[c];
            }
            for (var c = 0; count < Panel && c < d; c++) panel.AsSpan(c * Panel + count, Panel - count).Clear();
            Parallel.For(0, (d + 15) / 16, block =>
            {
                for (var i = 16 * block; i < Math.Min(d, 16 * block + 16); i++)
                    for (var j = 0; j <= i; j++)
                        covariance[i * d + j] +=
                            Doubles.Dot(panel.AsSpan(i * Panel, Panel), panel.AsSpan(j * Panel, Panel));
            });
        }
        for (var i = 0; i < d; i++)
            for (var j = 0; j <= i; j++) covariance[j * d + i] = covariance[i * d + j] /= Rows;
        Eigen = new(covariance, d);
    }

    /// <summary>The finite rows, in random order.</summary>
    static List<long> Drawn(ActivationSource source, long rows)
    {
        var (order, drawn, row) = (new RowPermutation(1, 0, rows), new List<long>(), new float[source.Width]);
        for (long i = 0; i < rows && drawn.Count < MaxRows; i++)
        {
            source.ReadRow(order[i], row);
            if (Finite.All(row)) drawn.Add(order[i]);
        }
        return drawn.Count > 0 ? drawn : throw Finite.NoneOf(rows, source.Paths.FirstOrDefault("the data"));
    }

    /// <summary>Number of rows in the covariance.</summary>
    public int Rows { get; }

    /// <summary>Mean of the training rows, [d].</summary>
    public double[] Mean { get; }

    /// <summary>Eigenvalues and eigenvectors of the covariance.</summary>
    public SymmetricEigen Eigen { get; }

    /// <summary>Fractions of variance unexplained on other rows, Σ‖x − x̂‖² / Σ‖x − x̄‖², where x̄ is the mean of these
    /// rows. x̂ is the mean of the training rows plus the kept coordinates in the basis of the components. NaN if all
    /// rows are equal.</summary>
    /// <returns>[d + 1] with the first k components, and [d + 1] with the k coordinates of each row that are largest in
    /// magnitude.</returns>
    public (double[] Components, double[] Largest) Unexplained(RowSlice held, int first)
    {
        var (source, firstRow, rows) = held;
        var (components, largest) = (new double[d + 1], new double[d + 1]);
        var (raw, centred, squares) = (new float[source.Width], new double[d], new double[d]);
        var spread = new SpreadSum(d);
        for (long i = 0; i < rows; i++)
        {
            source.ReadRow(firstRow + i, raw);
            if (!Finite.All(raw)) continue;
            spread.Add(raw.AsSpan(first, d));
            for (var c = 0; c < d; c++) centred[c] = raw[first + c] - Mean[c];
            Parallel.For(0, (d + 127) / 128, block =>
            {
                for (var j = 128 * block; j < Math.Min(d, 128 * block + 128); j++)
                {
                    var coordinate = Doubles.Dot(centred, Eigen.Vector(j));
                    squares[j] = coordinate * coordinate;
                }
            });
            Add(components, squares);
            squares.AsSpan().Sort(static (a, b) => b.CompareTo(a));
            Add(largest, squares);
        }
        for (var k = 0; k <= d; k++) (components[k], largest[k]) = (Share(components[k]), Share(largest[k]));
        return (components, largest);

        double Share(double squaredError) => Ratio.Of(squaredError, spread.Total) ?? double.NaN;
    }

    /// <summary>Adds what a row leaves unexplained after each coordinate. The sums start at the last square, so that
    /// they need no subtraction.</summary>
    static void Add(double[] unexplained, double[] squares)
    {
        double rest = 0;
        for (var k = squares.Length; k-- > 0;) unexplained[k] += rest += squares[k];
    }
}
