using CudaSae.Model;

namespace CudaSae.Activations;

/// <summary>In which order an epoch's rows come: a permutation of 0 … rows − 1 that is a pure function of seed, epoch
/// and position, so that a run goes on from any position without a memory of those before.</summary>
interface IRowOrder
{
    /// <summary>The row that stands at a position of the epoch.</summary>
    long this[long position] { get; }

    /// <summary>The rows at <paramref name="position"/> and those after it, as many as there is room for.</summary>
    void Fill(long position, Span<long> rows);
}

static class RowOrders
{
    /// <summary>The order that a config asks for: of all rows, or within windows where these are smaller.</summary>
    /// <param name="rowBytes">Of a raw row: windows are made of blocks of a size in bytes.</param>
    public static IRowOrder Of(TrainConfig config, long epoch, long rows, int rowBytes) =>
        HasWindows(config, rows) ? new WindowPermutation(config.Seed, epoch, rows, config.ShuffleWindow, rowBytes)
            : new RowPermutation(config.Seed, epoch, rows);

    public static bool HasWindows(TrainConfig config, long rows) =>
        config.ShuffleWindow > 0 && config.ShuffleWindow < rows;
}
