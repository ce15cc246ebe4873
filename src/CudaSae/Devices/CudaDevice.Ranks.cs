namespace CudaSae.Devices;

/// <summary>Groups of devices, by NCCL.</summary>
sealed unsafe partial class CudaDevice
{
    Nccl? nccl;

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
        return new(this, OpenNccl(), id, rank, size);
    }

    /// <summary>Announces the begin or the end of a call of NCCL that waits for other ranks.</summary>
    internal void Announce(bool begins) => ((IDevice)this).Waits?.Invoke(begins);

    /// <summary>Prepares the release of a communicator, also on a lost device.</summary>
    internal void Leave() => _ = driver.setContext(context);
}
