using System.Diagnostics;
using CudaSae.Activations;
using CudaSae.Backends;
using CudaSae.Numerics;

namespace CudaSae.Feeding;

/// <summary>Threads that read rows into a pool, one fill after another as each is allowed. The pieces of a fill are
/// distributed in turn, read, checked for rows that are not finite, and uploaded. Each thread has two pieces of
/// page-locked memory, so that it fills one while the other is uploaded.</summary>
sealed class PoolLoader : IDisposable
{
    const int CheckedBytes = 1 << 18;       // bytes that are read and then checked while they are in the L2 cache

    readonly ActivationSource source;
    readonly IRowPool pool;
    readonly bool fromDisk;
    readonly IEnumerator<PoolFill> fills;
    readonly Queue<PoolFill> begun = [];    // fills that started and were not yet returned by Next
    readonly ulong[] refused;               // one bit for each place
    readonly Thread[] readers;
    readonly object gate = new();
    PoolFill? current;
    long allowed, waited, bytes;
    Exception? failure;
    bool stopping;

    /// <summary>Starts the threads.</summary>
    /// <param name="allowed">Number of fills that may start immediately; <see cref="Allow"/> permits more.</param>
    public PoolLoader(ActivationSource source, long rows, IRowPool pool, IEnumerable<PoolFill> fills, int allowed)
    {
        (this.source, this.pool, this.allowed) = (source, pool, allowed);
        this.fills = fills.GetEnumerator();
        fromDisk = source.ExceedsMemory(rows);
        refused = new ulong[(pool.Plan.Rows + 63) / 64];
        readers = [.. Enumerable.Range(0, pool.Plan.Readers)
            .Select(r => new Thread(() => Work(r)) { IsBackground = true, Name = $"cudasae reader {r}" })];
        foreach (var reader in readers) reader.Start();
    }

    /// <summary>Number of bytes read so far.</summary>
    public long Bytes => Interlocked.Read(ref bytes);

    /// <summary>Time for which threads have waited for permission to start a fill, summed over the threads.</summary>
    public TimeSpan Waited => Stopwatch.GetElapsedTime(0, Interlocked.Read(ref waited));

    /// <summary>Returns whether the row at a place of a complete fill holds NaN or infinity.</summary>
    public bool IsRefused(int place) => (refused[place >> 6] >> place & 1) != 0;

    /// <summary>Waits for the next fill to be complete and returns it.</summary>
    /// <exception cref="SaeException">The rows cannot be read.</exception>
    public PoolFill Next()
    {
        lock (gate)
        {
            while (!stopping && !(begun.TryPeek(out var fill) && fill.Complete))
                if (failure is not null)
                    throw new SaeException(failure.Message, failure,
                        failure is SaeException { Kind: var kind } ? kind : SaeErrorKind.Files);
                else Monitor.Wait(gate);
            return stopping ? throw new OperationCanceledException() : begun.Dequeue();
        }
    }

    /// <summary>Permits one more fill, because a part of the pool is free.</summary>
    public void Allow()
    {
        lock (gate)
        {
            allowed++;
            Monitor.PulseAll(gate);
        }
    }

    public void Stop()
    {
        lock (gate)
        {
            stopping = true;
            Monitor.PulseAll(gate);
        }
    }

    void Work(int reader)
    {
        try
        {
            for (var turn = 0; Take() is var (fill, at, count); turn ^= 1)
            {
                var piece = 2 * reader + turn;
                Read(fill, at, pool.Piece(piece)[..(count * source.RowBytes)]);
                pool.Upload(piece, fill.Place + at, count);
                Close(fill, count);
            }
        }
        catch (Exception e)
        {
            lock (gate)
            {
                failure ??= e;
                Monitor.PulseAll(gate);
            }
        }
    }

    /// <summary>Returns the next piece to read; null at the end.</summary>
    (PoolFill Fill, long At, int Count)? Take()
    {
        lock (gate)
        {
            while (current is null || current.HandedOut == current.Rows)
            {
                if (stopping || failure is not null) return null;
                if (allowed == 0)
                {
                    var start = Stopwatch.GetTimestamp();
                    Monitor.Wait(gate);
                    waited += Stopwatch.GetTimestamp() - start;
                    continue;
                }
                if (!fills.MoveNext()) return null;
                allowed--;
                begun.Enqueue(current = fills.Current);
                pool.BeginFill();
            }
            if (stopping || failure is not null) return null;
            var at = current.HandedOut;
            var count = (int)Math.Min(pool.Plan.PieceRows, current.Rows - at);
            current.HandedOut += count;
            return (current, at, count);
        }
    }

    void Close(PoolFill fill, int count)
    {
        Interlocked.Add(ref bytes, (long)count * source.RowBytes);
        lock (gate)
        {
            var last = fill.Read + count == fill.Rows;
            if (last) pool.EndFill();       // before the fill counts as complete
            fill.Read += count;
            if (last) Monitor.PulseAll(gate);
        }
    }

    void Read(PoolFill fill, long at, Span<byte> into)
    {
        var most = Math.Max(1, CheckedBytes / source.RowBytes);
        if (fromDisk) Expect(fill, at, into.Length / source.RowBytes);
        while (into.Length > 0)
        {
            var (row, run) = fill.Run(at);
            var count = (int)Math.Min(Math.Min(run, most), into.Length / source.RowBytes);
            var part = into[..(count * source.RowBytes)];
            source.ReadRows(row, part);
            Mark(fill.Place + at, part);
            at += count;
            into = into[part.Length..];
        }
    }

    /// <summary>Announces these rows, and the rows after those that other threads take meanwhile.</summary>
    void Expect(PoolFill fill, long at, int count)
    {
        for (long here = at, end = Math.Min(fill.Rows, at + (1L + readers.Length) * count); here < end;)
        {
            var (row, run) = fill.Run(here);
            source.Expect(row, Math.Min(run, end - here));
            here += run;
        }
    }

    /// <summary>Marks the rows that are not finite, and clears marks of an earlier fill.</summary>
    void Mark(long place, ReadOnlySpan<byte> rows)
    {
        var all = Finite.All(rows, source.Type);
        for (var i = 0; i * source.RowBytes < rows.Length; i++, place++)
        {
            var bit = 1UL << (int)(place & 63);
            ref var word = ref refused[place >> 6];
            if (!all && !Finite.All(rows.Slice(i * source.RowBytes, source.RowBytes), source.Type))
                Interlocked.Or(ref word, bit);
            else if ((Volatile.Read(ref word) & bit) != 0) Interlocked.And(ref word, ~bit);
        }
    }

    public void Dispose()
    {
        Stop();
        foreach (var reader in readers) reader.Join();
        fills.Dispose();
        pool.Drain();
    }
}
