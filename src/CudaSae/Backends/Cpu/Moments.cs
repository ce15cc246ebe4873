using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>The two moments of a matrix, row by row, in float32, bfloat16 or eight bits. The narrow formats are rounded
/// stochastically, with random numbers from a counter, so that a small change is not lost.</summary>
sealed unsafe class MatrixMoments
{
    readonly MomentStorage storage;
    readonly int width;
    readonly long firstRow;
    readonly ulong id;
    readonly float* m, v;               // [rows, width]
    readonly ushort* m16, v16;
    readonly sbyte* m8;
    readonly byte* v8;                  // √v
    readonly float* mScale, vScale;     // [rows] of the eight-bit formats

    /// <param name="firstRow">Number of the first row in the matrix of all ranks; random numbers depend on it.</param>
    public MatrixMoments(HostArena arena, string name, long rows, int width, TrainConfig config, long firstRow = 0)
    {
        (storage, this.width, this.firstRow) = (config.Moments, width, firstRow);
        foreach (var c in name) id = id * 31 + c;
        var adam = config.Optimizer is OptimizerKind.Adam or OptimizerKind.LazyRowAdam;
        long first = config.Optimizer != OptimizerKind.Sgd && config.Beta1 > 0 ? rows * width : 0, second = adam
            ? rows * width : 0;
        switch (storage)
        {
            case MomentStorage.Float32:
                m = arena.Take<float>($"moment m, {name}", first);
                v = arena.Take<float>($"moment v, {name}", second);
                break;
            case MomentStorage.BFloat16:
                m16 = arena.Take<ushort>($"moment m, {name}", first);
                v16 = arena.Take<ushort>($"moment v, {name}", second);
                break;
            default:
                m8 = arena.Take<sbyte>($"moment m, {name}", first);
                v8 = arena.Take<byte>($"moment v, {name}", second);
                mScale = arena.Take<float>($"moment m, {name}, scales", first > 0 ? rows : 0);
                vScale = arena.Take<float>($"moment v, {name}, scales", second > 0 ? rows : 0);
                break;
        }
        Name = name;
        Rows = rows;
    }

    public string Name { get; }

    /// <summary>Rows of the matrix; 0 where it has no moments.</summary>
    public long Rows { get; }

    /// <summary>Whether <see cref="M"/> and <see cref="V"/> are the moments; otherwise a row is unpacked and packed
    /// again.</summary>
    public bool InPlace => storage == MomentStorage.Float32;

    public float* M(long row) => m is null ? null : m + row * width;
    public float* V(long row) => v is null ? null : v + row * width;

    /// <summary>The arrays in use.</summary>
    /// <param name="byLatent">Whether a row belongs to a latent.</param>
    public IEnumerable<(StateArray, nint)> State(bool byLatent)
    {
        var list = new List<(StateArray, nint)>();
        void Add(string suffix, string type, void* memory, params long[] shape)
        {
            if (memory is not null)
                list.Add((new($"adam_{suffix}_{Name}", type, shape) { ByLatent = byLatent }, (nint)memory));
        }
        Add("m", "F32", m, Rows, width);
        Add("v", "F32", v, Rows, width);
        Add("m", "BF16", m16, Rows, width);
        Add("v", "BF16", v16, Rows, width);
        Add("m", "U8", m8, Rows, width);
        Add("v", "U8", v8, Rows, width);
        Add("m_scale", "F32", mScale, Rows);
        Add("v_scale", "F32", vScale, Rows);
        return list;
    }

    /// <summary>Writes a row as float32.</summary>
    public void Unpack(long row, float* toM, float* toV)
    {
        var at = row * width;
        for (var i = 0; i < width; i++)
        {
            if (m16 is not null) toM[i] = BitConverter.UInt32BitsToSingle((uint)m16[at + i] << 16);
            if (v16 is not null) toV[i] = BitConverter.UInt32BitsToSingle((uint)v16[at + i] << 16);
            if (m8 is not null) toM[i] = m8[at + i] * mScale[row];
            if (v8 is not null) toV[i] = v8[at + i] * vScale[row] * (v8[at + i] * vScale[row]);
        }
    }

    /// <summary>Rounds a row of float32 numbers back to its format.</summary>
    public void Pack(long row, float* fromM, float* fromV, in StepScalars s)
    {
        var at = row * width;
        if (m16 is not null) PackHalf(fromM, m16 + at, row, s, 0);
        if (v16 is not null) PackHalf(fromV, v16 + at, row, s, 1);
        if (m8 is not null) PackSigned(fromM, row, s);
        if (v8 is not null) PackRoot(fromV, row, s);
    }

    uint Key(in StepScalars s, long row, ulong which) =>
        (uint)(CounterRandom.Of(s.Seed, s.Step, (ulong)(firstRow + row), id * 2 + which) >> 32);

    void PackHalf(float* from, ushort* to, long row, in StepScalars s, ulong which)
    {
        var key = Key(s, row, which);
        for (var i = 0; i < width; i++)
            to[i] = (ushort)(BitConverter.SingleToUInt32Bits(from[i])
                + (CounterRandom.Of(key, (uint)i) & 0xffff) >> 16);
    }

    void PackSigned(float* from, long row, in StepScalars s)
    {
        var scale = LargestOf(from) / 127;
        mScale[row] = scale;
        var key = Key(s, row, 0);
        for (var i = 0; i < width; i++)
            m8[row * width + i] = scale == 0 ? (sbyte)0
                : (sbyte)Math.Clamp(MathF.Floor(from[i] / scale + CounterRandom.Of(key, (uint)i) * 2.3283064e-10f),
                    -127, 127);
    }

    // A second moment that is not 0 is never stored as 0, because its first moment would be divided by ε alone.
    void PackRoot(float* from, long row, in StepScalars s)
    {
        var scale = MathF.Sqrt(LargestOf(from)) / 255;
        vScale[row] = scale;
        var key = Key(s, row, 1);
        for (var i = 0; i < width; i++)
            v8[row * width + i] = scale == 0 || from[i] == 0 ? (byte)0
                : (byte)Math.Clamp(MathF.Floor(MathF.Sqrt(from[i]) / scale
                    + CounterRandom.Of(key, (uint)i) * 2.3283064e-10f),
                    1, 255);
    }

    float LargestOf(float* from)
    {
        float largest = 0;
        for (var i = 0; i < width; i++) largest = MathF.Max(largest, MathF.Abs(from[i]));
        return largest;
    }
}
