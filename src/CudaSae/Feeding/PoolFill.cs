using CudaSae.Activations;

namespace CudaSae.Feeding;

/// <summary>The rows that are read into a part of a pool: all rows in file order, or the blocks of a window.</summary>
/// <param name="order">The order of windows; null for all rows.</param>
/// <param name="start">The window's first position in the epoch.</param>
/// <param name="rows">Number of rows.</param>
/// <param name="place">Place of the first row in the pool.</param>
sealed class PoolFill(WindowPermutation? order, long start, long rows, long place)
{
    /// <summary>Makes the fill of all rows.</summary>
    public static PoolFill Whole(long rows) => new(null, 0, rows, 0);

    /// <summary>Makes the fill of a window.</summary>
    /// <param name="place">Start of its half of the pool.</param>
    public static PoolFill Window(WindowPermutation order, long window, long place) =>
        new(order, order.Start(window), order.Length(window), place);

    public long Rows => rows;
    public long Place => place;

    // PoolLoader sets these counts under its lock.
    public long HandedOut { get; set; }
    public long Read { get; set; }
    public bool Complete => Read == rows;

    /// <summary>Returns the row at <see cref="Place"/> plus <paramref name="at"/>, and the number of neighbours from
    /// that row on, including it.</summary>
    public (long Row, long Count) Run(long at)
    {
        if (order is null) return (at, rows - at);
        var (row, count) = order.Run(start + at);
        return (row, Math.Min(count, rows - at));
    }
}
