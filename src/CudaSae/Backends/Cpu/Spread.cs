using System.Runtime.Intrinsics;

namespace CudaSae.Backends.Cpu;

/// <summary>Sums of squares about the columns' means, as kernels/spread.cuh forms them: over blocks of rows about each
/// block's first row, then over the blocks about the first block's mean. No difference of large numbers is left, and
/// equal rows leave exactly 0.</summary>
/// <param name="rows">Of the matrix.</param>
/// <param name="lo">Its pitch: a multiple of 16.</param>
/// <param name="rowBlock">Rows of a block.</param>
unsafe struct Spread(HostArena arena, string of, int rows, int lo, int rowBlock)
{
    readonly int blocks = (rows + rowBlock - 1) / rowBlock;
    readonly double* means = arena.Take<double>($"column means of {of}", (rows + rowBlock - 1) / rowBlock * (long)lo);
    readonly double* spreads = arena.Take<double>($"column spreads of {of}",
        (rows + rowBlock - 1) / rowBlock * (long)lo);

    /// <summary>Means and sums of squared deviations of one block.</summary>
    /// <param name="values">[rows, lo].</param>
    public readonly void AddBlock(float* values, int block)
    {
        var first = (long)block * rowBlock;
        var count = (int)Math.Min(rowBlock, rows - first);
        for (var i = 0; i < lo; i += 8)
        {
            var start = Vector256.Load(values + first * lo + i);
            Vector512<double> sum = Vector512<double>.Zero, squares = sum;
            for (var b = first + 1; b < first + count; b++)
            {
                var away = Widen(Vector256.Load(values + b * lo + i) - start);
                sum += away;
                squares = Vector512.FusedMultiplyAdd(away, away, squares);
            }
            var to = (long)block * lo + i;
            (Widen(start) + sum / count).Store(means + to);
            Vector512.Max(Vector512<double>.Zero, squares - sum * sum / count).Store(spreads + to);
        }
    }

    static Vector512<double> Widen(Vector256<float> v)
    {
        var (low, high) = Vector256.Widen(v);
        return Vector512.Create(low, high);
    }

    /// <summary>Σ ‖v − v̄‖² over all rows, from all blocks.</summary>
    public readonly double Total()
    {
        double total = 0;
        for (var i = 0; i < lo; i++)
        {
            double sum = 0, squares = 0, inside = 0;
            for (var block = 0; block < blocks; block++)
            {
                var at = (long)block * lo + i;
                double count = Math.Min(rowBlock, rows - block * rowBlock), away = means[at] - means[i];
                sum += count * away;
                squares += count * away * away;
                inside += spreads[at];
            }
            total += inside + Math.Max(0, squares - sum * sum / rows);
        }
        return total;
    }
}
