using System.Runtime.CompilerServices;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>A transcoder's skip connection, which adds WSkip x to the prediction: its output, its gradient and its
/// step.</summary>
sealed unsafe class SkipPhase : CpuPart
{
    readonly OptimizerStep optimizer;
    readonly float* wSkip, bDec, x, packed, weighted, gateResidual;
    readonly float* gradient;               // [D, ld]
    readonly bool liveGate;
    readonly Action<int, int> baselinePart, gradientRow, moveRow;
    float factor;

    public SkipPhase(CpuContext context, OptimizerStep optimizer) : base(context)
    {
        var (arena, buffers) = (context.Arena, context.Buffers);
        this.optimizer = optimizer;
        wSkip = buffers.WSkip;
        bDec = buffers.BDec;
        x = buffers.X;
        packed = buffers.Packed;
        weighted = buffers.Weighted;
        gateResidual = buffers.GateResidual;
        liveGate = context.LiveGate;
        Baseline = arena.Take<float>("skip connection", (long)B * lo);
        Moments = new(arena, "skip", D, ld, config);
        gradient = arena.Take<float>("gradient of w_skip", (long)D * ld);
        (baselinePart, gradientRow, moveRow) = (BaselinePanel, GradientRow, MoveRow);
    }

    public float* Baseline { get; }         // [B, lo] b_dec + WSkip x
    public MatrixMoments Moments { get; }

    public void Forward() => workers.Run(panels, baselinePart);

    /// <summary>b_dec + WSkip x for 48 rows. A transcoder's input is not centred, so its packed copy is x.</summary>
    [SkipLocalsInit]
    void BaselinePanel(int panel, int worker)
    {
        var tile = GemmRows.Aligned(stackalloc float[GemmRows.BufferFloats]);
        var input = packed + (long)panel * ld * Gemm.TileColumns;
        for (var i = 0; i < D; i += Gemm.TileRows)
        {
            GemmRows.Tile(wSkip + (long)i * ld, ld, D - i, bDec + i, input, ld, tile);
            for (var lane = 0; lane < Gemm.TileColumns && panel * Gemm.TileColumns + lane < B; lane++)
                for (var r = 0; r < Math.Min(Gemm.TileRows, D - i); r++)
                    Baseline[(panel * Gemm.TileColumns + (long)lane) * lo + i + r] = tile[r * Gemm.TileColumns + lane];
        }
    }

    /// <summary>∂WSkip = 2c Σ_b E xᵀ.</summary>
    public void FormGradient() => workers.Run(D, gradientRow);

    void GradientRow(int i, int worker)
    {
        var to = gradient + (long)i * ld;
        new Span<float>(to, ld).Clear();
        if (!step.Learns(Trainable.Skip)) return;
        var scale = 2 * step.Scalars.LossScale;
        for (var b = 0; b < B; b++)
        {
            var e = weighted[(long)b * lo + i];
            if (liveGate) e += gateResidual[(long)b * lo + i];
            Rows.Add(to, scale * e, x + (long)b * ld, ld);
        }
    }

    /// <summary>‖∂WSkip‖².</summary>
    public double SquaredNorm()
    {
        double squares = 0;
        for (var i = 0; i < D; i++) squares += Rows.SquaredNorm(gradient + (long)i * ld, ld);
        return squares;
    }

    /// <summary>The optimizer's step of WSkip.</summary>
    /// <param name="globalFactor">The clip factor where clipping is not by row.</param>
    public void Move(float globalFactor)
    {
        factor = config.Clip == ClipKind.PerRow ? optimizer.ClipFactor(SquaredNorm()) : globalFactor;
        workers.Run(D, moveRow);
    }

    void MoveRow(int i, int worker) =>
        optimizer.MoveRow(wSkip + (long)i * ld, gradient + (long)i * ld, Moments, i, ld, factor, worker);
}
