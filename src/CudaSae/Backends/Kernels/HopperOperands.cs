using CudaSae.Devices;

namespace CudaSae.Backends.Kernels;

/// <summary>What the encoder's Hopper kernels (kernels/sm90) share: both operands as tensor maps, and the shape of their launches.</summary>
/// <param name="XMap">x_centered [B, ld].</param>
/// <param name="WMap">w_enc [n, ld].</param>
sealed record HopperOperands(TensorMap XMap, TensorMap WMap, int Multiprocessors, int Rows, int Depth)
{
    /// <summary>A block's tile, and its threads: HOPPER_ROWS, HOPPER_COLUMNS, HOPPER_THREADS of kernels/sm90/hopper_tile.cuh.</summary>
    public const int TileRows = 128, TileColumns = 256, Block = 384;

    /// <summary>sizeof(HopperShared): four stages of 48 KB, slots, what belongs to the columns of two tiles, barriers.</summary>
    public const int SharedBytes = 4 * (TileRows + TileColumns) * 64 * 2 + 256 * 80 + 4 * TileColumns * sizeof(float) + 12 * sizeof(ulong);

    /// <summary>The one place that decides between the Hopper kernels and the portable ones; null for the portable ones.</summary>
    public static HopperOperands? For(KernelContext context)
    {
        var (device, pitch) = (context.Device, context.Pitch);
        if (context.Portable || context.LeftOut.Hopper || !device.Info.IsHopper || pitch % 64 != 0 || device.Info.SharedBytesPerBlock < SharedBytes) return null;
        if (device.MapMatrix(context.Buffers.XCentered.Pointer, context.Rows, pitch, TileRows) is not { } x) return null;
        if (device.MapMatrix(context.Buffers.WEncHi.Pointer, context.Latents, pitch, TileRows) is not { } w) return null;
        var operands = new HopperOperands(x, w, device.Info.Multiprocessors, context.Rows, pitch);
        if (context.LeftOut.Clusters) operands = operands with { Cluster = 1 };
        return context.LeftOut.Skew ? operands with { Skew = 0 } : operands;
    }

    /// <summary>Blocks that share a tile of weights: two, unless one holds all rows.</summary>
    public int Cluster { get; init; } = Rows > TileRows ? 2 : 1;

    /// <summary>Steps of 64 along d, at most 3, by which a block's second warpgroup follows its first, so that one multiplies while the other filters
    /// (docs/decisions/0005). A step takes the tensor cores 512 cycles.</summary>
    public int Skew { get; init; } = Depth <= 1024 ? 2 : 1;

    /// <summary>A cluster a pair of multiprocessors, and no more than there are tiles.</summary>
    public Launch Shape(int columns)
    {
        var units = (Tiles(Rows, TileRows) + Cluster - 1) / Cluster * (long)Tiles(columns, TileColumns);
        return new((int)Math.Clamp(units, 1, Math.Max(1, Multiprocessors / Cluster)) * Cluster, Block, SharedBytes, Cluster: Cluster);
    }

    /// <summary>Tiles of rows of the batch.</summary>
    public static int RowTiles(int rows) => Tiles(rows, TileRows);

    static int Tiles(int extent, int tile) => (extent + tile - 1) / tile;
}
