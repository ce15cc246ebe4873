using CudaSae.Backends;
using CudaSae.Training;

namespace CudaSae.Data;

/// <summary>Where the next unread row stands: a pure function of it and the seed says what comes.</summary>
public readonly record struct RowCursor(long Epoch, long Position);

/// <summary>Fills backends' two input slots in the background with rows in shuffled order, one batch ahead of the step. What several backends get is read once.
/// The order within an epoch is a <see cref="RowPermutation"/> of all training rows.</summary>
public sealed class BatchFeeder : IDisposable
{
    readonly ActivationSource source;
    readonly TrainConfig config;
    readonly long rows;
    readonly bool fromDisk;     // the rows may not all stay in memory
    readonly Thread thread;
    readonly byte[] shared;     // the batch that several backends get; empty where one does, whose slot is filled itself
    RowCursor cursor;
    RowPermutation permutation;
    volatile Exception? failure;
    volatile bool stopping;
    long skipped;

    /// <param name="rows">Training rows: the first ones of the source; those after them are held out.</param>
    /// <param name="start">Where to go on.</param>
    public BatchFeeder(ActivationSource source, long rows, IBackend backend, TrainConfig config, RowCursor start = default)
        : this(source, rows, [(backend, 0)], config, start) { }

    /// <param name="backends">Those that get the same batches, and how many of them, counted from <paramref name="start"/>, each one leaves out: it has been trained on them.</param>
    /// <param name="config">Seed, batch rows and what is done with rows that are not finite: the same for all.</param>
    public BatchFeeder(ActivationSource source, long rows, IReadOnlyList<(IBackend Backend, long LeaveOut)> backends, TrainConfig config, RowCursor start = default)
    {
        if (rows < 1 || rows > source.Rows) throw new ArgumentOutOfRangeException(nameof(rows));
        (this.source, this.rows, this.config, cursor) = (source, rows, config, start);
        Taps = [.. backends.Select(one => new BatchTap(this, one.Backend, one.LeaveOut))];
        shared = Taps.Length > 1 ? new byte[config.BatchRows * source.RowBytes] : [];
        permutation = new(config.Seed, cursor.Epoch, rows);
        fromDisk = (double)rows * source.RowBytes > GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 2.0;
        thread = new(Loop) { IsBackground = true, Name = "cudasae feeder" };
        thread.Start();
    }

    /// <summary>Rows left out for NaN or infinity.</summary>
    public long SkippedRows => Interlocked.Read(ref skipped);

    /// <summary>What each of the backends takes its batches from.</summary>
    public BatchTap[] Taps { get; }

    /// <summary>Why no more batches come; null while they do.</summary>
    internal Exception? Failure => failure;

    /// <summary><see cref="BatchTap.Next"/> of the only backend.</summary>
    public int Next(out RowCursor cursor) => Taps[0].Next(out cursor);

    /// <summary><see cref="BatchTap.Release"/> of the only backend.</summary>
    public void Release() => Taps[0].Release();

    void Loop()
    {
        try
        {
            for (long batch = 0; ; batch++)
            {
                if (shared.Length > 0) Fill(shared);
                foreach (var tap in Taps)
                    if (tap.LeavesOut <= batch) tap.WaitUntilFree();
                if (stopping || Taps.All(static tap => tap.HasLeft)) return;
                foreach (var tap in Taps)
                    if (tap.LeavesOut <= batch) tap.Take(FillOrCopy);
            }
        }
        catch (Exception e)
        {
            failure = e;
            foreach (var tap in Taps) tap.Announce();
        }
    }

    RowCursor FillOrCopy(Span<byte> slot)
    {
        if (shared.Length > 0) shared.CopyTo(slot);
        else Fill(slot);
        return cursor;
    }

    void Fill(Span<byte> slot)
    {
        var rowBytes = source.RowBytes;
        if (fromDisk)
            for (var at = cursor.Position; at < Math.Min(rows, cursor.Position + slot.Length / rowBytes); at++) source.Expect(permutation[at]);
        for (var at = 0; at < slot.Length; at += rowBytes)
        {
            var row = slot.Slice(at, rowBytes);
            var refused = 0L;
            while (true)
            {
                var i = permutation[cursor.Position];
                cursor = cursor.Position + 1 < rows ? cursor with { Position = cursor.Position + 1 } : Advance();
                source.Read(i, row);
                if (Finite.All(row, source.Type)) break;
                if (config.NonFinite == NonFiniteRows.Stop)
                    throw new SaeException($"{source.Locate(i)} holds NaN or infinity; mend it, or leave such rows out with --non-finite skip");
                Interlocked.Increment(ref skipped);
                if (++refused >= rows) throw new SaeException("no row of the data is finite");
            }
        }
    }

    RowCursor Advance()
    {
        var epoch = cursor.Epoch + 1;
        permutation = new(config.Seed, epoch, rows);
        return new(epoch, 0);
    }

    public void Dispose()
    {
        stopping = true;
        foreach (var tap in Taps) tap.Release();
        thread.Join();
        foreach (var tap in Taps) tap.Dispose();
    }
}
