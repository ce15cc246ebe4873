using System.Diagnostics;
using System.Runtime.InteropServices;
using CudaSae.Activations;
using CudaSae.Backends;
using CudaSae.Feeding;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Bench.Feed;

/// <summary>What a <see cref="FeedMeter"/> saw.</summary>
/// <param name="Bytes">Of the rows that were read.</param>
/// <param name="Rows">That were handed out; 0 where rows are only read.</param>
/// <param name="InputWait">Time that the taker waited for batches.</param>
/// <param name="FeederWait">Time that the feeder waited for a free slot.</param>
/// <param name="ReaderWait">Time that a pool's readers waited for a free half, summed over them.</param>
readonly record struct FeedRate(
    long Bytes, long Rows, TimeSpan Time, TimeSpan InputWait, TimeSpan FeederWait, TimeSpan ReaderWait)
{
    /// <summary>10⁹ bytes a second.</summary>
    public double GigabytesPerSecond => Bytes / Time.TotalSeconds / 1e9;
}

/// <summary>How fast rows come to a step that takes no time: <see cref="BatchFeeder"/> before a backend that computes
/// nothing. What a GPU needs besides is its bus: uploads are not made.</summary>
static class FeedMeter
{
    /// <summary>The files read from front to back by blocks, by threads in turn: what is there to be had.</summary>
    /// <param name="check">Look for NaN and infinity too, as training does.</param>
    public static FeedRate Read(ActivationSource source, long rows, int readers, bool check)
    {
        long blockRows = Math.Max(1, WindowPermutation.BlockBytes / source.RowBytes), next = -1;
        var clock = Stopwatch.StartNew();
        Task[] threads = [.. Enumerable.Range(0, readers)
            .Select(_ => Task.Factory.StartNew(Work, TaskCreationOptions.LongRunning))];
        Task.WaitAll(threads);
        return new(rows * source.RowBytes, 0, clock.Elapsed, default, default, default);

        void Work()
        {
            var block = new byte[blockRows * source.RowBytes];
            for (long at; (at = Interlocked.Increment(ref next) * blockRows) < rows;)
            {
                var part = block.AsSpan(0, (int)(Math.Min(blockRows, rows - at) * source.RowBytes));
                source.ReadRows(at, part);
                if (check && !Finite.All(part, source.Type))
                    throw new SaeException($"{source.Locate(at)} or a row of the {blockRows} after it holds NaN or "
                        + "infinity");
            }
        }
    }

    /// <summary>Batches gathered in host memory, each row by a read of its own.</summary>
    public static FeedRate Gather(ActivationSource source, long rows, TrainConfig config, int readers, long batches)
    {
        using var slots = new Slots(config.BatchRows * source.RowBytes);
        var clock = Stopwatch.StartNew();
        using var feeder = new BatchFeeder(source, rows, [(slots, 0)], null, readers, config, default);
        return Take(clock, feeder, batches, config.BatchRows, (long)config.BatchRows * source.RowBytes * batches);
    }

    /// <summary>Windows, or all rows where the config has none, read into a pool whose memory is not there, and batches
    /// as lists of places.</summary>
    public static FeedRate Pool(ActivationSource source, long rows, TrainConfig config, int readers, long batches,
        int pieceBytes = PoolPlan.DefaultPieceBytes)
    {
        var windows = RowOrders.HasWindows(config, rows);
        using var pool = new NoPool(new(windows ? 2 * WindowPermutation.MostRows(rows, config.ShuffleWindow) : rows,
            source.RowBytes, !windows)
        { Readers = readers, PieceBytes = pieceBytes },
            config.BatchRows);
        var clock = Stopwatch.StartNew();
        using var feeder = new BatchFeeder(source, rows, [(pool, 0)], pool, readers, config, default);
        return Take(clock, feeder, batches, config.BatchRows, null);
    }

    /// <param name="clock">From before the feeder's threads began.</param>
    static FeedRate Take(Stopwatch clock, BatchFeeder feeder, long batches, int batchRows, long? bytes)
    {
        for (long batch = 0; batch < batches; batch++)
        {
            feeder.Next(out _);
            feeder.Release();
        }
        var (time, tap, loader) = (clock.Elapsed, feeder.Taps[0], (feeder.Maker as PooledBatches)?.Loader);
        return new(bytes ?? loader!.Bytes, batches * batchRows, time, tap.InputWait, tap.FeederWait,
            loader?.Waited ?? default);
    }

    unsafe class Slots(int bytes) : IInputSlots, IDisposable
    {
        readonly byte* memory = (byte*)NativeMemory.AlignedAlloc((nuint)(2L * bytes), 4096);

        public Span<byte> InputSlot(int slot) => new(memory + (long)slot * bytes, bytes);
        public void WaitForSlot(int slot) { }
        public virtual void Dispose() => NativeMemory.AlignedFree(memory);
    }

    sealed unsafe class NoPool(PoolPlan plan, int batchRows) : Slots(batchRows * sizeof(int)), IRowPool
    {
        readonly int pieceBytes = plan.PieceRows * plan.RowBytes;
        readonly byte* pieces =
            (byte*)NativeMemory.AlignedAlloc((nuint)(2L * plan.Readers * plan.PieceRows * plan.RowBytes), 4096);

        public PoolPlan Plan => plan;
        public Span<byte> Piece(int piece) => new(pieces + (long)piece * pieceBytes, pieceBytes);
        public void BeginFill() { }
        public void Upload(int piece, long place, int rows) { }
        public void EndFill() { }
        public void Drain() { }

        public override void Dispose()
        {
            NativeMemory.AlignedFree(pieces);
            base.Dispose();
        }
    }
}
