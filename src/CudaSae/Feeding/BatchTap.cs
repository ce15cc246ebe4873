using System.Diagnostics;
using CudaSae.Backends;

namespace CudaSae.Feeding;

/// <summary>One backend's side of a <see cref="BatchFeeder"/>: two slots that are filled in turn, its own or its
/// pool's.</summary>
sealed class BatchTap : IDisposable
{
    internal delegate RowCursor Filling(Span<byte> slot);

    readonly BatchFeeder feeder;
    readonly IInputSlots slots;
    readonly int firstSlot;             // what a step calls slot 0 of them
    readonly SemaphoreSlim free = new(2), filled = new(0);
    readonly RowCursor[] after = new RowCursor[2];
    readonly Lock writing = new();      // held while a slot is written
    int toFill, next;
    long released, inputWait, feederWait;       // waits in the stopwatch's ticks
    volatile bool left;

    internal BatchTap(BatchFeeder feeder, IInputSlots slots, int firstSlot, long leavesOut) =>
        (this.feeder, this.slots, this.firstSlot, LeavesOut) = (feeder, slots, firstSlot, leavesOut);

    /// <summary>The feeder's first batches, which this backend does not get.</summary>
    internal long LeavesOut { get; }

    internal bool HasLeft => left;

    bool IsPooled => firstSlot > 0;

    /// <summary>Time that <see cref="Next"/> has waited for batches: the data are slower than the steps.</summary>
    public TimeSpan InputWait => Stopwatch.GetElapsedTime(0, Interlocked.Read(ref inputWait));

    /// <summary>Time that the feeder has waited for a free slot: the steps are slower than the data.</summary>
    public TimeSpan FeederWait => Stopwatch.GetElapsedTime(0, Interlocked.Read(ref feederWait));

    /// <summary>Waits for the next batch; its slot may be used until <see cref="Release"/>.</summary>
    /// <param name="cursor">Where the batch after this one starts: what a checkpoint taken after this step
    /// keeps.</param>
    /// <returns>The slot to run a step on.</returns>
    public int Next(out RowCursor cursor)
    {
        Wait(filled, ref inputWait);
        if (feeder.Failure is { } e)
            throw new SaeException(e.Message, e, e is SaeException { Kind: var kind } ? kind : SaeErrorKind.Files);
        var slot = next;
        next ^= 1;
        cursor = after[slot];
        return firstSlot + slot;
    }

    /// <summary>The step on this slot has begun: it may be filled again once the backend has taken it.</summary>
    public void Release()
    {
        feeder.Begun(++released);
        free.Release();
    }

    /// <summary>Does something that writes into the backend's own slots, and puts back what lay in them: batches that
    /// are yet to come.</summary>
    public void Aside(Action work)
    {
        if (IsPooled)
        {
            work();
            return;
        }
        lock (writing)
        {
            byte[][] kept = [slots.InputSlot(0).ToArray(), slots.InputSlot(1).ToArray()];
            work();
            for (var slot = 0; slot < 2; slot++)
            {
                slots.WaitForSlot(slot);
                kept[slot].CopyTo(slots.InputSlot(slot));
            }
        }
    }

    /// <summary>Takes no more batches: from here on the slots are not written, and the other backends go on without
    /// this one.</summary>
    public void Leave()
    {
        if (IsPooled) feeder.Stop();        // it may wait for rows for which only a further step would make room
        lock (writing) left = true;
        free.Release();
    }

    internal void WaitUntilFree()
    {
        if (!left) Wait(free, ref feederWait);
    }

    internal void Take(Filling fill)
    {
        lock (writing)
        {
            if (left) return;
            var start = Stopwatch.GetTimestamp();
            slots.WaitForSlot(toFill);
            Interlocked.Add(ref feederWait, Stopwatch.GetTimestamp() - start);
            after[toFill] = fill(slots.InputSlot(toFill));
            toFill ^= 1;
        }
        filled.Release();
    }

    static void Wait(SemaphoreSlim until, ref long ticks)
    {
        if (until.Wait(0)) return;
        var start = Stopwatch.GetTimestamp();
        until.Wait();
        Interlocked.Add(ref ticks, Stopwatch.GetTimestamp() - start);
    }

    /// <summary>Lets <see cref="Next"/> look at what happened.</summary>
    internal void Announce() => filled.Release();

    /// <summary>Ends the feeder's wait for a slot.</summary>
    internal void Wake() => free.Release();

    public void Dispose()
    {
        free.Dispose();
        filled.Dispose();
    }
}
