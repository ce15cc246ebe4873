using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>The dense products of a set of W latents with the batch, all by <see cref="Gemm.Tile"/>: what the dense
/// path and the losses of dead latents are made of.
/// Matrices [W, lanes] hold a latent's numbers for all rows of the batch, padded to whole panels.</summary>
sealed unsafe partial class CpuBackend
{
    const int TileFloats = Gemm.TileRows * Gemm.TileColumns;
    const int SlotBlock = 64, DepthBlock = 1024; // slots and rows of a product over the batch that stay in L2 together

    int lanes;              // rows of the batch padded to whole panels

    /// <summary>W latents that are neighbours.</summary>
    readonly struct LatentSet(int first, int count)
    {
        public int Count => count;
        public int this[int slot] => first + slot;
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

    /// <summary>turned [lo, 48] += WDecᵀ code for one panel; code is [W, 48].</summary>
    /// <param name="pitch">Floats between the decoder's turned rows.</param>
    [SkipLocalsInit]
    void AddReconstruction(float* decoder, int pitch, int count, float* code, float* turned)
    {
        var buffer = stackalloc float[TileFloats + 16];
        var tile = Align(buffer);
        var rows = stackalloc float*[Gemm.TileRows];
        var init = stackalloc float[Gemm.TileRows];
        for (var r = 0; r < Gemm.TileRows; r++) init[r] = 0;
        for (var i = 0; i < lo; i += Gemm.TileRows)
        {
            for (var r = 0; r < Gemm.TileRows; r++) rows[r] = decoder + (long)(i + r) * pitch;
            Gemm.Tile(rows, code, Gemm.TileColumns, count, init, tile);
            Rows.Add(turned + i * Gemm.TileColumns, 1, tile, TileFloats);
        }
    }

    /// <summary>Slots [slot, slot + count) of one panel, [count, 48], to their places in [W, lanes].</summary>
    void StoreTile(float* tile, float* to, int count)
    {
        for (var r = 0; r < count; r++)
            new ReadOnlySpan<float>(tile + r * Gemm.TileColumns,
                Gemm.TileColumns).CopyTo(new(to + (long)r * lanes, Gemm.TileColumns));
    }

    /// <summary>Floats of a matrix [B, width] in column panels.</summary>
    long PackedLength(int width) => (long)ColumnPanels(width) * Gemm.TileColumns * B;

    static int ColumnPanels(int width) => (width + Gemm.TileColumns - 1) / Gemm.TileColumns;

    /// <summary>Row b of [B, width] into column panels [width / 48][B, 48], which a product over the batch reads from
    /// one end to the other. Columns past the width stay zero.</summary>
    void PackRow(float* row, int b, int width, float* packed)
    {
        for (var column = 0; column < width; column += Gemm.TileColumns)
            new ReadOnlySpan<float>(row + column, Math.Min(Gemm.TileColumns, width - column)).CopyTo(new(packed
                + (long)column * B + (long)b * Gemm.TileColumns,
                Gemm.TileColumns));
    }

    /// <summary>Parts of <see cref="Product"/>.</summary>
    static int ProductParts(int count, int width) => (count + SlotBlock - 1) / SlotBlock * ColumnPanels(width);

    /// <summary>gradient [W, width] = scale · code [W, lanes] · rows, and where asked added to what is there: one
    /// column panel and 64 slots, both from the second-level cache.</summary>
    /// <param name="packed">The batch's rows in column panels.</param>
    [SkipLocalsInit]
    void Product(int part, float* code, int count, float* packed, int width, float scale, float* gradient,
        bool add = false)
    {
        var buffer = stackalloc float[TileFloats + 16];
        var tile = Align(buffer);
        var rows = stackalloc float*[Gemm.TileRows];
        var init = stackalloc float[Gemm.TileRows];
        for (var r = 0; r < Gemm.TileRows; r++) init[r] = 0;
        var blocks = (count + SlotBlock - 1) / SlotBlock;
        int column = part / blocks * Gemm.TileColumns, first = part % blocks * SlotBlock,
            last = Math.Min(first + SlotBlock, count);
        for (var b = 0; b < B; b += DepthBlock)
            for (var slot = first; slot < last; slot += Gemm.TileRows)
            {
                for (var r = 0; r < Gemm.TileRows; r++) rows[r] = code + (long)Math.Min(slot + r, last - 1) * lanes + b;
                Gemm.Tile(rows, packed + (long)column * B + (long)b * Gemm.TileColumns, Gemm.TileColumns,
                    Math.Min(DepthBlock, B - b), init, tile);
                for (var r = 0; r < Math.Min(Gemm.TileRows, last - slot); r++)
                    Scaled(tile + r * Gemm.TileColumns, scale, gradient + (long)(slot + r) * width + column,
                        Math.Min(Gemm.TileColumns, width - column), add || b > 0);
            }
    }

    static void Scaled(float* from, float scale, float* to, int length, bool add)
    {
        for (var i = 0; i < length; i += 16)
        {
            var scaled = Vector512.Load(from + i) * scale;
            (add ? scaled + Vector512.Load(to + i) : scaled).Store(to + i);
        }
    }
}
