using CudaSae.Devices;
using CudaSae.Numerics;

namespace CudaSae.Cli;

/// <summary>Measures the speed of a device on plain work: a large bfloat16 product by cuBLAS, and a large copy in its
/// memory.</summary>
static class DeviceCeilings
{
    const int Repeats = 10, Size = 8192;
    const long CopyBytes = 1L << 30;

    /// <summary>Takes the best of ten of an 8192³ product of random numbers and of a copy of 1 GiB. Both are smaller if
    /// memory is short.</summary>
    /// <param name="size">Largest number of rows and columns of the product; at least 256.</param>
    /// <param name="copyBytes">Largest number of bytes to copy.</param>
    /// <returns>Null on the emulator, which has no time; it still does the work.</returns>
    public static Ceilings? Measure(IDevice device, nint stream, int size = Size, long copyBytes = CopyBytes)
    {
        var free = device.FreeBytes() * 0.8;
        while (8.0 * size * size > free && size > 256) size /= 2;
        while (2.0 * copyBytes > free && copyBytes > 1 << 20) copyBytes /= 2;
        using var clock = new DeviceClock(device, stream);
        var (gemm, copy) = (Product(device, stream, clock, size), Copy(device, stream, clock, copyBytes));
        return clock.Runs ? new(gemm, copy) : null;
    }

    static double Product(IDevice device, nint stream, DeviceClock clock, int size)
    {
        long count = (long)size * size;
        ulong a = 0, b = 0, c = 0;
        try
        {
            (a, b, c) = (device.Allocate(2 * count), device.Allocate(2 * count), device.Allocate(4 * count));
            var host = new ushort[count];
            for (var operand = 0; operand < 2; operand++)
            {
                FillRandom(host, (uint)operand);
                device.Upload<ushort>(operand == 0 ? a : b, host, stream);
            }
            var times = clock.Time(() => device.GemmNT(size, size, size, a, size, b, size, c, size, stream), Repeats,
                capture: false);
            return times.Count == 0 ? 0 : 2.0 * size * size * size / times.Min() / 1e6;
        }
        finally
        {
            Free(device, a, b, c);
        }
    }

    static double Copy(IDevice device, nint stream, DeviceClock clock, long bytes)
    {
        ulong from = 0, to = 0;
        try
        {
            (from, to) = (device.Allocate(bytes), device.Allocate(bytes));
            device.Fill32(from, 0x3f9d70a4, bytes / 4, stream);
            var times = clock.Time(() => device.CopyOnDevice(to, from, bytes, stream), Repeats, capture: false);
            return times.Count == 0 ? 0 : 2.0 * bytes / times.Min() / 1e6;
        }
        finally
        {
            Free(device, from, to);
        }
    }

    /// <summary>Returns numbers of both signs with a magnitude between 1/2 and 2.</summary>
    static void FillRandom(ushort[] to, uint key) => Parallel.For(0, (to.Length + 65535) / 65536, part =>
    {
        for (var i = part * 65536; i < Math.Min(to.Length, (part + 1) * 65536); i++)
        {
            var bits = CounterRandom.Of(key, (uint)i);
            to[i] = (ushort)(bits & 0x80ff | 0x3f00);
        }
    });

    static void Free(IDevice device, params ReadOnlySpan<ulong> pointers)
    {
        foreach (var pointer in pointers)
            if (pointer != 0) device.Free(pointer);
    }
}
