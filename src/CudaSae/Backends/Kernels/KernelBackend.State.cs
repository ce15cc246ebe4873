using CudaSae.Devices;
using CudaSae.Model;
using CudaSae.Training;

namespace CudaSae.Backends.Kernels;

/// <summary>Weights in and out, in bands of rows through host memory, and what a checkpoint holds.</summary>
public sealed unsafe partial class KernelBackend
{
    const int BandRows = 1024;

    List<(StateArray Array, ulong Pointer)>? state;

    bool Split => Config.Storage == WeightStorage.SplitFloat32;

    public void SetParameters(SaeParameters parameters)
    {
        foreach (var (array, pointer) in Arrays)
            if (array.Bytes % 4 == 0) device.Fill32(pointer, 0, array.Bytes / 4, stream);
        device.Fill32(Buffers.DeadCount.Pointer, 0, 1, stream);
        device.Fill32(Buffers.AuxCount.Pointer, 0, 1, stream);
        device.Fill32(Buffers.AuxSlot.Pointer, uint.MaxValue, Spec.Latents, stream);
        var none = double.NaN;
        device.CopyToDevice(phases.Optimize.GradientNorm.Pointer, &none, sizeof(double), stream);
        SetMatrix(parameters.WEnc, Buffers.WEncHi, Buffers.WEncLo);
        SetMatrix(parameters.WDec, Buffers.WDecHi, Buffers.WDecLo);
        SetVector(parameters.BEnc, Buffers.BEnc.Pointer);
        SetVector(parameters.BDec, Buffers.BDec.Pointer);
        if (phases.Select.Batch is { } batch) SetVector([parameters.BatchThreshold], batch.Threshold.Pointer);
        if (Config.EmaDecay > 0)
        {
            SetFloats(parameters.WEnc, phases.Optimize.AverageEnc);
            SetFloats(parameters.WDec, phases.Optimize.AverageDec);
            SetVector(parameters.BEnc, phases.Optimize.AverageBEnc.Pointer);
            SetVector(parameters.BDec, phases.Optimize.AverageBDec.Pointer);
        }
        device.Synchronize(stream);
    }

    void SetVector(float[] from, ulong to)
    {
        fixed (float* p = from) device.CopyToDevice(to, p, 4L * from.Length, stream);
    }

    void SetMatrix(Matrix from, DeviceArray<ushort> hi, DeviceArray<short> lo)
    {
        var ld = Buffers.Pitch;
        var (upper, lower) = (new ushort[BandRows * ld], new short[BandRows * ld]);
        for (long first = 0; first < from.Rows; first += BandRows)
        {
            var rows = (int)Math.Min(BandRows, from.Rows - first);
            for (var r = 0; r < rows; r++)
                for (var i = 0; i < from.Columns; i++) (upper[r * ld + i], lower[r * ld + i]) = SplitFloat.Cut(from[first + r][i], Split);
            fixed (ushort* p = upper) device.CopyToDevice(hi.Pointer + (ulong)(2 * first * ld), p, 2L * rows * ld, stream);
            if (!Split) continue;
            fixed (short* p = lower) device.CopyToDevice(lo.Pointer + (ulong)(2 * first * ld), p, 2L * rows * ld, stream);
        }
    }

    void SetFloats(Matrix from, DeviceArray<float> to)
    {
        var ld = Buffers.Pitch;
        for (long r = 0; r < from.Rows; r++)
            fixed (float* p = from[r]) device.CopyToDevice(to.Pointer + (ulong)(4 * r * ld), p, 4L * from.Columns, stream);
    }

    public void GetParameters(SaeParameters into)
    {
        GetMatrix(into.WEnc, Buffers.WEncHi, Buffers.WEncLo);
        GetMatrix(into.WDec, Buffers.WDecHi, Buffers.WDecLo);
        GetVector(Buffers.BEnc.Pointer, into.BEnc);
        GetVector(Buffers.BDec.Pointer, into.BDec);
        GetBatchThreshold(into);
    }

    void GetBatchThreshold(SaeParameters into)
    {
        if (phases.Select.Batch is not { } batch) return;
        var threshold = new float[1];
        GetVector(batch.Threshold.Pointer, threshold);
        into.BatchThreshold = threshold[0];
    }

    void GetMatrix(Matrix into, DeviceArray<ushort> hi, DeviceArray<short> lo)
    {
        var ld = Buffers.Pitch;
        var (upper, lower) = (new ushort[BandRows * ld], new short[BandRows * ld]);
        for (long first = 0; first < into.Rows; first += BandRows)
        {
            var rows = (int)Math.Min(BandRows, into.Rows - first);
            fixed (ushort* p = upper) device.CopyToHost(p, hi.Pointer + (ulong)(2 * first * ld), 2L * rows * ld, stream);
            if (Split)
                fixed (short* p = lower) device.CopyToHost(p, lo.Pointer + (ulong)(2 * first * ld), 2L * rows * ld, stream);
            device.Synchronize(stream);
            for (var r = 0; r < rows; r++)
                for (var i = 0; i < into.Columns; i++) into[first + r][i] = SplitFloat.Join(upper[r * ld + i], Split ? lower[r * ld + i] : (short)0);
        }
    }

    void GetVector(ulong from, float[] into)
    {
        fixed (float* p = into) device.CopyToHost(p, from, 4L * into.Length, stream);
        device.Synchronize(stream);
    }

    public void GetAverage(SaeParameters into)
    {
        if (Config.EmaDecay <= 0) throw new SaeException("no average of the weights was kept: EmaDecay is 0");
        GetFloats(phases.Optimize.AverageEnc, into.WEnc);
        GetFloats(phases.Optimize.AverageDec, into.WDec);
        GetVector(phases.Optimize.AverageBEnc.Pointer, into.BEnc);
        GetVector(phases.Optimize.AverageBDec.Pointer, into.BDec);
        GetBatchThreshold(into);
    }

    void GetFloats(DeviceArray<float> from, Matrix into)
    {
        for (long r = 0; r < into.Rows; r++)
            fixed (float* p = into[r]) device.CopyToHost(p, from.Pointer + (ulong)(4 * r * Buffers.Pitch), 4L * into.Columns, stream);
        device.Synchronize(stream);
    }

    public IReadOnlyList<StateArray> State => [.. Arrays.Select(a => a.Array)];

    List<(StateArray Array, ulong Pointer)> Arrays => state ??= ListArrays();

    List<(StateArray, ulong)> ListArrays()
    {
        long n = Spec.Latents, ld = Buffers.Pitch;
        List<(StateArray, ulong)> list = [(new("w_enc_hi", "BF16", [n, ld]), Buffers.WEncHi.Pointer), (new("w_dec_hi", "BF16", [n, ld]), Buffers.WDecHi.Pointer)];
        if (Split) list.AddRange([(new("w_enc_lo", "I16", [n, ld]), Buffers.WEncLo.Pointer), (new("w_dec_lo", "I16", [n, ld]), Buffers.WDecLo.Pointer)]);
        if (phases.Select.Batch is { } batch) list.Add((new("batch_threshold", "F32", [1]), batch.Threshold.Pointer));
        list.AddRange([(new("b_enc", "F32", [n]), Buffers.BEnc.Pointer), (new("b_dec", "F32", [ld]), Buffers.BDec.Pointer),
            (new("last_fired", "I32", [n]), Buffers.LastFired.Pointer), .. phases.Optimize.State]);
        return list;
    }

    public void ReadState(StateArray array, long offset, Span<byte> into)
    {
        fixed (byte* p = into) device.CopyToHost(p, Address(array, offset, into.Length), into.Length, stream);
        device.Synchronize(stream);
    }

    public void WriteState(StateArray array, long offset, ReadOnlySpan<byte> from)
    {
        fixed (byte* p = from) device.CopyToDevice(Address(array, offset, from.Length), p, from.Length, stream);
        device.Synchronize(stream);
    }

    ulong Address(StateArray array, long offset, int length)
    {
        var found = Arrays.Find(a => a.Array.Name == array.Name);
        if (found.Pointer == 0 || offset < 0 || offset + length > found.Array.Bytes) throw new ArgumentException($"no bytes {offset}..{offset + length} in state {array.Name}");
        return found.Pointer + (ulong)offset;
    }

    public void AfterRestore(uint step, uint deadAfterSteps)
    {
        var scalars = new StepScalars { Step = step, DeadAfterSteps = deadAfterSteps };
        device.CopyToDevice(Buffers.Scalars.Pointer, &scalars, sizeof(StepScalars), stream);
        phases.Latents.FindDead();
        device.Synchronize(stream);
    }
}

/// <summary>float32 as two 16-bit halves: the upper one rounded half up, which is the bfloat16 operand, and what is missing. Exact both
/// ways for every bit pattern (the split of Kalamkar et al. 2019, arXiv 1905.12322).</summary>
static class SplitFloat
{
    /// <param name="split">False: bfloat16 alone, to nearest even.</param>
    public static (ushort Upper, short Lower) Cut(float value, bool split)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);
        if (!split) return ((ushort)((float.IsNaN(value) ? bits | 0x400000 : bits + 0x7fff + ((bits >> 16) & 1)) >> 16), 0);
        var upper = (ushort)((bits + 0x8000) >> 16);
        return (upper, (short)(bits - ((uint)upper << 16)));
    }

    public static float Join(ushort upper, short lower) => BitConverter.UInt32BitsToSingle(((uint)upper << 16) + (uint)(int)lower);
}
