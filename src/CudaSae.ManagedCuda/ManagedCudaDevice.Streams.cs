using ManagedCuda.BasicTypes;
using Events = ManagedCuda.DriverAPINativeMethods.Events;
using Graphs = ManagedCuda.DriverAPINativeMethods.GraphManagment;
using Streams = ManagedCuda.DriverAPINativeMethods.Streams;

namespace CudaSae.ManagedCuda;

public sealed unsafe partial class ManagedCudaDevice
{
    static CUstream On(nint stream) => new() { Pointer = stream };
    static CUevent Event(nint handle) => new() { Pointer = handle };
    static CUgraphExec Executable(nint graph) => new() { Pointer = graph };

    public nint CreateStream()
    {
        Enter();
        CUstream stream = default;
        // does not wait for the default stream
        Check(Streams.cuStreamCreate(ref stream, CUStreamFlags.NonBlocking), "createStream");
        return stream.Pointer;
    }

    public void DestroyStream(nint stream)
    {
        Leave();
        Check(Streams.cuStreamDestroy_v2(On(stream)), "destroyStream");
    }

    public void Synchronize(nint stream)
    {
        Enter();
        Check(Streams.cuStreamSynchronize(On(stream)), "synchronize");
    }

    public nint CreateEvent(bool timing = false)
    {
        Enter();
        CUevent handle = default;
        Check(Events.cuEventCreate(ref handle, timing ? CUEventFlags.Default : CUEventFlags.DisableTiming),
            "createEvent");
        return handle.Pointer;
    }

    public void DestroyEvent(nint handle)
    {
        Leave();
        Check(Events.cuEventDestroy_v2(Event(handle)), "destroyEvent");
    }

    public void Record(nint handle, nint stream) =>
        Check(Events.cuEventRecord(Event(handle), On(stream)), "recordEvent");
    public void Wait(nint stream, nint handle)
    {
        Enter();
        Check(Streams.cuStreamWaitEvent(On(stream), Event(handle), 0), "waitEvent");
    }

    public void WaitOnHost(nint handle)
    {
        Enter();
        Check(Events.cuEventSynchronize(Event(handle)), "synchronizeEvent");
    }

    public float ElapsedMs(nint from, nint to)
    {
        float ms = 0;
        Check(Events.cuEventElapsedTime(ref ms, Event(from), Event(to)), "elapsed");
        return ms;
    }

    public void RecordInGraph(nint handle, nint stream) =>
        Check(Events.cuEventRecordWithFlags(Event(handle), On(stream), CUEventRecordFlags.External),
            "recordEventWithFlags");

    // relaxed: other threads may allocate
    public void BeginCapture(nint stream) =>
        Check(Streams.cuStreamBeginCapture(On(stream), CUstreamCaptureMode.Relaxed), "beginCapture");

    public nint EndCapture(nint stream)
    {
        CUgraph graph = default;
        CUgraphExec executable = default;
        Check(Streams.cuStreamEndCapture(On(stream), ref graph), "endCapture");
        Check(Graphs.cuGraphInstantiate(ref executable, graph, CUgraphInstantiate_flags.None), "instantiate");
        Check(Graphs.cuGraphDestroy(graph), "destroyGraph");
        return executable.Pointer;
    }

    public void LaunchGraph(nint graph, nint stream) =>
        Check(Graphs.cuGraphLaunch(Executable(graph), On(stream)), "launchGraph");
    public void DestroyGraph(nint graph)
    {
        Leave();
        Check(Graphs.cuGraphExecDestroy(Executable(graph)), "destroyGraphExec");
    }
}
