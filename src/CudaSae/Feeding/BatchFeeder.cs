using CudaSae.Activations;
using CudaSae.Backends;
using CudaSae.Distributed;
using CudaSae.Model;

namespace CudaSae.Feeding;

/// <summary>The position of the next unread row. The following rows are a pure function of it and the seed.</summary>
readonly record struct RowCursor(long Epoch, long Position);

/// <summary>Fills the two input slots of backends in the background with rows in shuffled order
/// (<see cref="IRowOrder"/>), one batch ahead of the step. Batches for several backends are read once, through host
/// memory. A single backend with a pool of the rows, or of two windows, receives lists of places in the pool instead;
/// the rows and their order are the same.</summary>
sealed class BatchFeeder : IDisposable
{
    readonly Thread thread;
    readonly BatchMaker maker;
    readonly byte[] shared; // the batch for several backends; empty for one, whose slot is filled directly
    volatile Exception? failure;
    volatile bool stopping;

    /// <summary>Starts a feeder for one backend.</summary>
    /// <param name="source">The data.</param>
    /// <param name="rows">Number of training rows, the first of the source; later rows are held out.</param>
    /// <param name="backend">Receives the batches.</param>
    /// <param name="config">Seed, row order, batch rows and the treatment of rows that are not finite.</param>
    /// <param name="start">Position of the first row.</param>
    public BatchFeeder(ActivationSource source, long rows, IBackend backend, TrainConfig config,
        RowCursor start = default)
        : this(source, rows, [(backend, 0)], config, start) { }

    /// <summary>Starts a feeder for several backends.</summary>
    /// <param name="backends">The backends that receive the same batches. Each skips a number of batches, counted from
    /// <paramref name="start"/>, on which it has already been trained.</param>
    /// <param name="config">Seed, row order, batch rows and the treatment of rows that are not finite, the same for
    /// all.</param>
    public BatchFeeder(ActivationSource source, long rows, IReadOnlyList<(IBackend Backend, long LeaveOut)> backends,
        TrainConfig config, RowCursor start = default)
        : this(source, rows, [.. backends.Select(one => ((IInputSlots)one.Backend, one.LeaveOut))],
            backends.Count == 1 && backends[0].LeaveOut == 0 ? backends[0].Backend.Pool : null,
            backends.Any(one => one.Backend.IsSynchronous) ? 1 : PoolPlan.ReadersBeside, config, start,
            backends[0].Backend.Shard)
    { }

    /// <summary>Starts a feeder for slots or a pool.</summary>
    /// <param name="pool">Used in place of the slots if it suits these rows.</param>
    /// <param name="readers">Number of threads that gather a batch's rows without a pool.</param>
    /// <param name="shard">The share of this rank; null for one process.</param>
    internal BatchFeeder(ActivationSource source, long rows, IReadOnlyList<(IInputSlots Slots, long LeaveOut)> backends,
        IRowPool? pool, int readers, TrainConfig config, RowCursor start, ShardPlan? shard = null)
    {
        if (rows < 1 || rows > source.Rows) throw new ArgumentOutOfRangeException(nameof(rows));
        IsPooled = pool is not null && pool.Plan.Serves(config, rows, source.RowBytes);
        Taps = IsPooled ? [new(this, pool!, IRowPool.FirstSlot, 0)]
            : [.. backends.Select(one => new BatchTap(this, one.Slots, 0, one.LeaveOut))];
        shared = Taps.Length > 1 ? new byte[config.BatchRows * source.RowBytes] : [];
        IsShared = shard is { SharedReading: true };
        maker = IsShared ? new SharedBatches(source, rows, config, start, readers, shard!)
            : IsPooled ? new PooledBatches(source, rows, config, start, pool!)
            : new HostBatches(source, rows, config, start, readers);
        thread = new(Loop) { IsBackground = true, Name = "cudasae feeder" };
        thread.Start();
    }

    /// <summary>Number of rows skipped because of NaN or infinity.</summary>
    public long SkippedRows => maker.Skipped;

    /// <summary>Whether this rank reads only its share of each batch.</summary>
    public bool IsShared { get; }

    /// <summary>Whether batches are gathered on the device from its pool.</summary>
    public bool IsPooled { get; }

    /// <summary>One tap for each backend, from which it takes its batches.</summary>
    public BatchTap[] Taps { get; }

    internal BatchMaker Maker => maker;

    /// <summary>The error that ended the feeding; null while it continues.</summary>
    internal Exception? Failure => failure;

    /// <summary>Calls <see cref="BatchTap.Next"/> of the only backend.</summary>
    public int Next(out RowCursor cursor) => Taps[0].Next(out cursor);

    /// <summary>Calls <see cref="BatchTap.Release"/> of the only backend.</summary>
    public void Release() => Taps[0].Release();

    internal void Begun(long batches)
    {
        if (IsPooled) maker.Begun(batches);
    }

    internal void Stop() => maker.Stop();

    void Loop()
    {
        try
        {
            for (long batch = 0; ; batch++)
            {
                if (shared.Length > 0) maker.Make(shared);
                foreach (var tap in Taps)
                    if (tap.LeavesOut <= batch) tap.WaitUntilFree();
                if (stopping || Taps.All(static tap => tap.HasLeft)) return;
                foreach (var tap in Taps)
                    if (tap.LeavesOut <= batch) tap.Take(FillOrCopy);
            }
        }
        catch (OperationCanceledException) { }      // the feeder was stopped; no thread waits
        catch (Exception e)
        {
            failure = e;
            foreach (var tap in Taps) tap.Announce();
        }
    }

    RowCursor FillOrCopy(Span<byte> slot)
    {
        if (shared.Length > 0) shared.CopyTo(slot);
        else maker.Make(slot);
        return maker.Cursor;
    }

    public void Dispose()
    {
        stopping = true;
        maker.Stop();
        foreach (var tap in Taps) tap.Wake();
        thread.Join();
        maker.Dispose();
        foreach (var tap in Taps) tap.Dispose();
    }
}
