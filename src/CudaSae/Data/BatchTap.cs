using CudaSae.Backends;

namespace CudaSae.Data;

/// <summary>One backend's side of a <see cref="BatchFeeder"/>: its two input slots, filled in turn.</summary>
public sealed class BatchTap : IDisposable
{
    internal delegate RowCursor Filling(Span<byte> slot);

    readonly BatchFeeder feeder;
    readonly IBackend backend;
    readonly SemaphoreSlim free = new(2), filled = new(0);
    readonly RowCursor[] after = new RowCursor[2];
    readonly Lock writing = new();      // held while a slot is written
    int toFill, next;
    volatile bool left;

    internal BatchTap(BatchFeeder feeder, IBackend backend, long leavesOut) => (this.feeder, this.backend, LeavesOut) = (feeder, backend, leavesOut);

    /// <summary>The feeder's first batches, which this backend does not get.</summary>
    internal long LeavesOut { get; }

    internal bool HasLeft => left;

    /// <summary>Waits for the next batch; its slot may be used until <see cref="Release"/>.</summary>
    /// <param name="cursor">Where the batch after this one starts: what a checkpoint taken after this step keeps.</param>
    public int Next(out RowCursor cursor)
    {
        filled.Wait();
        if (feeder.Failure is { } e) throw new SaeException(e.Message, e, e is SaeException { Kind: var kind } ? kind : SaeErrorKind.Files);
        var slot = next;
        next ^= 1;
        cursor = after[slot];
        return slot;
    }

    /// <summary>The step on this slot has begun: it may be filled again once the backend has taken it.</summary>
    public void Release() => free.Release();

    /// <summary>Does something that writes into the slots, and puts back what lay in them: batches that are yet to come.</summary>
    public void Aside(Action work)
    {
        lock (writing)
        {
            byte[][] kept = [backend.InputSlot(0).ToArray(), backend.InputSlot(1).ToArray()];
            work();
            for (var slot = 0; slot < 2; slot++)
            {
                backend.WaitForSlot(slot);
                kept[slot].CopyTo(backend.InputSlot(slot));
            }
        }
    }

    /// <summary>Takes no more batches: from here on the slots are not written, and the other backends go on without this one.</summary>
    public void Leave()
    {
        lock (writing) left = true;
        free.Release();
    }

    internal void WaitUntilFree()
    {
        if (!left) free.Wait();
    }

    internal void Take(Filling fill)
    {
        lock (writing)
        {
            if (left) return;
            backend.WaitForSlot(toFill);
            after[toFill] = fill(backend.InputSlot(toFill));
            toFill ^= 1;
        }
        filled.Release();
    }

    /// <summary>Lets <see cref="Next"/> look at what happened.</summary>
    internal void Announce() => filled.Release();

    public void Dispose()
    {
        free.Dispose();
        filled.Dispose();
    }
}
