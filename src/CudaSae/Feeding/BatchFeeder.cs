using CudaSae.Activations;
using CudaSae.Backends;
using CudaSae.Model;

namespace CudaSae.Feeding;

/// <summary>Where the next unread row stands: a pure function of it and the seed says what comes.</summary>
readonly record struct RowCursor(long Epoch, long Position);

/// <summary>Fills backends' two input slots in the background with rows in shuffled order (<see cref="IRowOrder"/>),
/// one batch ahead of the step. What several backends get is read once, through host
/// memory. A single backend with a pool that holds the rows, or two windows of them, gets lists of places in it
/// instead: the same rows, in the same order.</summary>
sealed class BatchFeeder : IDisposable
{
    readonly Thread thread;
    readonly BatchMaker maker;
    readonly byte[] shared; // the batch that several backends get; empty where one does, whose slot is filled itself
    volatile Exception? failure;
    volatile bool stopping;

    /// <param name="rows">Training rows: the first ones of the source; those after them are held out.</param>
    /// <param name="start">Where to go on.</param>
    public BatchFeeder(ActivationSource source, long rows, IBackend backend, TrainConfig config,
        RowCursor start = default)
        : this(source, rows, [(backend, 0)], config, start) { }

    /// <param name="backends">Those that get the same batches, and how many of them, counted from
    /// <paramref name="start"/>, each one leaves out: it has been trained on them.</param>
    /// <param name="config">Seed, order, batch rows and what is done with rows that are not finite: the same for
    /// all.</param>
    public BatchFeeder(ActivationSource source, long rows, IReadOnlyList<(IBackend Backend, long LeaveOut)> backends,
        TrainConfig config, RowCursor start = default)
        : this(source, rows, [.. backends.Select(one => ((IInputSlots)one.Backend, one.LeaveOut))],
            backends.Count == 1 && backends[0].LeaveOut == 0 ? backends[0].Backend.Pool : null,
            backends.Any(one => one.Backend.IsSynchronous) ? 1 : PoolPlan.ReadersBeside, config, start)
    { }

    /// <param name="pool">Instead of the slots, where it serves these rows.</param>
    /// <param name="readers">Threads that gather a batch's rows without a pool.</param>
    internal BatchFeeder(ActivationSource source, long rows, IReadOnlyList<(IInputSlots Slots, long LeaveOut)> backends,
        IRowPool? pool, int readers, TrainConfig config, RowCursor start)
    {
        if (rows < 1 || rows > source.Rows) throw new ArgumentOutOfRangeException(nameof(rows));
        IsPooled = pool is not null && pool.Plan.Serves(config, rows, source.RowBytes);
        Taps = IsPooled ? [new(this, pool!, IRowPool.FirstSlot, 0)]
            : [.. backends.Select(one => new BatchTap(this, one.Slots, 0, one.LeaveOut))];
        shared = Taps.Length > 1 ? new byte[config.BatchRows * source.RowBytes] : [];
        maker = IsPooled ? new PooledBatches(source, rows, config, start, pool!)
            : new HostBatches(source, rows, config, start, readers);
        thread = new(Loop) { IsBackground = true, Name = "cudasae feeder" };
        thread.Start();
    }

    /// <summary>Rows left out for NaN or infinity.</summary>
    public long SkippedRows => maker.Skipped;

    /// <summary>Whether batches are gathered on the device, from its pool.</summary>
    public bool IsPooled { get; }

    /// <summary>What each of the backends takes its batches from.</summary>
    public BatchTap[] Taps { get; }

    internal BatchMaker Maker => maker;

    /// <summary>Why no more batches come; null while they do.</summary>
    internal Exception? Failure => failure;

    /// <summary><see cref="BatchTap.Next"/> of the only backend.</summary>
    public int Next(out RowCursor cursor) => Taps[0].Next(out cursor);

    /// <summary><see cref="BatchTap.Release"/> of the only backend.</summary>
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
        catch (OperationCanceledException) { }      // stopped: no thread waits
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
