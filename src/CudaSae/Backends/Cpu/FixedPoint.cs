using System.Runtime.Intrinsics;
using CudaSae.Distributed;

namespace CudaSae.Backends.Cpu;

/// <summary>Sums of products that are rounded to integers of 32 bits. A row's scale is a power of two that depends on
/// its largest product and on a bound of their number, so it is the same for every number of ranks, and no sum
/// overflows.</summary>
static unsafe class FixedPoint
{
    const int Bits = 30;                            // a sum stays below 2^30
    const int MaxExponent = 100;                    // of a scale and of its inverse
    const float Magic = 12582912;                   // 1.5 · 2^23: adding it rounds to an integer
    const float RoundBelow = 1 << 22;

    /// <summary>Returns the power of two that products of a row are multiplied by.</summary>
    /// <param name="largest">Largest magnitude of a product.</param>
    /// <param name="count">Largest number of products.</param>
    public static float Scale(float largest, int count)
    {
        if (!float.IsFinite(largest)) return float.NaN;         // makes the sum NaN
        if (largest == 0) return 1;
        var exponent = Bits - Math.ILogB((double)largest * count) - 1;
        return exponent < -MaxExponent ? float.NaN : MathF.ScaleB(1, Math.Min(exponent, MaxExponent));
    }

    /// <summary>Replaces the largest products of this rank by those of all ranks.</summary>
    /// <param name="largest">[count] Magnitudes.</param>
    /// <param name="bits">[count] Scratch.</param>
    public static void Share(ShardPlan plan, float* largest, long[] bits)
    {
        // Floats that are not negative have the order of their bits; a NaN is the largest.
        for (var i = 0; i < bits.Length; i++) bits[i] = BitConverter.SingleToInt32Bits(MathF.Abs(largest[i]));
        plan.Collective.Max(bits);
        for (var i = 0; i < bits.Length; i++) largest[i] = BitConverter.Int32BitsToSingle((int)bits[i]);
    }

    /// <summary>Rounds to the nearest integer, ties to even, and to zero from 2^22 on, where a float has at most one
    /// bit below 1.</summary>
    public static Vector512<int> Round(Vector512<float> v)
    {
        var magic = Vector512.Create(Magic);
        var rounded = v + magic - magic;
        return Vector512.ConvertToInt32(Vector512.ConditionalSelect(
            Vector512.LessThan(Vector512.Abs(v), Vector512.Create(RoundBelow)), rounded, v));
    }

    /// <summary>to += round(s · x).</summary>
    public static void Add(int* to, float s, float* x, int length)
    {
        var scale = Vector512.Create(s);
        for (var i = 0; i < length; i += 16)
            (Vector512.Load(to + i) + Round(scale * Vector512.Load(x + i))).Store(to + i);
    }

    /// <summary>to += s · sums.</summary>
    public static void AddSums(float* to, float s, int* sums, int length)
    {
        var scale = Vector512.Create(s);
        for (var i = 0; i < length; i += 16)
            (Vector512.Load(to + i) + scale * Vector512.ConvertToSingle(Vector512.Load(sums + i))).Store(to + i);
    }

    /// <summary>The largest magnitude of a row.</summary>
    public static float Largest(float* x, int length)
    {
        var largest = Vector512<float>.Zero;
        for (var i = 0; i < length; i += 16)
            largest = Vector512.Max(largest, Vector512.Abs(Vector512.Load(x + i)));
        float all = 0;
        for (var lane = 0; lane < 16; lane++) all = MathF.Max(all, largest[lane]);
        return all;
    }
}
