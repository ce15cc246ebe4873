using CudaSae.Devices;

namespace CudaSae.Backends.Kernels;

/// <summary>Consecutive rows of a batch.</summary>
readonly record struct RowRange(int First, int Count)
{
    /// <summary>Rows of a tile of the encoder's kernels.</summary>
    const int Tile = 128;

    /// <summary>Divides the rows of a batch into chunks of equal size, and a smaller last one. Chunks of many rows have
    /// whole tiles.</summary>
    /// <param name="rows">B.</param>
    /// <param name="chunks">The most chunks, 1 to B.</param>
    public static RowRange[] Divide(int rows, int chunks)
    {
        var size = (rows + chunks - 1) / chunks;
        if (size > Tile) size = (size + Tile - 1) / Tile * Tile;
        return [.. Enumerable.Range(0, (rows + size - 1) / size)
            .Select(i => new RowRange(i * size, Math.Min(size, rows - i * size)))];
    }

    /// <summary>Returns the part of an array that belongs to these rows; of an empty array, nothing.</summary>
    /// <param name="all">[B, size].</param>
    /// <param name="size">Elements of a row.</param>
    public unsafe DeviceArray<T> Of<T>(DeviceArray<T> all, long size = 1) where T : unmanaged =>
        all.Length == 0 ? default
            : new(all.Pointer + (ulong)(First * size * sizeof(T)), Count * size);
}
