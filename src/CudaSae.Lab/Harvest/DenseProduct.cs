using System.Runtime.CompilerServices;
using CudaSae.Numerics;

namespace CudaSae.Lab.Harvest;

/// <summary>Whole products of matrices by <see cref="Gemm.Tile"/>, for what is small beside an SAE: a classifier's
/// layers, cosines of a dictionary with images.</summary>
static unsafe class DenseProduct
{
    /// <summary>A length as whole panels of columns.</summary>
    public static int Padded(int length) => (length + Gemm.TileColumns - 1) / Gemm.TileColumns * Gemm.TileColumns;

    /// <summary>c = init + a · b, each number one sum in ascending order: the same on every thread.</summary>
    /// <param name="a">[R, K].</param>
    /// <param name="b">[K, C], C whole panels.</param>
    /// <param name="init">[R], or null for zeros.</param>
    /// <param name="c">[R, C].</param>
    public static void Run(Workers workers, Matrix a, Matrix b, float[]? init, Matrix c)
    {
        if (a.Columns != b.Rows || c.Rows != a.Rows || c.Columns != b.Columns || b.Columns % Gemm.TileColumns != 0)
            throw new ArgumentException($"[{a.Rows}, {a.Columns}] · [{b.Rows}, {b.Columns}] is not [{c.Rows}, "
                + $"{c.Columns}] in whole panels");
        var panels = b.Columns / Gemm.TileColumns;
        workers.Run((int)((a.Rows + Gemm.TileRows - 1) / Gemm.TileRows) * panels,
            (part, _) => Tile(a, b, init, c, part / panels * Gemm.TileRows, part % panels * Gemm.TileColumns));
    }

    [SkipLocalsInit]
    static void Tile(Matrix a, Matrix b, float[]? init, Matrix c, int row, int column)
    {
        var buffer = stackalloc float[Gemm.TileRows * Gemm.TileColumns + 16];
        var tile = (float*)((nint)buffer + 63 & ~63);
        var rows = stackalloc float*[Gemm.TileRows];
        var start = stackalloc float[Gemm.TileRows];
        for (var r = 0; r < Gemm.TileRows; r++)
        {
            var from = (int)Math.Min(row + r, a.Rows - 1);
            rows[r] = a.Data + (long)from * a.Columns;
            start[r] = init is null ? 0 : init[from];
        }
        Gemm.Tile(rows, b.Data + column, b.Columns, a.Columns, start, tile);
        for (var r = 0; r < Math.Min(Gemm.TileRows, a.Rows - row); r++)
            new ReadOnlySpan<float>(tile + r * Gemm.TileColumns, Gemm.TileColumns).CopyTo(c[row + r][column..]);
    }

    /// <summary>The transpose of the first rows and columns that both have; the rest of <paramref name="to"/>
    /// stays.</summary>
    public static void Turn(Matrix from, Matrix to)
    {
        var (rows, columns) = (Math.Min(from.Rows, to.Columns), (int)Math.Min(from.Columns, to.Rows));
        for (var r = 0; r < rows; r++)
            for (var c = 0; c < columns; c++) to.Data[(long)c * to.Columns + r] = from.Data[(long)r * from.Columns + c];
    }
}
