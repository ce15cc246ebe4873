namespace CudaSae.Backends;

/// <summary>Host memory for two batches, so that one is filled while the other is used.</summary>
interface IInputSlots
{
    /// <summary>Returns the memory of slot 0 or 1, page-locked if that is faster.</summary>
    Span<byte> InputSlot(int slot);

    /// <summary>Waits until the step that uses <paramref name="slot"/> has read it, so that it may be filled
    /// again.</summary>
    void WaitForSlot(int slot);
}
