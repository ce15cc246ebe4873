namespace CudaSae.Devices;

/// <summary>Resources that were made on a device. Dispose releases all of them in the opposite order. A lost device
/// returns its error from every call, and an error during the release is not reported again.</summary>
sealed unsafe class Owned(IDevice device) : IDisposable
{
    readonly Stack<Action> back = new();

    public nint Stream()
    {
        var stream = device.CreateStream();
        back.Push(() => device.DestroyStream(stream));
        return stream;
    }

    public nint Event(bool timing = false)
    {
        var made = device.CreateEvent(timing);
        back.Push(() => device.DestroyEvent(made));
        return made;
    }

    public ulong Memory(long bytes)
    {
        var pointer = device.Allocate(bytes);
        back.Push(() => device.Free(pointer));
        return pointer;
    }

    public void* Pinned(long bytes)
    {
        var pointer = (nint)device.AllocatePinned(bytes);
        back.Push(() => device.FreePinned((void*)pointer));
        return (void*)pointer;
    }

    public T Add<T>(T made) where T : IDisposable
    {
        back.Push(made.Dispose);
        return made;
    }

    public void Dispose()
    {
        while (back.TryPop(out var giveBack)) Try(giveBack);
    }

    /// <summary>Runs a release and ignores an error of the device.</summary>
    public static void Try(Action giveBack)
    {
        try { giveBack(); }
        catch (CudaException) { }
    }
}
