using System.Runtime.Intrinsics;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>AuxK's selection among the pre-activations of the dead window.</summary>
static unsafe class AuxSelection
{
    /// <summary>Keeps the k_aux largest pre-activations of each row, among equal ones those of the lower slots, and
    /// applies ReLU where the spec requests it. Everything else, and every lane past the batch, becomes 0.</summary>
    /// <param name="code">[count, 48] pre-activations of a panel.</param>
    /// <param name="rows">Rows of the batch from the panel's first one on.</param>
    public static void Keep(AuxLoss aux, float* code, int count, int rows)
    {
        var least = aux.Relu ? float.Epsilon : float.NegativeInfinity;
        for (var lane = 0; lane < Gemm.TileColumns; lane += 16)
        {
            var bound = count > aux.K ? Lanes.Bound(code + lane, count, aux.K, 0, least, out _)
                : Vector512.Create(least);
            KeepFrom(code + lane, count, aux.K, bound,
                Vector512.LessThan(Vector512<int>.Indices, Vector512.Create(rows - lane)));
        }
    }

    /// <summary>Clears what does not reach its lane's bound, and among equals at the bound those past the first k in
    /// all.</summary>
    static void KeepFrom(float* code, int count, int k, Vector512<float> bound, Vector512<int> inside)
    {
        var room = Vector512.Create(k) - Lanes.Exceeding(code, count, bound);
        for (var s = 0; s < count; s++, code += Gemm.TileColumns)
        {
            var z = Vector512.Load(code);
            var equal = Vector512.Equals(z, bound).AsInt32() & Vector512.GreaterThan(room, Vector512<int>.Zero);
            room += equal;
            (z.AsInt32() & (Vector512.GreaterThan(z, bound).AsInt32() | equal) & inside).AsSingle().Store(code);
        }
    }
}
