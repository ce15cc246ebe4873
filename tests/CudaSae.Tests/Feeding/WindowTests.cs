using CudaSae.Training.Checkpoints;

namespace CudaSae.Tests;

/// <summary>The order of rows within windows of permuted blocks.</summary>
public class WindowTests
{
    const int RowBytes = 1 << 14;       // 64 rows a block

    static long[] Epoch(WindowPermutation order, long rows)
    {
        var all = new long[rows];
        order.Fill(0, all);
        return all;
    }

    /// <summary>Every row occurs once in an epoch, for sizes that do not divide each other. Another epoch and another
    /// seed give other orders, and a position's row is the same when it is requested alone.</summary>
    [Theory]
    [InlineData(10, 4)]
    [InlineData(4097, 4096)]
    [InlineData(20_000, 8_192)]
    [InlineData(65_537, 9_000)]
    public void EveryRowOccursOnceInAnEpoch(long rows, long window)
    {
        var order = new WindowPermutation(3, 5, rows, window, RowBytes);
        var all = Epoch(order, rows);
        Assert.Equal(Enumerable.Range(0, (int)rows).Select(i => (long)i), all.Order());
        foreach (var position in (long[])[0, rows / 3, rows / 2 + 1, rows - 1])
            Assert.Equal(all[position], new WindowPermutation(3, 5, rows, window, RowBytes)[position]);
        if (rows < 100) return;
        Assert.NotEqual(all, Epoch(new(3, 6, rows, window, RowBytes), rows));
        Assert.NotEqual(all, Epoch(new(4, 5, rows, window, RowBytes), rows));
    }

    /// <summary>A window's rows are runs of neighbours that are read in order. Together they are the window's rows, at
    /// the places that it names.</summary>
    [Theory]
    [InlineData(20_000, 8_192)]
    [InlineData(65_537, 9_000)]
    public void WindowsAreReadByBlocks(long rows, long window)
    {
        var order = new WindowPermutation(3, 1, rows, window, RowBytes);
        var all = Epoch(order, rows);
        long start = 0, runs = 0;
        for (long w = 0; w < order.Windows; start += order.Length(w), w++)
        {
            Assert.Equal((start, w, w),
                (order.Start(w), order.WindowOf(start), order.WindowOf(start + order.Length(w) - 1)));
            Assert.InRange(order.Length(w), WindowPermutation.MostRows(rows, window) - 1,
                WindowPermutation.MostRows(rows, window));
            var read = new List<long>();
            for (; read.Count < order.Length(w); runs++)
            {
                var (row, count) = order.Run(start + read.Count);
                for (long i = 0; i < count && read.Count < order.Length(w); i++) read.Add(row + i);
            }
            var places = new int[order.Length(w)];
            order.Places(w, 0, 100, places);
            Assert.Equal(all.Skip((int)start).Take(places.Length), places.Select(place => read[place - 100]));
        }
        var blockRows = Math.Min(WindowPermutation.BlockBytes / RowBytes, rows / order.Windows / 64);
        // a window's edge splits a block
        Assert.InRange(runs, rows / blockRows, rows / blockRows + 1 + order.Windows);
    }

    /// <summary>Neighbours in a file are a third of a window apart in the order, as if the window were shuffled row by
    /// row, and its rows come from all parts of the files.</summary>
    [Fact]
    public void NeighboursAreMixed()
    {
        const long Rows = 65_536, Window = 16_384;
        var order = new WindowPermutation(1, 0, Rows, Window, RowBytes);
        var all = Epoch(order, Rows);
        var position = new long[Rows];
        for (long p = 0; p < Rows; p++) position[all[p]] = p;
        var sameWindow = Enumerable.Range(0, (int)Rows - 1)
            .Where(row => order.WindowOf(position[row]) == order.WindowOf(position[row + 1])).ToArray();
        // Neighbours are separated only at ends of blocks of 64. |p − q| of two uniform positions of a window has mean
        // W/3 and deviation W/√18.
        Assert.InRange(sameWindow.Length, Rows * 63 / 64, Rows);
        var apart = sameWindow.Average(row => Math.Abs(position[row] - position[row + 1]) / (double)Window);
        Assert.InRange(apart, 1 / 3.0 - 5 / Math.Sqrt(18.0 * sameWindow.Length / 64),
            1 / 3.0 + 5 / Math.Sqrt(18.0 * sameWindow.Length / 64));
        // Consecutive rows belong to one block with probability 63 / 16383.
        var sameBlock = all.Zip(all.Skip(1)).Count(pair => pair.First / 64 == pair.Second / 64) / (double)Rows;
        Assert.InRange(sameBlock, 0.5 * 63 / 16_383, 2 * 63.0 / 16_383);
        // A window's mean row equals the mean of all rows within 5 deviations of a mean of 256 blocks.
        for (var w = 0; w < order.Windows; w++)
            Assert.InRange(all.Skip((int)order.Start(w)).Take((int)Window).Average() / Rows,
                0.5 - 5 / Math.Sqrt(12 * 256), 0.5 + 5 / Math.Sqrt(12 * 256));
    }

    [Fact]
    public void PositionsAreInverted()
    {
        foreach (var count in (long[])[1, 2, 1000, 4097])
        {
            var order = new RowPermutation(7, 2, count);
            for (long row = 0; row < count; row++) Assert.Equal(row, order[order.PositionOf(row)]);
        }
    }

    /// <summary>No window, or a window that holds all rows, gives the permutation of all rows that earlier versions
    /// used. A window has at least two batches.</summary>
    [Fact]
    public void WindowsAreUsedOnlyBeyondOneWindowOfRows()
    {
        var config = new TrainConfig { BatchRows = 16, Vectors = 16 };
        foreach (var window in (long[])[0, 200, 1000])
            Assert.Equal(new RowPermutation(config.Seed, 3, 200)[77],
                RowOrders.Of(config with { ShuffleWindow = window }, 3, 200, 96)[77]);
        Assert.IsType<WindowPermutation>(RowOrders.Of(config with { ShuffleWindow = 199 }, 3, 200, 96));
        (config with { ShuffleWindow = 32 }).Validate();
        AssertOneLine("ShuffleWindow = 31", () => (config with { ShuffleWindow = 31 }).Validate());
        Assert.Equal(("the order of rows and steps follows from it", null),
            (ResumeRules.WhyFixed("shuffle_window"), ResumeRules.WhyFixed("device_pool")));
        Assert.False(SharedRuns.CanShare(config, config with { ShuffleWindow = 32 }));
    }
}
