using CudaSae.Devices;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Kernels;

/// <summary>The transfer of a batch to the device: from a slot of page-locked memory, from device memory of the caller,
/// or from a pool. Copies run on a separate stream.</summary>
sealed unsafe partial class KernelBackend
{
    int SlotBytes => checked(Config.BatchRows * Spec.RowWidth * Context.InputType.Bytes());

    public Span<byte> InputSlot(int slot) => new(slots[slot], SlotBytes);

    public void WaitForSlot(int slot) => device.WaitOnHost(copied[slot]);

    public bool IsShare(int slot) => shares[slot];
    public void SetShare(int slot, bool isShare) => shares[slot] = isShare;

    /// <summary>[Ranks + 1] places in a slot of the rows that each rank reads.</summary>
    long[] ShareStarts => Shard!.RowStarts(Config.BatchRows, Spec.RowWidth * Context.InputType.Bytes());

    public IRowPool? Pool => pool;

    public void BeginStep(int slot, in StepScalars scalars)
    {
        if (slot < IRowPool.FirstSlot) TakeInput(slot);
        else pool!.Begin(slot - IRowPool.FirstSlot, copyStream, stream);
        Settle();                                       // the copy runs concurrently
        var at = ++steps % Ring;
        device.WaitOnHost(scalarsRead[at]);
        scalarRing[at] = scalars;
        scalarRing[at].Input = (uint)slot;
        SendScalars();
        if (phases.Dense is { } dense) dense.Prefix = scalars.Prefix;
    }

    /// <summary>The scalars of the step in progress.</summary>
    ref StepScalars Now => ref scalarRing[steps % Ring];

    void SendScalars()
    {
        var at = steps % Ring;
        device.CopyToDevice(Buffers.Scalars.Pointer, &scalarRing[at], sizeof(StepScalars), stream);
        device.Record(scalarsRead[at], stream);
    }

    /// <summary>Records that the step has read its input, so that the input may be overwritten.</summary>
    void LeaveInput()
    {
        var slot = (int)Now.Input;
        if (slot < IRowPool.FirstSlot) device.Record(taken[slot], stream);
        else pool!.Taken(slot - IRowPool.FirstSlot, stream);
    }

    public void LendInput(int slot, ulong rows, int count, nint stream)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, Config.BatchRows);
        lent[slot] = (rows, (long)count * Spec.RowWidth * Context.InputType.Bytes(), stream);
        device.Record(lentReady[slot], stream);
    }

    void TakeInput(int slot)
    {
        device.Wait(copyStream, taken[slot]);       // until the step before the last has read the device's copy
        CopyInput(slot);
        device.Wait(stream, copied[slot]);
        if (!shares[slot]) return;
        shares[slot] = false;
        Context.Ranks!.Gather(Buffers.Raw[slot], ShareStarts);
    }

    void CopyInput(int slot)
    {
        var (rows, bytes, owner) = lent[slot];
        lent[slot] = default;
        if (rows != 0)
        {
            device.Wait(copyStream, lentReady[slot]);
            device.CopyOnDevice(Buffers.Raw[slot].Pointer, rows, bytes, copyStream);
        }
        else
        {
            var (first, end) = shares[slot] ? (ShareStarts[Shard!.Rank], ShareStarts[Shard.Rank + 1]) : (0, SlotBytes);
            device.CopyToDevice(Buffers.Raw[slot].Pointer + (ulong)first, (byte*)slots[slot] + first, end - first,
                copyStream);
        }
        device.Record(copied[slot], copyStream);
        if (rows != 0) device.Wait(owner, copied[slot]);
    }

    public void ReadLent(ulong rows, nint stream, Span<byte> into) => device.Download(into, rows, stream);
}
