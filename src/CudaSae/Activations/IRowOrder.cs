using CudaSae.Model;

namespace CudaSae.Activations;

/// <summary>The order of an epoch's rows: a permutation of 0 … rows − 1 that is a pure function of seed, epoch and
/// position, so that a run resumes at any position without a record of the earlier ones.</summary>
interface IRowOrder
{
    /// <summary>The row at a position of the epoch.</summary>
    long this[long position] { get; }

    /// <summary>Fills <paramref name="rows"/> with the rows from <paramref name="position"/> on.</summary>
    void Fill(long position, Span<long> rows);
}

static class RowOrders
{
    /// <summary>Returns the order for a config: a permutation of all rows, or within windows if these are smaller than
    /// the data.</summary>
    /// <param name="rowBytes">Bytes of a raw row; windows consist of blocks whose size is defined in bytes.</param>
    public static IRowOrder Of(TrainConfig config, long epoch, long rows, int rowBytes) =>
        HasWindows(config, rows) ? new WindowPermutation(config.Seed, epoch, rows, config.ShuffleWindow, rowBytes)
            : new RowPermutation(config.Seed, epoch, rows);

    /// <summary>Returns whether the data is shuffled within windows.</summary>
    public static bool HasWindows(TrainConfig config, long rows) =>
        config.ShuffleWindow > 0 && config.ShuffleWindow < rows;
}
