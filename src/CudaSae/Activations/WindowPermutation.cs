using CudaSae.Numerics;

namespace CudaSae.Activations;

/// <summary>A row order for data that does not fit into memory. The epoch's rows are divided into blocks of neighbours,
/// which are contiguous on the disk. The blocks are permuted and divided into windows in that order, and the rows of
/// each window are permuted among themselves. A window is therefore read by blocks, and any row of an epoch may be in
/// any window. The lengths of an epoch's windows differ by at most one row.</summary>
sealed class WindowPermutation : IRowOrder
{
    /// <summary>Bytes of a block: large enough that a disk reads it at the speed of a sequential read.</summary>
    public const int BlockBytes = 1 << 20;

    const int BlocksPerWindow = 64;     // at least, so that neighbours in a file make up at most 1/64 of a window

    const ulong BlockDraw = 0x626c6f636b, WindowDraw = 0x77696e646f77;      // streams of random numbers

    readonly ulong seed;
    readonly long epoch, rows, blockRows, shortBlock, shortRows, longer, shorter;
    readonly RowPermutation blocks;
    (long Window, RowPermutation Rows) last = (-1, default);

    /// <summary>Defines the order of one epoch.</summary>
    /// <param name="seed">Seed of the run.</param>
    /// <param name="epoch">The epoch.</param>
    /// <param name="rows">Rows of the epoch.</param>
    /// <param name="window">The most rows of a window.</param>
    /// <param name="rowBytes">Bytes of a raw row.</param>
    public WindowPermutation(ulong seed, long epoch, long rows, long window, int rowBytes)
    {
        (this.seed, this.epoch, this.rows) = (seed, epoch, rows);
        Windows = Count(rows, window);
        (shorter, longer) = Math.DivRem(rows, Windows);
        blockRows = Math.Clamp(BlockBytes / rowBytes, 1, Math.Max(1, shorter / BlocksPerWindow));
        var count = (rows + blockRows - 1) / blockRows;
        blocks = new(seed ^ BlockDraw, epoch, count);
        shortBlock = blocks.PositionOf(count - 1);
        shortRows = rows - (count - 1) * blockRows;
    }

    /// <summary>Number of windows of the epoch.</summary>
    public long Windows { get; }

    static long Count(long rows, long window) => (rows + window - 1) / window;

    /// <summary>Returns the number of rows of the longest window.</summary>
    public static long MostRows(long rows, long window) => (rows + Count(rows, window) - 1) / Count(rows, window);

    /// <summary>Returns the window that contains a position.</summary>
    public long WindowOf(long position)
    {
        var inLonger = longer * (shorter + 1);      // the first windows have one more row
        return position < inLonger ? position / (shorter + 1) : longer + (position - inLonger) / shorter;
    }

    /// <summary>Returns the position at which a window begins.</summary>
    public long Start(long window) => window * shorter + Math.Min(window, longer);

    /// <summary>Returns the number of rows of a window.</summary>
    public long Length(long window) => window < longer ? shorter + 1 : shorter;

    public long this[long position]
    {
        get
        {
            var window = WindowOf(position);
            var start = Start(window);
            return Run(start + RowsOf(window)[position - start]).Row;
        }
    }

    public void Fill(long position, Span<long> into)
    {
        for (var i = 0; i < into.Length; i++) into[i] = this[position + i];
    }

    /// <summary>Returns the places of the rows at a window's positions within the window as it is read, block by
    /// block.</summary>
    /// <param name="window">The window.</param>
    /// <param name="from">First position, counted from the window's start.</param>
    /// <param name="first">Offset that is added to each place.</param>
    /// <param name="into">Receives the places.</param>
    public void Places(long window, long from, int first, Span<int> into)
    {
        var order = RowsOf(window);
        for (var i = 0; i < into.Length; i++) into[i] = first + (int)order[from + i];
    }

    RowPermutation RowsOf(long window)
    {
        if (last.Window != window)
            last = (window, new(seed ^ SplitMix.Mix(WindowDraw + (ulong)window), epoch, Length(window)));
        return last.Rows;
    }

    /// <summary>Returns the row at a place in the permuted sequence of blocks, and the number of rows of its block from
    /// there on, including that row.</summary>
    public (long Row, long Count) Run(long at)
    {
        var shortStart = shortBlock * blockRows;
        if (at >= shortStart && at < shortStart + shortRows)
            return (blocks[shortBlock] * blockRows + at - shortStart, shortStart + shortRows - at);
        var past = at >= shortStart + shortRows;
        var (block, within) = Math.DivRem(past ? at - shortRows : at, blockRows);
        return (blocks[past ? block + 1 : block] * blockRows + within, blockRows - within);
    }
}
