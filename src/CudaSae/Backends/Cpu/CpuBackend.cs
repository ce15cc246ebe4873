using System.Runtime.Intrinsics;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>The phases in C#: float32, the widest vectors of the machine, all cores. Work is cut into parts that do not
/// depend on
/// the number of threads, so results are bitwise the same for any. No phase allocates. All pitches are multiples of 16,
/// zero-padded.</summary>
sealed unsafe partial class CpuBackend : IBackend
{
    readonly HostArena arena;
    readonly Workers workers;
    readonly InputType inputType;
    readonly LatentMath math;
    readonly int B, d, D, n, k, ld, lo, panels;
    readonly bool transcodes, gated, thresholded, paired;
    StepScalars scalars;
    StepSums sums, earlierSums;
    byte* raw;                                  // slot of the step in progress

    readonly byte*[] slots = new byte*[2];      // [B, row width] of the input's own type
    // [B, ld] input; [B, lo] target; [B, ld]; panels of [ld, 48] with rows as lanes
    readonly float* x, y, centered, centeredT;
    readonly float* wEnc, wDec, bEnc, bDec;     // [n, ld], [n, lo], [n], [lo]
    readonly float* threshold, bMag, rMag, tieScale;    // [n] each, null where the spec has no use for it
    readonly float* wSkip;                      // [D, ld]
    readonly int* index, rowCount;              // [B, k]; [B] entries of a row
    readonly float* value, preAct;              // [B, k]; z where the value does not tell it
    readonly byte* level;                       // [B, k] first reconstruction that holds an entry
    readonly float* residual;                   // [B, lo] e = x̂ − y
    readonly int* lastFired;                    // [n] step

    public CpuBackend(SaeSpec spec, TrainConfig config, InputType inputType, int threads = 0)
        : this(spec, config, inputType, threads, counting: false) { }

    CpuBackend(SaeSpec spec, TrainConfig config, InputType inputType, int threads, bool counting)
    {
        (Spec, Config, this.inputType) = (spec, config, inputType);
        (B, d, D, n, k) = (config.BatchRows, spec.InputWidth, spec.OutputWidth, spec.Latents, spec.Active);
        (ld, lo) = ((d + 15) & ~15, (D + 15) & ~15);
        panels = (B + Gemm.TileColumns - 1) / Gemm.TileColumns;
        (transcodes, gated, thresholded) =
            (spec.Transcoder is not null, spec.Selection is Selection.Gated, spec.IsThresholded);
        paired = gated || spec.Selection is Selection.JumpRelu;
        Dense = thresholded;
        math = new(spec);
        workers = new(threads > 0 ? threads : Environment.ProcessorCount, start: !counting);
        arena = new(counting);
        for (var s = 0; s < 2; s++)
            slots[s] = arena.Take<byte>($"input slot {s}", (long)B * spec.RowWidth * inputType.Bytes());
        x = arena.Take<float>("x", (long)B * ld);
        y = transcodes ? arena.Take<float>("target", (long)B * lo) : x;
        centered = arena.Take<float>("x - b_dec", (long)B * ld);
        centeredT = arena.Take<float>("x - b_dec, packed", (long)panels * ld * Gemm.TileColumns);
        wEnc = arena.Take<float>("w_enc", (long)n * ld);
        wDec = arena.Take<float>("w_dec", (long)n * lo);
        bEnc = arena.Take<float>("b_enc", n);
        bDec = arena.Take<float>("b_dec", lo);
        threshold = arena.Take<float>("threshold", spec.Selection is Selection.JumpRelu ? n : 0);
        bMag = arena.Take<float>("b_mag", gated ? n : 0);
        rMag = arena.Take<float>("r_mag", gated ? n : 0);
        tieScale = arena.Take<float>("tie scale", spec.Tying == Tying.Scaled ? n : 0);
        wSkip = arena.Take<float>("w_skip", spec.Transcoder is { Skip: true } ? (long)D * ld : 0);
        index = arena.Take<int>("code index", (long)B * k);
        rowCount = arena.Take<int>("code entries", B);
        value = arena.Take<float>("code value", (long)B * k);
        preAct = paired ? arena.Take<float>("code pre-activation", (long)B * k) : value;
        level = arena.Take<byte>("code level", spec.Levels > 1 ? (long)B * k : 0);
        residual = arena.Take<float>("residual", (long)B * lo);
        lastFired = arena.Take<int>("step of last firing", n);
        TakeLatents();
        TakeEncode();
        TakeDecode();
        TakeDead();
        TakeDense();
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
    public BackendKind Kind => BackendKind.Cpu;
    public string StateFormat => "cpu";
    public bool StateIsOnHost => true;
    public string Description => $"cpu, {workers.Count} threads, {VectorBits}-bit vectors, float32";

    /// <summary>The widest vectors that this machine's instructions have.</summary>
    internal static int VectorBits => Vector512.IsHardwareAccelerated ? 512
        : Vector256.IsHardwareAccelerated ? 256 : 128;

    public Span<byte> InputSlot(int slot) => new(slots[slot], checked(B * Spec.RowWidth * inputType.Bytes()));

    public bool IsSynchronous => true;

    /// <summary>Returns at once: a step has read its slot when <see cref="Prepare()"/> returns.</summary>
    public void WaitForSlot(int slot) { }

    public void BeginStep(int slot, in StepScalars stepScalars)
    {
        used = true;
        scalars = stepScalars;
        earlierSums = sums;
        sums = new() { Step = scalars.Step };
        raw = slots[slot];
        stepDense = Dense;
    }

    public void Prepare()
    {
        workers.Run(panels, prepare ??= Prepare);
        PrepareLatents();
    }

    Action<int, int>? prepare;

    /// <summary>One panel of 48 rows: scaled, centred, and turned so that rows are lanes.</summary>
    void Prepare(int panel, int worker)
    {
        var packed = centeredT + (long)panel * ld * Gemm.TileColumns;
        var bytes = inputType.Bytes();
        for (var lane = 0; lane < Gemm.TileColumns; lane++)
        {
            long b = (long)panel * Gemm.TileColumns + lane;
            if (b >= B) break;              // lanes past the batch stay zero
            float* row = x + b * ld, mid = centered + b * ld;
            var from = raw + b * Spec.RowWidth * bytes;
            Convert(from, row, d, scalars.InputScale);
            if (transcodes) Convert(from + d * bytes, y + b * lo, D, scalars.TargetScale);
            if (Spec.PreEncoderBias)
                for (var i = 0; i < d; i++) mid[i] = row[i] - bDec[i];
            else new ReadOnlySpan<float>(row, d).CopyTo(new(mid, d));
            if (lane % 16 == 15) Turn16(mid - 15 * ld, packed + lane - 15);
            else if (b == B - 1)
                for (var last = lane & ~15; last <= lane; last++)
                    for (var i = 0; i < d; i++) packed[i * Gemm.TileColumns + last] = mid[(last - lane) * ld + i];
        }
    }

    /// <summary>Sixteen rows become sixteen columns of a panel.</summary>
    void Turn16(float* rows, float* packed)
    {
        for (var i = 0; i < ld; i++) Rows.Column(rows + i, ld).Store(packed + i * Gemm.TileColumns);
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

    // Exact for every half, NaN and infinity included: the exponent is rebased by a multiplication, which the JIT can
    // vectorise.
    static float HalfToSingle(ushort half)
    {
        var magnitude = BitConverter.UInt32BitsToSingle((uint)(half & 0x7fff) << 13) * 5.192296858534828e33f; // 2^112
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
        if (into.Rows != B || into.Active != k)
            throw new ArgumentException($"code [{into.Rows}, {into.Active}] for a batch [{B}, {k}]");
        if (stepDense)
            throw new SaeException("the last step took the dense path: its code is not a list; set Dense to false "
                + "first");
        for (var b = 0; b < B; b++)
            for (var j = 0; j < k; j++)
                (into.Index[b * k + j], into.Value[b * k + j]) = j < rowCount[b] ? (index[b * k + j], value[b * k + j])
                    : (-1, 0);
    }

    public void ReadReconstruction(Span<float> into)
    {
        for (var b = 0; b < B; b++)
            for (var i = 0; i < D; i++) into[b * D + i] = residual[(long)b * lo + i] + y[(long)b * lo + i];
    }

    public void ReadTarget(Span<float> into)
    {
        for (var b = 0; b < B; b++) new ReadOnlySpan<float>(y + (long)b * lo, D).CopyTo(into[(b * D)..]);
    }

    public void ReadRowErrors(Span<float> into)
    {
        for (var b = 0; b < B; b++) into[b] = (float)Rows.SquaredNorm(residual + (long)b * lo, lo);
    }

    public bool BeginCapture() => false;
    public void EndCapture() => throw new NotSupportedException("the CPU backend records no graphs");
    public bool Replay(int slot, in StepScalars stepScalars, Action rest) => false;

    public void Dispose()
    {
        workers.Dispose();
        arena.Dispose();
    }
}
