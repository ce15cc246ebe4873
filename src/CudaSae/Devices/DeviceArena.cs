using CudaSae.Numerics;

namespace CudaSae.Devices;

/// <summary>A typed piece of device memory inside an arena.</summary>
readonly record struct DeviceArray<T>(ulong Pointer, long Length) where T : unmanaged
{
    public unsafe long Bytes => Length * sizeof(T);
}

/// <summary>One allocation that is cut into named, 256-byte aligned pieces. With no device it only counts: the same
/// code that
/// will take the memory first says how much it takes.</summary>
sealed class DeviceArena : IDisposable
{
    readonly IDevice? device;
    long used;

    /// <summary>Counts only.</summary>
    public DeviceArena() { }

    /// <summary>Allocates what a counting arena found.</summary>
    public DeviceArena(IDevice device, MemoryPlan plan)
    {
        this.device = device;
        Capacity = plan.TotalBytes;
        Start = device.Allocate(Math.Max(256, Capacity));
    }

    public MemoryPlan Plan { get; } = new();
    public long Capacity { get; }

    /// <summary>First byte of the allocation.</summary>
    public ulong Start { get; }

    /// <summary>A piece of the arena; the null pointer for none.</summary>
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
