namespace CudaSae.Backends;

/// <summary>Host memory for two batches, so that one is filled while the other is used.</summary>
interface IInputSlots
{
    /// <summary>The memory of a slot, 0 or 1; page-locked where that helps.</summary>
    Span<byte> InputSlot(int slot);

    /// <summary>Waits until the step that reads <paramref name="slot"/> has taken it, so that it may be filled
    /// again.</summary>
    void WaitForSlot(int slot);
}
