using System.Runtime.CompilerServices;

namespace CudaSae.Backends.Cpu;

/// <summary>The dense products of a set of W latents with the batch, all by <see cref="Gemm.Tile"/>: what the dense path and the losses of dead latents are made of.
/// Matrices [W, lanes] hold a latent's numbers for all rows of the batch, padded to whole panels.</summary>
public sealed unsafe partial class CpuBackend
{
    const int TileFloats = Gemm.TileRows * Gemm.TileColumns;

    int lanes;              // rows of the batch padded to whole panels

    /// <summary>W latents: a list, or a range of neighbours.</summary>
    readonly struct LatentSet(int* list, int first, int count)
    {
        public int Count => count;
        public int this[int slot] => list is null ? first + slot : list[slot];
    }

    static float* Align(float* buffer) => (float*)((nint)(buffer + 15) & ~63);

    /// <summary>z of slots [slot, slot + 8) for one panel, [8, 48].</summary>
    [SkipLocalsInit]
    void PreActTile(in LatentSet set, int slot, int panel, float* tile)
    {
        var rows = stackalloc float*[Gemm.TileRows];
        var init = stackalloc float[Gemm.TileRows];
        for (var r = 0; r < Gemm.TileRows; r++)
        {
            var latent = set[Math.Min(slot + r, set.Count - 1)];
            rows[r] = wEnc + (long)latent * ld;
            init[r] = bEnc[latent];
        }
        Gemm.Tile(rows, centeredT + (long)panel * ld * Gemm.TileColumns, Gemm.TileColumns, ld, init, tile);
    }

    /// <summary>⟨WDec_f, e⟩ of slots [slot, slot + 8) with one panel's residuals, turned [lo, 48].</summary>
    [SkipLocalsInit]
    void ResidualTile(in LatentSet set, int slot, float* turned, float* tile)
    {
        var rows = stackalloc float*[Gemm.TileRows];
        var init = stackalloc float[Gemm.TileRows];
        for (var r = 0; r < Gemm.TileRows; r++)
        {
            rows[r] = wDec + (long)set[Math.Min(slot + r, set.Count - 1)] * lo;
            init[r] = 0;
        }
        Gemm.Tile(rows, turned, Gemm.TileColumns, lo, init, tile);
    }

    /// <summary>Columns [16 part, 16 part + 16) of the set's decoder rows, turned: [lo, W].</summary>
    void TurnDecoder(in LatentSet set, int part, float* to)
    {
        for (var s = 0; s < set.Count; s++)
        {
            var row = wDec + (long)set[s] * lo;
            for (var i = part * 16; i < part * 16 + 16; i++) to[(long)i * set.Count + s] = row[i];
        }
    }

    /// <summary>turned [lo, 48] += WDecᵀ code for one panel; code points at the panel's first lane.</summary>
    [SkipLocalsInit]
    void AddReconstruction(float* decoder, int count, float* code, float* turned)
    {
        var buffer = stackalloc float[TileFloats + 16];
        var tile = Align(buffer);
        var rows = stackalloc float*[Gemm.TileRows];
        var init = stackalloc float[Gemm.TileRows];
        for (var r = 0; r < Gemm.TileRows; r++) init[r] = 0;
        for (var i = 0; i < lo; i += Gemm.TileRows)
        {
            for (var r = 0; r < Gemm.TileRows; r++) rows[r] = decoder + (long)(i + r) * count;
            Gemm.Tile(rows, code, lanes, count, init, tile);
            Rows.Add(turned + i * Gemm.TileColumns, 1, tile, TileFloats);
        }
    }

    void StoreTile(float* tile, float* to, int count)
    {
        for (var r = 0; r < count; r++)
            new ReadOnlySpan<float>(tile + r * Gemm.TileColumns, Gemm.TileColumns).CopyTo(new(to + (long)r * lanes, Gemm.TileColumns));
    }

    /// <summary>gradient [count rows of width] = scale · code · rows, and where asked added to what is there; code points at the first of up to eight slots.</summary>
    [SkipLocalsInit]
    void Product(float* code, int count, float* rowsOfBatch, int width, float scale, float* gradient, bool add = false)
    {
        var buffer = stackalloc float[TileFloats + 16];
        var tile = Align(buffer);
        var rows = stackalloc float*[Gemm.TileRows];
        var init = stackalloc float[Gemm.TileRows];
        for (var r = 0; r < Gemm.TileRows; r++)
        {
            rows[r] = code + (long)Math.Min(r, count - 1) * lanes;
            init[r] = 0;
        }
        for (var column = 0; column < width; column += Gemm.TileColumns)
        {
            Gemm.Tile(rows, rowsOfBatch + column, width, B, init, tile);
            for (var r = 0; r < count; r++)
                for (var i = 0; i < Math.Min(Gemm.TileColumns, width - column); i++)
                {
                    var to = gradient + (long)r * width + column + i;
                    *to = scale * tile[r * Gemm.TileColumns + i] + (add ? *to : 0);
                }
        }
    }
}
