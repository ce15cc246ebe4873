using System.Runtime.Intrinsics;

namespace CudaSae.Backends.Cpu;

/// <summary>Sums of squares about the columns' means, in the order of kernels/spread.cuh: over blocks of rows about
/// each block's first row, then over the blocks about the first block's mean. No difference of large numbers remains,
/// and equal rows give exactly 0.</summary>
/// <param name="of">The name of the matrix in the memory plan.</param>
/// <param name="rows">Rows of the matrix.</param>
/// <param name="lo">Floats between two rows, a multiple of 16.</param>
/// <param name="rowBlock">Rows of a block.</param>
readonly unsafe struct Spread(HostArena arena, string of, int rows, int lo, int rowBlock)
{
    readonly int blocks = (rows + rowBlock - 1) / rowBlock;
    readonly double* means = arena.Take<double>($"column means of {of}", (rows + rowBlock - 1) / rowBlock * (long)lo);
    readonly double* spreads = arena.Take<double>($"column spreads of {of}",
        (rows + rowBlock - 1) / rowBlock * (long)lo);

    /// <summary>Computes the means and the sums of squared deviations of one block.</summary>
    /// <param name="values">[rows, lo].</param>
    public void AddBlock(float* values, int block)
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
    public double Total()
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
