using System.Diagnostics;
using CudaSae.Backends;

namespace CudaSae.Feeding;

/// <summary>The side of a <see cref="BatchFeeder"/> that belongs to one backend: two slots, of the backend or its pool,
/// that are filled in turn.</summary>
sealed class BatchTap : IDisposable
{
    internal delegate RowCursor Filling(Span<byte> slot);

    readonly BatchFeeder feeder;
    readonly IInputSlots slots;
    readonly int firstSlot;             // number of slot 0 for steps
    readonly SemaphoreSlim free = new(2), filled = new(0);
    readonly RowCursor[] after = new RowCursor[2];
    readonly Lock writing = new();      // held while a slot is written
    int toFill, next;
    long released, inputWait, feederWait;       // waiting times in ticks of the stopwatch
    volatile bool left;

    internal BatchTap(BatchFeeder feeder, IInputSlots slots, int firstSlot, long leavesOut) =>
        (this.feeder, this.slots, this.firstSlot, LeavesOut) = (feeder, slots, firstSlot, leavesOut);

    /// <summary>Number of the feeder's first batches that this backend skips.</summary>
    internal long LeavesOut { get; }

    internal bool HasLeft => left;

    bool IsPooled => firstSlot > 0;

    /// <summary>Time for which <see cref="Next"/> has waited for batches, because the data is slower than the
    /// steps.</summary>
    public TimeSpan InputWait => Stopwatch.GetElapsedTime(0, Interlocked.Read(ref inputWait));

    /// <summary>Time for which the feeder has waited for a free slot, because the steps are slower than the
    /// data.</summary>
    public TimeSpan FeederWait => Stopwatch.GetElapsedTime(0, Interlocked.Read(ref feederWait));

    /// <summary>Waits for the next batch. Its slot is valid until <see cref="Release"/>.</summary>
    /// <param name="cursor">Position at which the batch after this one starts, which a checkpoint after this step
    /// stores.</param>
    /// <returns>The slot for the step.</returns>
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

    /// <summary>Reports that the step on this slot has started. The slot may be filled again once the backend has read
    /// it.</summary>
    public void Release()
    {
        feeder.Begun(++released);
        free.Release();
    }

    /// <summary>Runs work that writes to the backend's slots, then restores the batches in them that are not yet
    /// used.</summary>
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
            bool[] shares = [slots.IsShare(0), slots.IsShare(1)];
            ForgetShares();
            work();
            for (var slot = 0; slot < 2; slot++)
            {
                slots.WaitForSlot(slot);
                kept[slot].CopyTo(slots.InputSlot(slot));
                slots.SetShare(slot, shares[slot]);
            }
        }
    }

    /// <summary>Ends the use of this tap. The slots are not written from now on, and the other backends
    /// continue.</summary>
    public void Leave()
    {
        if (IsPooled) feeder.Stop();        // it may wait for space that only another step would free
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
            if (feeder.IsShared) slots.SetShare(toFill, true);
            toFill ^= 1;
        }
        filled.Release();
    }

    /// <summary>Makes the slots those of any rows again.</summary>
    void ForgetShares()
    {
        for (var slot = 0; slot < 2; slot++) slots.SetShare(slot, false);
    }

    static void Wait(SemaphoreSlim until, ref long ticks)
    {
        if (until.Wait(0)) return;
        var start = Stopwatch.GetTimestamp();
        until.Wait();
        Interlocked.Add(ref ticks, Stopwatch.GetTimestamp() - start);
    }

    /// <summary>Wakes <see cref="Next"/> so that it reports the failure.</summary>
    internal void Announce() => filled.Release();

    /// <summary>Ends the feeder's wait for a slot.</summary>
    internal void Wake() => free.Release();

    public void Dispose()
    {
        ForgetShares();
        free.Dispose();
        filled.Dispose();
    }
}
