using CudaSae.Data;
using CudaSae.Model;
using CudaSae.Training;

namespace CudaSae.Backends.Cpu;

/// <summary>The phases in C#: float32, the widest vectors of the machine, all cores. Work is cut into parts that do not depend on
/// the number of threads, so results are bitwise the same for any. No phase allocates. All pitches are d rounded up to 16, zero-padded.</summary>
public sealed unsafe partial class CpuBackend : IBackend
{
    readonly HostArena arena;
    readonly Workers workers;
    readonly InputType inputType;
    readonly int B, d, n, k, ld, panels;
    StepScalars scalars;
    StepSums sums, earlierSums;
    byte* raw;                                  // slot of the step in progress

    readonly byte*[] slots = new byte*[2];      // [B, d] of the input's own type
    readonly float* x, centered, centeredT;     // [B, ld]; [B, ld]; panels of [ld, 48] with rows as lanes
    readonly float* wEnc, wDec, bEnc, bDec;     // [n, ld], [n, ld], [n], [ld]
    readonly int* index;                        // [B, k]
    readonly float* value, valueGrad;           // [B, k]
    readonly float* residual;                   // [B, ld] e = x̂ − x
    readonly int* lastFired;                    // [n] step

    public CpuBackend(SaeSpec spec, TrainConfig config, InputType inputType, int threads = 0)
        : this(spec, config, inputType, threads, counting: false) { }

    CpuBackend(SaeSpec spec, TrainConfig config, InputType inputType, int threads, bool counting)
    {
        (Spec, Config, this.inputType) = (spec, config, inputType);
        (B, d, n, k) = (config.BatchRows, spec.InputWidth, spec.Latents, spec.Active);
        ld = (d + 15) & ~15;
        panels = (B + Gemm.TileColumns - 1) / Gemm.TileColumns;
        workers = new(threads > 0 ? threads : Environment.ProcessorCount, start: !counting);
        arena = new(counting);
        for (var s = 0; s < 2; s++) slots[s] = arena.Take<byte>($"input slot {s}", (long)B * d * inputType.Bytes());
        x = arena.Take<float>("x", (long)B * ld);
        centered = arena.Take<float>("x - b_dec", (long)B * ld);
        centeredT = arena.Take<float>("x - b_dec, packed", (long)panels * ld * Gemm.TileColumns);
        wEnc = arena.Take<float>("w_enc", (long)n * ld);
        wDec = arena.Take<float>("w_dec", (long)n * ld);
        bEnc = arena.Take<float>("b_enc", n);
        bDec = arena.Take<float>("b_dec", ld);
        index = arena.Take<int>("code index", (long)B * k);
        value = arena.Take<float>("code value", (long)B * k);
        valueGrad = arena.Take<float>("code value gradient", (long)B * k);
        residual = arena.Take<float>("residual", (long)B * ld);
        lastFired = arena.Take<int>("step of last firing", n);
        TakeEncode();
        TakeDecode();
        TakeAux();
        TakeOptimizer();
    }

    /// <summary>The memory that a run takes on the host, found without taking it.</summary>
    public static MemoryPlan PlanFor(SaeSpec spec, TrainConfig config, InputType inputType)
    {
        using var counting = new CpuBackend(spec, config, inputType, 0, counting: true);
        return counting.Plan;
    }

    public SaeSpec Spec { get; }
    public TrainConfig Config { get; }
    public MemoryPlan Plan => arena.Plan;
    public string Description => $"cpu, {workers.Count} threads, {VectorBits}-bit vectors, float32";

    /// <summary>The widest vectors that this machine's instructions have.</summary>
    internal static int VectorBits => System.Runtime.Intrinsics.Vector512.IsHardwareAccelerated ? 512
        : System.Runtime.Intrinsics.Vector256.IsHardwareAccelerated ? 256 : 128;

    public Span<byte> InputSlot(int slot) => new(slots[slot], checked(B * d * inputType.Bytes()));

    /// <summary>Returns at once: a step has read its slot when <see cref="BeginStep"/> returns.</summary>
    public void WaitForSlot(int slot) { }

    public void BeginStep(int slot, in StepScalars stepScalars)
    {
        used = true;
        scalars = stepScalars;
        earlierSums = sums;
        sums = new() { Step = scalars.Step };
        raw = slots[slot];
        workers.Run(panels, prepare ??= Prepare);
    }

    Action<int, int>? prepare;

    /// <summary>One panel of 48 rows: scaled, centred, and turned so that rows are lanes.</summary>
    void Prepare(int panel, int worker)
    {
        var packed = centeredT + (long)panel * ld * Gemm.TileColumns;
        for (var lane = 0; lane < Gemm.TileColumns; lane++)
        {
            long b = (long)panel * Gemm.TileColumns + lane;
            if (b >= B) break;              // lanes past the batch stay zero
            float* row = x + b * ld, mid = centered + b * ld;
            Convert(raw + b * d * inputType.Bytes(), row);
            for (var i = 0; i < d; i++) mid[i] = row[i] - bDec[i];
            var to = packed + lane;
            for (var i = 0; i < d; i++, to += Gemm.TileColumns) *to = mid[i];
        }
    }

    void Convert(byte* from, float* to)
    {
        var scale = scalars.InputScale;
        switch (inputType)
        {
            case InputType.Float32:
                for (var i = 0; i < d; i++) to[i] = ((float*)from)[i] * scale;
                break;
            case InputType.Float16:
                for (var i = 0; i < d; i++) to[i] = HalfToSingle(((ushort*)from)[i]) * scale;
                break;
            default:
                for (var i = 0; i < d; i++) to[i] = BitConverter.UInt32BitsToSingle((uint)((ushort*)from)[i] << 16) * scale;
                break;
        }
    }

    // Exact for every half, NaN and infinity included: the exponent is rebased by a multiplication, which the JIT can vectorise.
    static float HalfToSingle(ushort half)
    {
        var magnitude = BitConverter.UInt32BitsToSingle((uint)(half & 0x7fff) << 13) * 5.192296858534828e33f;    // 2^112
        var bits = BitConverter.SingleToUInt32Bits(magnitude);
        if ((half & 0x7c00) == 0x7c00) bits |= 0x7f800000;
        return BitConverter.UInt32BitsToSingle(bits | (uint)(half & 0x8000) << 16);
    }

    /// <summary>Nothing is left to do: each phase left its sums.</summary>
    public void EndStep() { }

    public StepSums ReadSums() => sums;

    public StepSums ReadEarlierSums() => earlierSums;

    public void ReadCode(SparseCode into)
    {
        if (into.Rows != B || into.Active != k) throw new ArgumentException($"code [{into.Rows}, {into.Active}] for a batch [{B}, {k}]");
        new ReadOnlySpan<int>(index, B * k).CopyTo(into.Index);
        new ReadOnlySpan<float>(value, B * k).CopyTo(into.Value);
    }

    public void ReadReconstruction(Span<float> into)
    {
        for (var b = 0; b < B; b++)
            for (var i = 0; i < d; i++) into[b * d + i] = residual[(long)b * ld + i] + x[(long)b * ld + i];
    }

    public bool BeginCapture() => false;
    public void EndCapture() => throw new NotSupportedException("the CPU backend records no graphs");
    public void Replay(int slot, in StepScalars stepScalars) => EndCapture();

    public void Dispose()
    {
        workers.Dispose();
        arena.Dispose();
    }
}
