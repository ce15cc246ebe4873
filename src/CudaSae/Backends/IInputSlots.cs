using CudaSae.Distributed;

namespace CudaSae.Backends;

/// <summary>Host memory for two batches, so that one is filled while the other is used.</summary>
interface IInputSlots
{
    /// <summary>Returns the memory of slot 0 or 1, page-locked if that is faster.</summary>
    Span<byte> InputSlot(int slot);

    /// <summary>Waits until the step that uses <paramref name="slot"/> has read it, so that it may be filled
    /// again.</summary>
    void WaitForSlot(int slot);

    /// <summary>Returns whether a slot holds only this rank's share of the rows. The next step on the slot receives the
    /// other rows from their ranks. When the step begins, all ranks have the same answer.</summary>
    bool IsShare(int slot) => false;

    /// <summary>States whether a slot holds only this rank's share of the rows, each in its place
    /// (<see cref="ShardPlan.RowStarts"/>). The next step on the slot resets the statement.</summary>
    void SetShare(int slot, bool isShare)
    {
        if (isShare) throw new NotSupportedException("this slot is not divided among ranks");
    }
}
