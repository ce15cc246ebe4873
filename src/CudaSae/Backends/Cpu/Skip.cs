using System.Runtime.CompilerServices;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>A transcoder's skip connection: WSkip x is added to the prediction.</summary>
sealed unsafe partial class CpuBackend
{
    Action<int, int>? baselinePart;

    void AddSkip() => workers.Run(panels, baselinePart ??= BaselinePart);

    /// <summary>b_dec + WSkip x for 48 rows. A transcoder's input is not centred, so its packed copy serves.</summary>
    [SkipLocalsInit]
    void BaselinePart(int panel, int worker)
    {
        var buffer = stackalloc float[TileFloats + 16];
        var tile = Align(buffer);
        var rows = stackalloc float*[Gemm.TileRows];
        var init = stackalloc float[Gemm.TileRows];
        for (var i = 0; i < D; i += Gemm.TileRows)
        {
            for (var r = 0; r < Gemm.TileRows; r++)
            {
                var row = Math.Min(i + r, D - 1);
                rows[r] = wSkip + (long)row * ld;
                init[r] = bDec[row];
            }
            Gemm.Tile(rows, centeredT + (long)panel * ld * Gemm.TileColumns, Gemm.TileColumns, ld, init, tile);
            for (var lane = 0; lane < Gemm.TileColumns && panel * Gemm.TileColumns + lane < B; lane++)
                for (var r = 0; r < Math.Min(Gemm.TileRows, D - i); r++)
                    baseline[(panel * Gemm.TileColumns + (long)lane) * lo + i + r] = tile[r * Gemm.TileColumns + lane];
        }
    }

    /// <summary>∂WSkip = 2c Σ_b E xᵀ.</summary>
    void SkipGradient() => workers.Run(D, skipGradPart ??= SkipGradientRow);

    void SkipGradientRow(int i, int worker)
    {
        var to = skipGrad + (long)i * ld;
        new Span<float>(to, ld).Clear();
        if (!Learns(Trainable.Skip)) return;
        var scale = 2 * scalars.LossScale;
        for (var b = 0; b < B; b++)
        {
            var e = weighted[(long)b * lo + i];
            if (LiveGate) e += gateResidual[(long)b * lo + i];
            Rows.Add(to, scale * e, x + (long)b * ld, ld);
        }
    }

    float skipFactor;

    double SkipNorm()
    {
        double squares = 0;
        for (var i = 0; i < D; i++) squares += Rows.SquaredNorm(skipGrad + (long)i * ld, ld);
        return squares;
    }

    void MoveSkip(int i, int worker)
    {
        var gradient = skipGrad + (long)i * ld;
        MoveRow(wSkip + (long)i * ld, gradient, momentsSkip, i, ld, skipFactor, worker);
    }
}
