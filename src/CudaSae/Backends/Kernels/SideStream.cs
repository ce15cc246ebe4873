using CudaSae.Devices;

namespace CudaSae.Backends.Kernels;

/// <summary>A second stream, on which work runs beside that of the stream of the phases. A recording of the phases'
/// stream contains both.</summary>
sealed class SideStream(Owned owned)
{
    readonly nint forked = owned.Event(), joined = owned.Event();

    public nint Stream { get; } = owned.Stream();

    /// <summary>Makes later work of this stream wait for the work so far of the stream of the phases.</summary>
    public void Fork(IDevice device, nint phases)
    {
        device.Record(forked, phases);
        device.Wait(Stream, forked);
    }

    /// <summary>Makes later work of the stream of the phases wait for the work so far of this stream.</summary>
    public void Join(IDevice device, nint phases)
    {
        device.Record(joined, Stream);
        device.Wait(phases, joined);
    }
}
