using CudaSae.Numerics;

namespace CudaSae.Devices;

/// <summary>A typed part of device memory in an arena.</summary>
readonly record struct DeviceArray<T>(ulong Pointer, long Length) where T : unmanaged
{
    public unsafe long Bytes => Length * sizeof(T);
}

/// <summary>One allocation that is divided into named, 256-byte aligned parts. Without a device the arena only counts,
/// so the code that takes the memory also computes its size beforehand.</summary>
sealed class DeviceArena : IDisposable
{
    readonly IDevice? device;
    long used;

    /// <summary>Makes an arena that only counts.</summary>
    public DeviceArena() { }

    /// <summary>Allocates the memory that a counting arena planned.</summary>
    public DeviceArena(IDevice device, MemoryPlan plan)
    {
        this.device = device;
        Capacity = plan.TotalBytes;
        Start = device.Allocate(Math.Max(256, Capacity));
    }

    public MemoryPlan Plan { get; } = new();
    public long Capacity { get; }

    /// <summary>Address of the first byte.</summary>
    public ulong Start { get; }

    /// <summary>Takes a part of the arena; length 0 gives the null pointer.</summary>
    public unsafe DeviceArray<T> Take<T>(string name, long length) where T : unmanaged
    {
        if (length == 0) return default;
        var bytes = (length * sizeof(T) + 255) & ~255L;
        Plan.Add(name, bytes);
        if (device is not null && used + bytes > Capacity)
            throw new InvalidOperationException($"arena overrun at {name}: plan and use differ");
        var pointer = Start + (ulong)used;
        used += bytes;
        return new(pointer, length);
    }

    public void Dispose()
    {
        if (device is not null) Owned.Try(() => device.Free(Start));
    }
}
