using System.Diagnostics;
using CudaSae.Activations;
using CudaSae.Backends;
using CudaSae.Numerics;

namespace CudaSae.Feeding;

/// <summary>Threads that read rows into a pool, one fill after another as each is allowed: pieces of a fill are handed
/// out in turn, read, looked through for rows that are not finite, and uploaded.
/// Each thread has two pieces of page-locked memory, so that one is read into while the other is uploaded.</summary>
sealed class PoolLoader : IDisposable
{
    const int CheckedBytes = 1 << 18;       // read, then looked through while they are in the second-level cache

    readonly ActivationSource source;
    readonly IRowPool pool;
    readonly bool fromDisk;
    readonly IEnumerator<PoolFill> fills;
    readonly Queue<PoolFill> begun = [];    // not yet asked for
    readonly ulong[] refused;               // a bit a place
    readonly Thread[] readers;
    readonly object gate = new();
    PoolFill? current;
    long allowed, waited, bytes;
    Exception? failure;
    bool stopping;

    /// <param name="allowed">Fills that may begin at once; more are by <see cref="Allow"/>.</param>
    public PoolLoader(ActivationSource source, long rows, IRowPool pool, IEnumerable<PoolFill> fills, int allowed)
    {
        (this.source, this.pool, this.allowed) = (source, pool, allowed);
        this.fills = fills.GetEnumerator();
        fromDisk = (double)rows * source.RowBytes > GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 2.0;
        refused = new ulong[(pool.Plan.Rows + 63) / 64];
        readers = [.. Enumerable.Range(0, pool.Plan.Readers)
            .Select(r => new Thread(() => Work(r)) { IsBackground = true, Name = $"cudasae reader {r}" })];
        foreach (var reader in readers) reader.Start();
    }

    /// <summary>Bytes read so far.</summary>
    public long Bytes => Interlocked.Read(ref bytes);

    /// <summary>Time that threads have waited to be allowed a fill, summed over them.</summary>
    public TimeSpan Waited => Stopwatch.GetElapsedTime(0, Interlocked.Read(ref waited));

    /// <summary>Whether the row at a place of a complete fill holds NaN or infinity.</summary>
    public bool IsRefused(int place) => (refused[place >> 6] >> place & 1) != 0;

    /// <summary>The next fill, complete.</summary>
    /// <exception cref="SaeException">Its rows cannot be read.</exception>
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

    /// <summary>One more fill may begin: a part of the pool is free.</summary>
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

    /// <summary>What to read next; null at the end.</summary>
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
            if (last) pool.EndFill();       // before anybody takes it for complete
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

    /// <summary>Of these rows and of as many behind those that other threads have taken meanwhile.</summary>
    void Expect(PoolFill fill, long at, int count)
    {
        for (long here = at, end = Math.Min(fill.Rows, at + (1L + readers.Length) * count); here < end;)
        {
            var (row, run) = fill.Run(here);
            source.Expect(row, Math.Min(run, end - here));
            here += run;
        }
    }

    /// <summary>Notes which of these rows are not finite; a place's mark of an earlier fill goes.</summary>
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
