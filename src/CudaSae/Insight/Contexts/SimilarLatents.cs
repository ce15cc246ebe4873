using CudaSae.Backends.Cpu;
using CudaSae.Model;

namespace CudaSae.Insight.Contexts;

/// <summary>Of each latent those whose decoder rows point most nearly the same way: cos = w_i · w_j / (‖w_i‖ ‖w_j‖), over all pairs, 2 n² d operations. The choice is made on
/// products in float32, the cosines that are given are summed in double. Memory: a copy of the rows, 4 n d bytes (134 MB for n = 65,536, d = 512).</summary>
static unsafe class SimilarLatents
{
    const int Panels = 4;       // of 48 latents that stay in the second-level cache while all others pass by

    /// <param name="decoder">[n, d].</param>
    /// <param name="included">Latents that are compared; the others are nobody's partner and have none.</param>
    /// <param name="m">Partners kept a latent.</param>
    public static Partners Of(Matrix decoder, Func<int, bool> included, int m)
    {
        var latents = (int)decoder.Rows;
        int[] number = [.. Enumerable.Range(0, latents).Where(i => included(i) && Matrix.Norm(decoder[i]) > 0)];
        using var unit = Normalized(decoder, number);
        var found = new Partners(number.Length, m);
        var columns = Panels * Gemm.TileColumns;
        (Matrix Panel, Matrix Tile) Scratch() => (new(Panels * decoder.Columns, Gemm.TileColumns), new(Gemm.TileRows, Gemm.TileColumns));
        Parallel.For(0, (number.Length + columns - 1) / columns, Scratch, (block, _, scratch) =>
        {
            Compare(unit, number.Length, block * columns, scratch.Panel, scratch.Tile, found);
            return scratch;
        }, static scratch =>
        {
            scratch.Panel.Dispose();
            scratch.Tile.Dispose();
        });
        var partners = new Partners(latents, m);
        Parallel.For(0, number.Length, at =>
        {
            foreach (var other in found.Latents(at)) partners.Offer(number[at], number[other], (float)Cosine(decoder[number[at]], decoder[number[other]]));
        });
        return partners;
    }

    /// <summary>a · b / (‖a‖ ‖b‖) in double; NaN where one of them is zero.</summary>
    public static double Cosine(ReadOnlySpan<float> a, ReadOnlySpan<float> b) => Doubles.Dot(a, b) / (Matrix.Norm(a) * Matrix.Norm(b));

    /// <summary>Rows of norm 1, and zero rows up to a whole tile.</summary>
    static Matrix Normalized(Matrix decoder, int[] number)
    {
        var unit = new Matrix((number.Length + Gemm.TileRows - 1) / Gemm.TileRows * Gemm.TileRows, decoder.Columns);
        for (var at = 0; at < number.Length; at++)
        {
            var scale = 1 / Matrix.Norm(decoder[number[at]]);
            for (var i = 0; i < decoder.Columns; i++) unit[at][i] = (float)(decoder[number[at]][i] * scale);
        }
        return unit;
    }

    /// <summary>All rows against up to 4 · 48 of them.</summary>
    static void Compare(Matrix unit, int count, int first, Matrix panel, Matrix tile, Partners found)
    {
        int d = unit.Columns, here = Math.Min(count - first, Panels * Gemm.TileColumns);
        new Span<float>(panel.Data, checked((int)(panel.Bytes / sizeof(float)))).Clear();
        for (var c = 0; c < here; c++)
            for (var k = 0; k < d; k++) panel.Data[(c / Gemm.TileColumns * d + k) * Gemm.TileColumns + c % Gemm.TileColumns] = unit.Data[(long)(first + c) * d + k];
        var rows = stackalloc float*[Gemm.TileRows];
        var zeros = stackalloc float[Gemm.TileRows];
        for (var r = 0; r < Gemm.TileRows; r++) zeros[r] = 0;
        for (long row = 0; row < unit.Rows; row += Gemm.TileRows)
        {
            for (var r = 0; r < Gemm.TileRows; r++) rows[r] = unit.Data + (row + r) * d;
            for (var p = 0; p * Gemm.TileColumns < here; p++)
            {
                Gemm.Tile(rows, panel.Data + (long)p * d * Gemm.TileColumns, Gemm.TileColumns, d, zeros, tile.Data);
                Keep(tile.Data, (int)row, count, first + p * Gemm.TileColumns, Math.Min(Gemm.TileColumns, here - p * Gemm.TileColumns), found);
            }
        }
    }

    static void Keep(float* tile, int row, int count, int first, int columns, Partners found)
    {
        for (var c = 0; c < columns; c++)
        {
            var floor = found.Floor(first + c);
            for (var r = 0; r < Gemm.TileRows; r++)
            {
                var cosine = tile[r * Gemm.TileColumns + c];
                if (cosine <= floor || row + r >= count || row + r == first + c) continue;
                found.Offer(first + c, row + r, cosine);
                floor = found.Floor(first + c);
            }
        }
    }
}
