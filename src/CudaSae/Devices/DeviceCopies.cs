namespace CudaSae.Devices;

/// <summary>Copies between the device and ordinary host memory. Each copy pins the host memory until it is complete,
/// because the driver may access memory that is not page-locked after the call returns.</summary>
static unsafe class DeviceCopies
{
    /// <summary>Copies to the device, ordered after the work of the stream, and waits.</summary>
    public static void Upload<T>(this IDevice device, ulong to, ReadOnlySpan<T> from, nint stream) where T : unmanaged
    {
        if (from.IsEmpty) return;
        fixed (T* p = from)
        {
            device.CopyToDevice(to, p, (long)from.Length * sizeof(T), stream);
            device.Synchronize(stream);
        }
    }

    /// <summary>Copies to the host, ordered after the work of the stream, and waits.</summary>
    public static void Download<T>(this IDevice device, Span<T> to, ulong from, nint stream) where T : unmanaged
    {
        if (to.IsEmpty) return;
        fixed (T* p = to)
        {
            device.CopyToHost(p, from, (long)to.Length * sizeof(T), stream);
            device.Synchronize(stream);
        }
    }
}
