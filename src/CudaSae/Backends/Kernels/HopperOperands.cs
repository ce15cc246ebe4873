using CudaSae.Devices;
using CudaSae.Devices.Params;

namespace CudaSae.Backends.Kernels;

/// <summary>The operands of a product by the Hopper kernels (kernels/sm90) as tensor maps, and the shape of the
/// launches.</summary>
/// <param name="XMap">[B, ld] bfloat16 or 8-bit numbers.</param>
/// <param name="WMap">[n, ld] of the same type.</param>
/// <param name="Steps">Number of 128-byte lines of a row, each a step of a tile along d. If ld is an odd multiple of 64
/// bytes, half of the last line is beyond the row.</param>
sealed record HopperOperands(TensorMap XMap, TensorMap WMap, int Multiprocessors, int Rows, int Steps)
{
    /// <summary>The tile and the threads of a block, and the bytes of a block of K: HOPPER_BLOCK_M, HOPPER_BLOCK_N,
    /// HOPPER_THREADS and HOPPER_BLOCK_K_BYTES of kernels/sm90/hopper_tile.cuh.</summary>
    public const int TileRows = 128, TileColumns = 256, Block = 384, Line = 128;

    /// <summary>Chooses between the encoder's Hopper kernels and the portable ones; returns null for the portable
    /// ones.</summary>
    /// <param name="rows">The rows of the batch; null for all.</param>
    public static HopperOperands? For(KernelContext context, RowRange? rows = null)
    {
        var range = rows ?? new(0, context.Rows);
        return For(context, range.Of(context.Buffers.XCentered, context.Ld).Pointer, context.Buffers.WEncHi.Pointer,
            TensorNumber.BFloat16, SharedMemory.EncodeSm90, range.Count);
    }

    /// <summary>Makes the choice for 8-bit screening; returns null for the portable kernels.</summary>
    /// <param name="x">[B, ld] 8-bit numbers.</param>
    /// <param name="w">[n, ld] 8-bit numbers.</param>
    public static HopperOperands? ForScreening(KernelContext context, DeviceArray<sbyte> x, DeviceArray<sbyte> w) =>
        For(context, x.Pointer, w.Pointer, TensorNumber.Byte, SharedMemory.ScreenSm90, context.Rows);

    static HopperOperands? For(KernelContext context, ulong x, ulong w, TensorNumber number, int shared, int rows)
    {
        var (device, ld) = (context.Device, context.Ld);
        if (context.Portable || context.LeftOut.Hopper || !device.Info.IsHopper || ld % 64 != 0
            || device.Info.SharedBytesPerBlock < shared)
            return null;
        if (device.MapMatrix(x, number, rows, ld, TileRows) is not { } xMap) return null;
        if (device.MapMatrix(w, number, context.Latents, ld, TileRows) is not { } wMap) return null;
        var operands = new HopperOperands(xMap, wMap, device.Info.Multiprocessors, rows,
            Tiles(ld * (number == TensorNumber.BFloat16 ? 2 : 1), Line))
        { Shared = shared };
        if (context.LeftOut.Clusters) operands = operands with { Cluster = 1 };
        return context.LeftOut.Skew ? operands with { Skew = 0 } : operands;
    }

    /// <summary>Bytes of shared memory of a block.</summary>
    public int Shared { get; init; } = SharedMemory.EncodeSm90;

    /// <summary>Number of blocks that share a tile of weights: two, unless one block covers all rows.</summary>
    public int Cluster { get; init; } = Rows > TileRows ? 2 : 1;

    /// <summary>Number of steps along d, at most 3, by which the second warpgroup of a block follows the first, so that
    /// one multiplies while the other filters (docs/internals/decisions/0005). A step takes 512 cycles of the tensor
    /// cores, for 64 bfloat16 numbers or 128 8-bit numbers.</summary>
    public int Skew { get; init; } = Steps <= 16 ? 2 : 1;

    /// <summary>Returns the shape of a launch: one cluster for each pair of multiprocessors, and at most one for each
    /// tile.</summary>
    public Launch Shape(int columns)
    {
        var units = (Tiles(Rows, TileRows) + Cluster - 1) / Cluster * (long)Tiles(columns, TileColumns);
        return new((int)Math.Clamp(units, 1, Math.Max(1, Multiprocessors / Cluster)) * Cluster, Block, Shared,
            Cluster: Cluster);
    }

    /// <summary>Returns the number of tiles of rows.</summary>
    public static int RowTiles(int rows) => Tiles(rows, TileRows);

    static int Tiles(int extent, int tile) => (extent + tile - 1) / tile;
}
