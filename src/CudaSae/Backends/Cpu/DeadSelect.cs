using System.Runtime.Intrinsics;
using CudaSae.Model;

namespace CudaSae.Backends.Cpu;

/// <summary>AuxK's choice among dead latents, sixteen rows at a time, a row a lane: the bound that k_aux pre-activations reach is found by halving a range of float32 numbers.</summary>
public sealed unsafe partial class CpuBackend
{
    /// <summary>Leaves the k_aux largest pre-activations of each row, of equal ones the lower slot, and ReLU where the spec asks; zeros elsewhere and beyond the batch.</summary>
    /// <param name="code">[W, 48] pre-activations of a panel.</param>
    void SelectDead(AuxLoss aux, float* code, int start)
    {
        for (var lane = 0; lane < Gemm.TileColumns; lane += 16)
        {
            var least = Ordered(Vector512.Create(aux.Relu ? float.Epsilon : float.NegativeInfinity));
            if (windowLength > aux.K) least = LargestBound(code + lane, aux.K, least);
            KeepDead(code + lane, aux.K, Number(least), Vector512.LessThan(Vector512<int>.Indices, Vector512.Create(B - start - lane)));
        }
    }

    /// <summary>Of each lane the largest number that at least <paramref name="k"/> slots reach, or one that exactly k reach; <paramref name="low"/> where fewer reach even that.</summary>
    /// <param name="low">The least number that counts; ordered as below.</param>
    Vector512<int> LargestBound(float* code, int k, Vector512<int> low)
    {
        var high = Vector512.Max(low, Ordered(Largest(code)));
        var want = Vector512.Create(k);
        high = Vector512.ConditionalSelect(Vector512.LessThanOrEqual(Reaching(code, Number(low)), want), low, high);
        while (Vector512.LessThanAny(low, high))
        {
            var half = ((high - low).AsUInt32() >>> 1).AsInt32();       // of a difference that may exceed 2³¹ − 1
            var middle = high - half;
            var reach = Reaching(code, Number(middle));
            low = Vector512.ConditionalSelect(Vector512.GreaterThanOrEqual(reach, want) & Vector512.LessThan(low, high), middle, low);
            high = Vector512.ConditionalSelect(Vector512.Equals(reach, want), low, Vector512.ConditionalSelect(Vector512.LessThan(reach, want), middle - Vector512<int>.One, high));
            high = Vector512.Max(low, high);
        }
        return low;
    }

    /// <summary>Zero for what does not reach its lane's bound, and of equals at the bound for those past the first k in all.</summary>
    void KeepDead(float* code, int k, Vector512<float> bound, Vector512<int> inside)
    {
        var room = Vector512.Create(k);
        for (var s = 0; s < windowLength; s++) room += Vector512.GreaterThan(Vector512.Load(code + s * Gemm.TileColumns), bound).AsInt32();
        for (var s = 0; s < windowLength; s++, code += Gemm.TileColumns)
        {
            var z = Vector512.Load(code);
            var equal = Vector512.Equals(z, bound).AsInt32() & Vector512.GreaterThan(room, Vector512<int>.Zero);
            room += equal;
            (z.AsInt32() & (Vector512.GreaterThan(z, bound).AsInt32() | equal) & inside).AsSingle().Store(code);
        }
    }

    /// <summary>Slots of each lane that are at least its bound; NaN is never.</summary>
    Vector512<int> Reaching(float* code, Vector512<float> bound)
    {
        Vector512<int> even = Vector512<int>.Zero, odd = even;
        var s = 0;
        for (; s + 2 <= windowLength; s += 2, code += 2 * Gemm.TileColumns)
        {
            even -= Vector512.GreaterThanOrEqual(Vector512.Load(code), bound).AsInt32();
            odd -= Vector512.GreaterThanOrEqual(Vector512.Load(code + Gemm.TileColumns), bound).AsInt32();
        }
        if (s < windowLength) even -= Vector512.GreaterThanOrEqual(Vector512.Load(code), bound).AsInt32();
        return even + odd;
    }

    Vector512<float> Largest(float* code)
    {
        var largest = Vector512.Create(float.NegativeInfinity);
        for (var s = 0; s < windowLength; s++, code += Gemm.TileColumns)
        {
            var z = Vector512.Load(code);
            largest = Vector512.ConditionalSelect(Vector512.GreaterThan(z, largest), z, largest);
        }
        return largest;
    }

    /// <summary>Integers in the order of the numbers, and back.</summary>
    static Vector512<int> Ordered(Vector512<float> x) => Flipped(x.AsInt32());

    static Vector512<float> Number(Vector512<int> ordered) => Flipped(ordered).AsSingle();

    // Below zero a larger magnitude is a smaller number.
    static Vector512<int> Flipped(Vector512<int> bits) => bits ^ (bits >> 31 & Vector512.Create(int.MaxValue));
}
