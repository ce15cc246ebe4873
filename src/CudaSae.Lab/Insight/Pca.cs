using CudaSae.Activations;
using CudaSae.Numerics;

namespace CudaSae.Lab.Insight;

/// <summary>Principal components of training rows as a yardstick for SAEs: what a linear code of so many numbers a row
/// leaves unexplained on held-out rows. In double.</summary>
sealed class Pca
{
    /// <summary>Widest rows that it takes: the eigenvectors cost O(d³).</summary>
    public const int MaxWidth = 2048;

    const int MaxRows = 65_536;         // that the covariance is taken of, drawn at random where there are more
    const int Panel = 64;               // rows that are multiplied at once

    readonly int d;

    /// <param name="rows">Training rows: the first ones of the source.</param>
    /// <param name="first">First column of the target, which is what is to be reconstructed.</param>
    /// <param name="columns">Its width, at most <see cref="MaxWidth"/>.</param>
    /// <exception cref="SaeException">The rows are too wide, or none is finite.</exception>
    public Pca(ActivationSource source, long rows, int first, int columns)
    {
        if (columns > MaxWidth)
            throw new SaeException($"rows of {columns} numbers are too wide for principal components here, which take "
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
                // turned, so that two coordinates' rows lie side by side
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

    /// <summary>Rows in random order, but for those that are not finite.</summary>
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

    /// <summary>Rows that were looked at.</summary>
    public int Rows { get; }

    /// <summary>[d] of the training rows.</summary>
    public double[] Mean { get; }

    /// <summary>Of the covariance.</summary>
    public SymmetricEigen Eigen { get; }

    /// <summary>Fractions of variance unexplained on other rows, Σ‖x − x̂‖² / Σ‖x − x̄‖², x̄ their own mean as
    /// everywhere. x̂ = mean of training + the kept coordinates in the components' basis. NaN where all rows are
    /// equal.</summary>
    /// <returns>[d + 1] with the first k components; [d + 1] with each row's k coordinates largest in
    /// magnitude.</returns>
    public (double[] Components, double[] Largest) Unexplained(ActivationSource source, long firstRow, long rows,
        int first)
    {
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

    /// <summary>What is left of a row behind each square: their sums from the last one on, which subtract
    /// nothing.</summary>
    static void Add(double[] unexplained, double[] squares)
    {
        double rest = 0;
        for (var k = squares.Length; k-- > 0;) unexplained[k] += rest += squares[k];
    }
}
