using CudaSae.Activations;

namespace CudaSae.Feeding;

/// <summary>Rows that are read into a part of a pool: all of them as they stand in the files, or a window's
/// blocks.</summary>
/// <param name="order">Null for all rows.</param>
/// <param name="start">The window's first position in the epoch.</param>
/// <param name="rows">How many.</param>
/// <param name="place">Of the first of them.</param>
sealed class PoolFill(WindowPermutation? order, long start, long rows, long place)
{
    public static PoolFill Whole(long rows) => new(null, 0, rows, 0);

    /// <param name="place">Where its half of the pool begins.</param>
    public static PoolFill Window(WindowPermutation order, long window, long place) =>
        new(order, order.Start(window), order.Length(window), place);

    public long Rows => rows;
    public long Place => place;

    // Of PoolLoader, under its lock.
    public long HandedOut { get; set; }
    public long Read { get; set; }
    public bool Complete => Read == rows;

    /// <summary>The row that comes to <see cref="Place"/> plus <paramref name="at"/>, and how many neighbours follow it
    /// here, itself included.</summary>
    public (long Row, long Count) Run(long at)
    {
        if (order is null) return (at, rows - at);
        var (row, count) = order.Run(start + at);
        return (row, Math.Min(count, rows - at));
    }
}
