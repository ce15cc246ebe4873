using CudaSae.Devices;
using CudaSae.Numerics;

namespace CudaSae.Backends.Kernels;

/// <summary>A float32 matrix on the device in two halves (<see cref="SplitFloat"/>), or in bfloat16 if the lower half
/// is empty. Copies proceed in bands of rows, which all processors split or join: two matrices of a million latents of
/// width 4096 have 8.6 billion numbers.</summary>
readonly record struct SplitMatrix(DeviceArray<ushort> Upper, DeviceArray<short> Lower, int Stride)
{
    const int BandRows = 1024;

    bool Split => Lower.Length > 0;

    /// <summary>Copies a matrix to the device and waits, so that the source may change afterwards.</summary>
    public void Write(IDevice device, nint stream, Matrix from)
    {
        var (stride, split) = (Stride, Split);
        var (upper, lower) = Band(from.Rows);
        for (long first = 0; first < from.Rows; first += BandRows)
        {
            var (begin, rows) = (first, (int)Math.Min(BandRows, from.Rows - first));
            Parallel.For(0, rows, r => Cut(from[begin + r], upper.AsSpan(r * stride), lower.AsSpan(r * stride), split));
            Send(device, stream, begin, rows, upper, lower);
        }
    }

    public void WriteRow(IDevice device, nint stream, long row, ReadOnlySpan<float> from)
    {
        var (upper, lower) = Band(1);
        Cut(from, upper, lower, Split);
        Send(device, stream, row, 1, upper, lower);
    }

    public void Read(IDevice device, nint stream, Matrix into)
    {
        var (stride, split) = (Stride, Split);
        var (upper, lower) = Band(into.Rows);
        for (long first = 0; first < into.Rows; first += BandRows)
        {
            var (begin, rows) = (first, (int)Math.Min(BandRows, into.Rows - first));
            device.Download(upper.AsSpan(0, rows * stride), Upper.Pointer + Offset(begin), stream);
            if (split) device.Download(lower.AsSpan(0, rows * stride), Lower.Pointer + Offset(begin), stream);
            Parallel.For(0, rows,
                r => Join(upper.AsSpan(r * stride), lower.AsSpan(r * stride), into[begin + r], split));
        }
    }

    ulong Offset(long row) => (ulong)(2 * row * Stride);

    (ushort[] Upper, short[] Lower) Band(long rows)
    {
        var length = (int)Math.Min(BandRows, rows) * Stride;
        return (new ushort[length], new short[length]);
    }

    void Send(IDevice device, nint stream, long first, int rows, ushort[] upper, short[] lower)
    {
        device.Upload<ushort>(Upper.Pointer + Offset(first), upper.AsSpan(0, rows * Stride), stream);
        if (Split) device.Upload<short>(Lower.Pointer + Offset(first), lower.AsSpan(0, rows * Stride), stream);
    }

    static void Cut(ReadOnlySpan<float> from, Span<ushort> upper, Span<short> lower, bool split)
    {
        for (var i = 0; i < from.Length; i++) (upper[i], lower[i]) = SplitFloat.Cut(from[i], split);
    }

    static void Join(ReadOnlySpan<ushort> upper, ReadOnlySpan<short> lower, Span<float> into, bool split)
    {
        for (var i = 0; i < into.Length; i++) into[i] = SplitFloat.Join(upper[i], split ? lower[i] : (short)0);
    }
}
