namespace CudaSae.Devices;

/// <summary>What was made on a device, given back in the opposite order, all of it: a lost device answers every call
/// with its error, and taking things back from it is no second failure to report.</summary>
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

    /// <summary>Does it, and goes on where the device refuses.</summary>
    public static void Try(Action giveBack)
    {
        try { giveBack(); }
        catch (CudaException) { }
    }
}
