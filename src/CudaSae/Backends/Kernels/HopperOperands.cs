using CudaSae.Devices;
using CudaSae.Devices.Params;

namespace CudaSae.Backends.Kernels;

/// <summary>Both operands of a product by the Hopper kernels (kernels/sm90) as tensor maps, and the shape of their
/// launches.</summary>
/// <param name="XMap">[B, ld] bfloat16 or 8-bit numbers.</param>
/// <param name="WMap">[n, ld] of the same.</param>
/// <param name="Steps">128-byte lines of a row: a step of a tile along d, half of the last one beyond the row where ld
/// is an odd number of 64 bytes.</param>
sealed record HopperOperands(TensorMap XMap, TensorMap WMap, int Multiprocessors, int Rows, int Steps)
{
    /// <summary>A block's tile, its threads, and the bytes of a block of K: HOPPER_BLOCK_M, HOPPER_BLOCK_N,
    /// HOPPER_THREADS and HOPPER_BLOCK_K_BYTES of kernels/sm90/hopper_tile.cuh.</summary>
    public const int TileRows = 128, TileColumns = 256, Block = 384, Line = 128;

    /// <summary>The one place that decides between the encoder's Hopper kernels and the portable ones; null for the
    /// portable ones.</summary>
    public static HopperOperands? For(KernelContext context) => For(context, context.Buffers.XCentered.Pointer,
        context.Buffers.WEncHi.Pointer, TensorNumber.BFloat16, SharedMemory.EncodeSm90);

    /// <summary>The same for 8-bit screening.</summary>
    /// <param name="x">[B, ld] 8-bit numbers.</param>
    /// <param name="w">[n, ld].</param>
    public static HopperOperands? ForScreening(KernelContext context, DeviceArray<sbyte> x, DeviceArray<sbyte> w) =>
        For(context, x.Pointer, w.Pointer, TensorNumber.Byte, SharedMemory.ScreenSm90);

    static HopperOperands? For(KernelContext context, ulong x, ulong w, TensorNumber number, int shared)
    {
        var (device, ld) = (context.Device, context.Ld);
        if (context.Portable || context.LeftOut.Hopper || !device.Info.IsHopper || ld % 64 != 0
            || device.Info.SharedBytesPerBlock < shared)
            return null;
        if (device.MapMatrix(x, number, context.Rows, ld, TileRows) is not { } xMap) return null;
        if (device.MapMatrix(w, number, context.Latents, ld, TileRows) is not { } wMap) return null;
        var operands = new HopperOperands(xMap, wMap, device.Info.Multiprocessors, context.Rows,
            Tiles(ld * (number == TensorNumber.BFloat16 ? 2 : 1), Line))
        { Shared = shared };
        if (context.LeftOut.Clusters) operands = operands with { Cluster = 1 };
        return context.LeftOut.Skew ? operands with { Skew = 0 } : operands;
    }

    /// <summary>Shared memory of a block.</summary>
    public int Shared { get; init; } = SharedMemory.EncodeSm90;

    /// <summary>Blocks that share a tile of weights: two, unless one holds all rows.</summary>
    public int Cluster { get; init; } = Rows > TileRows ? 2 : 1;

    /// <summary>Steps along d, at most 3, by which a block's second warpgroup follows its first, so that one multiplies
    /// while the other filters
    /// (docs/internals/decisions/0005). A step takes the tensor cores 512 cycles, of 64 bfloat16 numbers and of 128
    /// 8-bit ones.</summary>
    public int Skew { get; init; } = Steps <= 16 ? 2 : 1;

    /// <summary>A cluster a pair of multiprocessors, and no more than there are tiles.</summary>
    public Launch Shape(int columns)
    {
        var units = (Tiles(Rows, TileRows) + Cluster - 1) / Cluster * (long)Tiles(columns, TileColumns);
        return new((int)Math.Clamp(units, 1, Math.Max(1, Multiprocessors / Cluster)) * Cluster, Block, Shared,
            Cluster: Cluster);
    }

    /// <summary>Tiles of rows of the batch.</summary>
    public static int RowTiles(int rows) => Tiles(rows, TileRows);

    static int Tiles(int extent, int tile) => (extent + tile - 1) / tile;
}
