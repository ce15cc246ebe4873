using CudaSae.Numerics;

namespace CudaSae.Activations;

/// <summary>An order for data that do not fit into memory. The epoch's rows are cut into blocks of neighbours, which
/// lie one after another on the disk; the blocks are permuted, cut into windows in
/// that order, and each window's rows are permuted among themselves. So a window is read by blocks, and any row of an
/// epoch may come into any window.
/// All windows of an epoch have the same length but for one row.</summary>
sealed class WindowPermutation : IRowOrder
{
    /// <summary>Bytes of a block: large enough that a disk reads it as fast as a file in sequence.</summary>
    public const int BlockBytes = 1 << 20;

    const int BlocksPerWindow = 64;     // at least: neighbours in a file are one 64th of a window at most

    const ulong BlockDraw = 0x626c6f636b, WindowDraw = 0x77696e646f77;      // streams of random numbers

    readonly ulong seed;
    readonly long epoch, rows, blockRows, shortBlock, shortRows, longer, shorter;
    readonly RowPermutation blocks;
    (long Window, RowPermutation Rows) last = (-1, default);

    /// <param name="window">Rows of a window at most.</param>
    /// <param name="rowBytes">Of a raw row.</param>
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

    /// <summary>Windows of an epoch.</summary>
    public long Windows { get; }

    static long Count(long rows, long window) => (rows + window - 1) / window;

    /// <summary>Rows of the longest window.</summary>
    public static long MostRows(long rows, long window) => (rows + Count(rows, window) - 1) / Count(rows, window);

    /// <summary>The window that holds a position.</summary>
    public long WindowOf(long position)
    {
        var inLonger = longer * (shorter + 1);      // the first windows have a row more
        return position < inLonger ? position / (shorter + 1) : longer + (position - inLonger) / shorter;
    }

    /// <summary>The position at which a window begins.</summary>
    public long Start(long window) => window * shorter + Math.Min(window, longer);

    /// <summary>Rows of a window.</summary>
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

    /// <summary>Where the rows at a window's positions stand when the window is read block by block: counted from its
    /// first row.</summary>
    /// <param name="from">Position, counted from the window's first.</param>
    /// <param name="first">Added to each.</param>
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

    /// <summary>The row at a place of the epoch's blocks, taken in their order, and how many rows of its block follow
    /// from there on, itself included.</summary>
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
