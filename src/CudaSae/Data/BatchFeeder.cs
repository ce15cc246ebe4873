using CudaSae.Backends;
using CudaSae.Training;

namespace CudaSae.Data;

/// <summary>Where the next unread row stands: a pure function of it and the seed says what comes.</summary>
public readonly record struct RowCursor(long Epoch, long Position);

/// <summary>Fills a backend's two input slots in the background with rows in shuffled order, one batch ahead of the step.
/// The order within an epoch is a <see cref="RowPermutation"/> of all training rows.</summary>
public sealed class BatchFeeder : IDisposable
{
    readonly ActivationSource source;
    readonly IBackend backend;
    readonly TrainConfig config;
    readonly long rows;
    readonly bool fromDisk;     // the rows may not all stay in memory
    readonly Thread thread;
    readonly SemaphoreSlim free = new(2), filled = new(0);
    readonly RowCursor[] after = new RowCursor[2];
    RowCursor cursor;
    RowPermutation permutation;
    volatile Exception? failure;
    volatile bool stopping;
    int next;
    long skipped;

    /// <param name="rows">Training rows: the first ones of the source; those after them are held out.</param>
    /// <param name="start">Where to go on.</param>
    public BatchFeeder(ActivationSource source, long rows, IBackend backend, TrainConfig config, RowCursor start = default)
    {
        if (rows < 1 || rows > source.Rows) throw new ArgumentOutOfRangeException(nameof(rows));
        (this.source, this.rows, this.backend, this.config, cursor) = (source, rows, backend, config, start);
        permutation = new(config.Seed, cursor.Epoch, rows);
        fromDisk = (double)rows * source.RowBytes > GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 2.0;
        thread = new(Loop) { IsBackground = true, Name = "cudasae feeder" };
        thread.Start();
    }

    /// <summary>Rows left out for NaN or infinity.</summary>
    public long SkippedRows => Interlocked.Read(ref skipped);

    /// <summary>Waits for the next batch; its slot may be used until <see cref="Release"/>.</summary>
    /// <param name="cursor">Where the batch after this one starts: what a checkpoint taken after this step keeps.</param>
    public int Next(out RowCursor cursor)
    {
        filled.Wait();
        if (failure is { } e) throw new SaeException(e.Message, e, e is SaeException { Kind: var kind } ? kind : SaeErrorKind.Files);
        var slot = next;
        next ^= 1;
        cursor = after[slot];
        return slot;
    }

    /// <summary>The step on this slot has begun: it may be filled again once the backend has taken it.</summary>
    public void Release() => free.Release();

    void Loop()
    {
        try
        {
            for (var slot = 0; ; slot ^= 1)
            {
                free.Wait();
                if (stopping) return;
                backend.WaitForSlot(slot);
                Fill(backend.InputSlot(slot));
                after[slot] = cursor;
                filled.Release();
            }
        }
        catch (Exception e)
        {
            failure = e;
            filled.Release();
        }
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
        free.Release();
        thread.Join();
        free.Dispose();
        filled.Dispose();
    }
}
