using System.Runtime.Intrinsics;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>prepare: scales the input slot to x and y, subtracts b_dec, and packs the result with rows as
/// lanes.</summary>
sealed unsafe class PreparePhase : CpuPart
{
    readonly InputType inputType;
    readonly bool transcodes;
    readonly float* x, y, centered, packed, bDec;
    readonly Action<int, int> panelPart;

    public PreparePhase(CpuContext context) : base(context)
    {
        var buffers = context.Buffers;
        (inputType, transcodes) = (context.InputType, spec.Transcoder is not null);
        x = buffers.X;
        y = buffers.Y;
        centered = buffers.Centered;
        packed = buffers.Packed;
        bDec = buffers.BDec;
        panelPart = PreparePanel;
    }

    public void Run() => workers.Run(panels, panelPart);

    /// <summary>One panel of 48 rows.</summary>
    void PreparePanel(int panel, int worker)
    {
        var to = packed + (long)panel * ld * Gemm.TileColumns;
        var bytes = inputType.Bytes();
        for (var lane = 0; lane < Gemm.TileColumns; lane++)
        {
            long b = (long)panel * Gemm.TileColumns + lane;
            if (b >= B) break;              // lanes past the batch stay zero
            float* row = x + b * ld, mid = centered + b * ld;
            var from = step.Input + b * spec.RowWidth * bytes;
            Convert(from, row, d, step.Scalars.InputScale);
            if (transcodes) Convert(from + d * bytes, y + b * lo, D, step.Scalars.TargetScale);
            if (spec.PreEncoderBias)
                for (var i = 0; i < d; i++) mid[i] = row[i] - bDec[i];
            else new ReadOnlySpan<float>(row, d).CopyTo(new(mid, d));
            if (lane % 16 == 15) Transpose16(mid - 15 * ld, to + lane - 15);
            else if (b == B - 1)
                for (var last = lane & ~15; last <= lane; last++)
                    for (var i = 0; i < d; i++) to[i * Gemm.TileColumns + last] = mid[(last - lane) * ld + i];
        }
    }

    /// <summary>Sixteen rows become sixteen columns of a panel.</summary>
    void Transpose16(float* rows, float* to)
    {
        for (var i = 0; i < ld; i++) Rows.Column(rows + i, ld).Store(to + i * Gemm.TileColumns);
    }

    void Convert(byte* from, float* to, int count, float scale)
    {
        switch (inputType)
        {
            case InputType.Float32:
                for (var i = 0; i < count; i++) to[i] = ((float*)from)[i] * scale;
                break;
            case InputType.Float16:
                for (var i = 0; i < count; i++) to[i] = HalfToSingle(((ushort*)from)[i]) * scale;
                break;
            default:
                for (var i = 0; i < count; i++)
                    to[i] = BitConverter.UInt32BitsToSingle((uint)((ushort*)from)[i] << 16) * scale;
                break;
        }
    }

    // Exact for every half, NaN and infinity included: a multiplication rebases the exponent, which the JIT can
    // vectorise.
    static float HalfToSingle(ushort half)
    {
        var magnitude = BitConverter.UInt32BitsToSingle((uint)(half & 0x7fff) << 13) * 5.192296858534828e33f; // 2^112
        var bits = BitConverter.SingleToUInt32Bits(magnitude);
        if ((half & 0x7c00) == 0x7c00) bits |= 0x7f800000;
        return BitConverter.UInt32BitsToSingle(bits | (uint)(half & 0x8000) << 16);
    }
}
