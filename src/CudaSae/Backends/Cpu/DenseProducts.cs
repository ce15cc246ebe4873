using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>The dense products of W neighbouring latents with the batch, all by <see cref="Gemm.Tile"/>. The dense path
/// and the losses of dead latents consist of them. A matrix [W, lanes] holds one number of a latent for each row of the
/// batch, padded to whole panels.</summary>
sealed unsafe class DenseProducts(CpuContext context)
{
    const int DepthBlock = 1024;

    /// <summary>Slots of a product over the batch that stay in L2 together with 1024 rows.</summary>
    public const int SlotBlock = 64;

    readonly int B = context.Rows, ld = context.InStride, lo = context.OutStride;
    readonly int lanes = context.Panels * Gemm.TileColumns;
    readonly float* wEnc = context.Buffers.WEnc, wDec = context.Buffers.WDec, bEnc = context.Buffers.BEnc;
    readonly float* input = context.Buffers.Packed;

    /// <summary>z of latents [first, first + 8) for one panel, [8, 48].</summary>
    /// <param name="count">Latents from <paramref name="first"/> on, at least 1.</param>
    public void PreActTile(int first, int count, int panel, float* tile) =>
        GemmRows.Tile(wEnc + (long)first * ld, ld, count, bEnc + first, input + (long)panel * ld * Gemm.TileColumns, ld,
            tile);

    /// <summary>⟨WDec_f, e⟩ of latents [first, first + 8) with one panel's residuals, transposed [lo, 48].</summary>
    public void ResidualTile(int first, int count, float* transposed, float* tile) =>
        GemmRows.Tile(wDec + (long)first * lo, lo, count, null, transposed, lo, tile);

    /// <summary>Columns [16 part, 16 part + 16) of the decoder rows of W latents, transposed: [lo, W].</summary>
    public void TransposeDecoder(int first, int count, int part, float* to)
    {
        for (var s = 0; s < count; s++)
        {
            var row = wDec + (long)(first + s) * lo;
            for (var i = part * 16; i < part * 16 + 16; i++) to[(long)i * count + s] = row[i];
        }
    }

    /// <summary>transposed [lo, 48] += WDecᵀ code for one panel; code is [W, 48].</summary>
    /// <param name="stride">Floats between rows of the transposed decoder.</param>
    [SkipLocalsInit]
    public void AddReconstruction(float* decoder, int stride, int count, float* code, float* transposed)
    {
        var tile = GemmRows.Aligned(stackalloc float[GemmRows.BufferFloats]);
        for (var i = 0; i < lo; i += Gemm.TileRows)
        {
            GemmRows.Tile(decoder + (long)i * stride, stride, Gemm.TileRows, null, code, count, tile);
            Rows.Add(transposed + i * Gemm.TileColumns, 1, tile, GemmRows.TileFloats);
        }
    }

    /// <summary>The same, as a continuation of each element's chain of fused multiply-adds
    /// (<see cref="GemmRows.Continue"/>).</summary>
    public void ContinueReconstruction(float* decoder, int stride, int count, float* code, float* transposed)
    {
        for (var i = 0; i < lo; i += Gemm.TileRows)
            GemmRows.Continue(decoder + (long)i * stride, stride, code, count, transposed + i * Gemm.TileColumns);
    }

    /// <summary>Slots [slot, slot + count) of one panel, [count, 48], to their places in [W, lanes].</summary>
    public void StoreTile(float* tile, float* to, int count)
    {
        for (var r = 0; r < count; r++)
            new ReadOnlySpan<float>(tile + r * Gemm.TileColumns, Gemm.TileColumns)
                .CopyTo(new(to + (long)r * lanes, Gemm.TileColumns));
    }

    /// <summary>Floats of a matrix [B, width] in column panels.</summary>
    public long PackedLength(int width) => (long)ColumnPanels(width) * Gemm.TileColumns * B;

    static int ColumnPanels(int width) => (width + Gemm.TileColumns - 1) / Gemm.TileColumns;

    /// <summary>Row b of [B, width] into column panels [width / 48][B, 48], which a product over the batch reads in
    /// order. Columns past the width stay zero.</summary>
    public void PackRow(float* row, int b, int width, float* packed)
    {
        for (var column = 0; column < width; column += Gemm.TileColumns)
            new ReadOnlySpan<float>(row + column, Math.Min(Gemm.TileColumns, width - column))
                .CopyTo(new(packed + (long)column * B + (long)b * Gemm.TileColumns, Gemm.TileColumns));
    }

    /// <summary>Parts of <see cref="Product"/>.</summary>
    public static int ProductParts(int count, int width) => (count + SlotBlock - 1) / SlotBlock * ColumnPanels(width);

    /// <summary>gradient [W, width] = scale · code [W, lanes] · rows, or, with <paramref name="add"/>, += that. A part
    /// is one column panel and 64 slots; both come from the second-level cache.</summary>
    /// <param name="packed">The batch's rows in column panels.</param>
    [SkipLocalsInit]
    public void Product(int part, float* code, int count, float* packed, int width, float scale, float* gradient,
        bool add = false)
    {
        var tile = GemmRows.Aligned(stackalloc float[GemmRows.BufferFloats]);
        var blocks = (count + SlotBlock - 1) / SlotBlock;
        int column = part / blocks * Gemm.TileColumns, first = part % blocks * SlotBlock,
            last = Math.Min(first + SlotBlock, count);
        for (var b = 0; b < B; b += DepthBlock)
            for (var slot = first; slot < last; slot += Gemm.TileRows)
            {
                GemmRows.Tile(code + (long)slot * lanes + b, lanes, last - slot, null,
                    packed + (long)column * B + (long)b * Gemm.TileColumns, Math.Min(DepthBlock, B - b), tile);
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
