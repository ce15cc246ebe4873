using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>The window of dead latents: its weights side by side, and AuxK's choice of it.</summary>
sealed unsafe partial class CpuBackend
{
    /// <summary>Sixteen of the window's latents from where they lie to neighbours: every panel reads them, and rows at
    /// any distance are read at four fifths of the speed.</summary>
    void GatherWindow(int part, int worker)
    {
        for (var s = part * 16; s < Math.Min(part * 16 + 16, windowLength); s++)
        {
            var f = window[s];
            new ReadOnlySpan<float>(wEnc + (long)f * ld, ld).CopyTo(new(deadEnc + (long)s * ld, ld));
            new ReadOnlySpan<float>(wDec + (long)f * lo, lo).CopyTo(new(deadDec + (long)s * lo, lo));
            deadBias[s] = bEnc[f];
        }
        // Slots past the last one turn what lies there; no product looks at it.
        for (var i = 0; i < lo; i++)
            Rows.Column(deadDec + (long)part * 16 * lo + i, lo).Store(deadDecoder + (long)i * DeadPitch + part * 16);
    }

    /// <summary>init + weights · panel for slots [slot, slot + 8), [8, 48].</summary>
    /// <param name="weights">[W, width].</param>
    /// <param name="init">[W], or null for zeros.</param>
    /// <param name="panel">[width, 48].</param>
    [SkipLocalsInit]
    void WindowTile(float* weights, int width, float* init, int slot, float* panel, float* tile)
    {
        var rows = stackalloc float*[Gemm.TileRows];
        var start = stackalloc float[Gemm.TileRows];
        for (var r = 0; r < Gemm.TileRows; r++)
        {
            var from = Math.Min(slot + r, windowLength - 1);
            rows[r] = weights + (long)from * width;
            start[r] = init is null ? 0 : init[from];
        }
        Gemm.Tile(rows, panel, Gemm.TileColumns, width, start, tile);
    }

    /// <summary>Leaves the k_aux largest pre-activations of each row, of equal ones the lower slot, and ReLU where the
    /// spec asks; zeros elsewhere and beyond the batch.</summary>
    /// <param name="code">[W, 48] pre-activations of a panel.</param>
    void SelectDead(AuxLoss aux, float* code, int start)
    {
        var least = aux.Relu ? float.Epsilon : float.NegativeInfinity;
        for (var lane = 0; lane < Gemm.TileColumns; lane += 16)
        {
            var bound = windowLength > aux.K ? Lanes.Bound(code + lane, windowLength, aux.K, 0, least, out _)
                : Vector512.Create(least);
            KeepDead(code + lane, aux.K, bound,
                Vector512.LessThan(Vector512<int>.Indices, Vector512.Create(B - start - lane)));
        }
    }

    /// <summary>Zero for what does not reach its lane's bound, and of equals at the bound for those past the first k in
    /// all.</summary>
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
