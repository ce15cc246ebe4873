using System.Collections.Concurrent;

namespace CudaSae.Devices;

/// <summary>Streams, events and graphs.</summary>
sealed unsafe partial class CudaDevice
{
    // True for streams whose last operation is a kernel launch.
    readonly ConcurrentDictionary<nint, bool> afterKernel = [];

    /// <summary>Prepares an operation on a stream other than a kernel launch.</summary>
    internal void Enter(nint stream)
    {
        Enter();
        afterKernel[stream] = false;
    }

    public nint CreateStream()
    {
        Enter();
        nint stream;
        driver.Check(driver.createStream(&stream, 1));      // does not synchronize with the default stream
        return stream;
    }

    public void DestroyStream(nint stream)
    {
        afterKernel.TryRemove(stream, out _);       // a later stream may have the same handle
        driver.Check(Leaving.destroyStream(stream));
    }

    public void Synchronize(nint stream)
    {
        Announce(true);
        try
        {
            Enter();
            driver.Check(driver.synchronize(stream));
        }
        catch { EndCopies(stream); throw; }
        finally { Announce(false); }
    }

    public void SynchronizeAll()
    {
        Enter();
        driver.Check(driver.synchronizeContext());
    }

    public nint CreateEvent(bool timing = false)
    {
        Enter();
        nint handle;
        driver.Check(driver.createEvent(&handle, timing ? 0u : 2u));
        return handle;
    }

    public void DestroyEvent(nint handle) => driver.Check(Leaving.destroyEvent(handle));

    public void Record(nint handle, nint stream)
    {
        Enter(stream);
        driver.Check(driver.recordEvent(handle, stream));
    }

    public void Wait(nint stream, nint handle)
    {
        Enter(stream);
        driver.Check(driver.waitEvent(stream, handle, 0));
    }

    public void WaitOnHost(nint handle)
    {
        Enter();
        Announce(true);
        try { driver.Check(driver.synchronizeEvent(handle)); }
        finally { Announce(false); }
    }

    public float ElapsedMs(nint from, nint to)
    {
        Enter();
        float ms;
        driver.Check(driver.elapsed(&ms, from, to));
        return ms;
    }

    public void RecordInGraph(nint handle, nint stream)
    {
        const uint External = 1;
        Enter(stream);
        driver.Check(driver.recordEventWithFlags(handle, stream, External));
    }

    public void BeginCapture(nint stream)
    {
        const int Relaxed = 2;      // other threads may allocate
        Enter(stream);
        driver.Check(driver.beginCapture(stream, Relaxed));
    }

    public nint EndCapture(nint stream)
    {
        Enter(stream);
        nint graph, executable;
        driver.Check(driver.endCapture(stream, &graph));
        var instantiated = driver.instantiate(&executable, graph, 0);
        var destroyed = driver.destroyGraph(graph);
        driver.Check(instantiated, nameof(driver.instantiate));
        if (destroyed != 0) _ = driver.destroyGraphExec(executable);
        driver.Check(destroyed, nameof(driver.destroyGraph));
        return executable;
    }

    public void LaunchGraph(nint graph, nint stream)
    {
        Enter(stream);
        driver.Check(driver.launchGraph(graph, stream));
    }

    public void DestroyGraph(nint graph) => driver.Check(Leaving.destroyGraphExec(graph));
}
