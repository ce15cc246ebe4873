using System.Runtime.Intrinsics;
using CudaSae.Model;

namespace CudaSae.Backends.Cpu;

/// <summary>AuxK's choice among dead latents.</summary>
public sealed unsafe partial class CpuBackend
{
    /// <summary>Leaves the k_aux largest pre-activations of each row, of equal ones the lower slot, and ReLU where the spec asks; zeros elsewhere and beyond the batch.</summary>
    /// <param name="code">[W, 48] pre-activations of a panel.</param>
    void SelectDead(AuxLoss aux, float* code, int start)
    {
        var least = aux.Relu ? float.Epsilon : float.NegativeInfinity;
        for (var lane = 0; lane < Gemm.TileColumns; lane += 16)
        {
            var bound = windowLength > aux.K ? Lanes.Bound(code + lane, windowLength, aux.K, 0, least, out _) : Vector512.Create(least);
            KeepDead(code + lane, aux.K, bound, Vector512.LessThan(Vector512<int>.Indices, Vector512.Create(B - start - lane)));
        }
    }

    /// <summary>Zero for what does not reach its lane's bound, and of equals at the bound for those past the first k in all.</summary>
    void KeepDead(float* code, int k, Vector512<float> bound, Vector512<int> inside)
    {
        var room = Vector512.Create(k) - Lanes.Exceeding(code, windowLength, bound);
        for (var s = 0; s < windowLength; s++, code += Gemm.TileColumns)
        {
            var z = Vector512.Load(code);
            var equal = Vector512.Equals(z, bound).AsInt32() & Vector512.GreaterThan(room, Vector512<int>.Zero);
            room += equal;
            (z.AsInt32() & (Vector512.GreaterThan(z, bound).AsInt32() | equal) & inside).AsSingle().Store(code);
        }
    }
}
