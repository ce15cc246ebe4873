using System.Diagnostics.CodeAnalysis;

namespace CudaSae.Devices;

/// <summary>Groups of devices, by NCCL.</summary>
sealed unsafe partial class CudaDevice
{
    const int PciBus = 33, PciDevice = 34, PciDomain = 50;      // CUdevice_attribute

    Nccl? nccl;
    [SuppressMessage("Usage", "CA2213", Justification = "The caller of Connect owns it.")]
    volatile NcclCommunicator? joined;      // the last one

    public Action<bool>? Waits { get; set; }

    /// <summary>The place of a GPU in its machine. Each process has an emulated device of its own.</summary>
    public long Location => Info.Emulated ? Environment.ProcessId
        : ((long)Attribute(PciDomain) << 32) | ((long)Attribute(PciBus) << 16) | (uint)Attribute(PciDevice);

    Nccl OpenNccl()
    {
        Enter();
        return nccl ??= Nccl.Open(driver);
    }

    public byte[] NewNcclId()
    {
        var library = OpenNccl();
        var id = new byte[Nccl.IdBytes];
        fixed (byte* bytes = id) library.Check(library.uniqueId(bytes), "ncclGetUniqueId");
        return id;
    }

    public NcclCommunicator Connect(byte[] id, int rank, int size)
    {
        if (id.Length != Nccl.IdBytes)
            throw new ArgumentException($"an id of NCCL has {Nccl.IdBytes} bytes", nameof(id));
        return joined = new(this, OpenNccl(), id, rank, size);
    }

    public string? GroupError() => joined?.AsyncError();

    /// <summary>Throws if this device cannot join others.</summary>
    /// <exception cref="SaeException">NCCL is not installed, or it is too old.</exception>
    public void RequireNccl() => OpenNccl();

    /// <summary>Announces the start or the end of a call that waits for the device, or for other ranks.</summary>
    internal void Announce(bool begins) => Waits?.Invoke(begins);

    /// <summary>Prepares the release of a communicator, also on a lost device.</summary>
    internal void Leave() => _ = driver.setContext(context);
}
