using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>The scalars of each latent for a step, computed before encoding: decoder norm, threshold, bandwidth and
/// gate factors.</summary>
sealed unsafe class LatentScalarsPhase : CpuPart
{
    const int SpreadRows = 48;          // rows of a batch that the running spread of z is measured on: one panel
    const float SpreadDecay = 0.99f;

    readonly DenseProducts products;
    readonly LatentScalars* latents;
    readonly float* wDec, bEnc, bMag, rMag, threshold, centered;
    readonly int* lastFired;
    readonly bool gated;
    readonly Action<int, int> scalarsPart, spreadPart;

    public LatentScalarsPhase(CpuContext context) : base(context)
    {
        var (arena, buffers) = (context.Arena, context.Buffers);
        products = context.Products;
        latents = buffers.Latents;
        lastFired = buffers.LastFired;
        wDec = buffers.WDec;
        bEnc = buffers.BEnc;
        centered = buffers.Centered;
        bMag = buffers.BMag;
        rMag = buffers.RMag;
        threshold = buffers.Threshold;
        gated = context.Gated;
        var adaptive = spec.Selection is Selection.JumpRelu { AdaptiveBandwidth: true };
        SpreadMean = arena.Take<float>("spread, mean", adaptive ? n : 0);
        SpreadVariance = arena.Take<float>("spread, variance", adaptive ? n : 0);
        InputSum = arena.Take<double>("column sums of x - b_dec", spec.PreAct is null ? 0 : ld);
        (scalarsPart, spreadPart) = (ScalarsPart, SpreadPart);
    }

    /// <summary>[n] running mean and variance of z; null without an adaptive bandwidth.</summary>
    public float* SpreadMean { get; }
    public float* SpreadVariance { get; }

    /// <summary>[ld] Σ_b x − b_dec; null without a pre-activation loss.</summary>
    public double* InputSum { get; }

    public void Run()
    {
        if (SpreadMean is not null && step.Scalars.Inference == 0)
            workers.Run((n + Gemm.TileRows - 1) / Gemm.TileRows, spreadPart);
        workers.Run(parts, scalarsPart);
        if (InputSum is not null) SumInput(InputSum);
    }

    void SumInput(double* sum)
    {
        new Span<double>(sum, ld).Clear();
        for (var b = 0; b < B; b++)
            for (var i = 0; i < ld; i++) sum[i] += centered[(long)b * ld + i];
    }

    void ScalarsPart(int part, int worker)
    {
        var (first, last) = Latents(part);
        var weighted = spec.Penalty is { Weight: not PenaltyWeight.One };
        for (var f = first; f < last; f++)
        {
            var l = new LatentScalars { Omega = 1 };
            if (weighted || spec.PreAct is not null) l.Norm = DecoderNormOf(f);
            if (weighted) l.Omega = l.Norm;
            if (gated) (l.ExpR, l.Gate, l.Mag) = (MathF.Exp(rMag[f]), bEnc[f], bMag[f]);
            if (spec.Selection is Selection.JumpRelu jump)
            {
                l.Theta = jump.Form == ThresholdForm.Direct ? threshold[f] : MathF.Exp(threshold[f]);
                l.Epsilon = jump.Bandwidth
                    * (jump.AdaptiveBandwidth ? MathF.Sqrt(MathF.Max(1e-12f, SpreadVariance[f])) : 1);
                l.Floor = l.Theta - LatentMath.Reach(jump.Kernel) * l.Epsilon;
                if (spec.PreAct is { } loss && (!loss.DeadOnly
                    || step.Scalars.Step - 1 - (uint)lastFired[f] >= step.Scalars.DeadAfterSteps))
                    l.PreAct = step.Scalars.PreAct;
            }
            latents[f] = l;
        }
    }

    /// <summary>Σ over sites of the norm of WDec_f's columns there.</summary>
    float DecoderNormOf(int f)
    {
        var row = wDec + (long)f * lo;
        if (spec.Sites is not { } sites) return (float)Math.Sqrt(Rows.SquaredNorm(row, lo));
        double sum = 0;
        var first = 0;
        foreach (var width in sites)
        {
            sum += SiteNorm(row, first, width);
            first += width;
        }
        return (float)sum;
    }

    public static double SiteNorm(float* row, int first, int width)
    {
        double squares = 0;
        for (var i = first; i < first + width; i++) squares += (double)row[i] * row[i];
        return Math.Sqrt(squares);
    }

    /// <summary>Adds eight latents' z of the first panel to their running spread.</summary>
    void SpreadPart(int group, int worker)
    {
        var tile = GemmRows.Aligned(stackalloc float[GemmRows.BufferFloats]);
        products.PreActTile(group * Gemm.TileRows, n - group * Gemm.TileRows, 0, tile);
        var rows = Math.Min(B, SpreadRows);
        var keep = step.Scalars.Step == 1 ? 0 : SpreadDecay;
        for (var r = 0; r < Math.Min(Gemm.TileRows, n - group * Gemm.TileRows); r++)
        {
            float first = tile[r * Gemm.TileColumns], sum = 0, squares = 0;
            for (var b = 1; b < rows; b++) sum += (tile[r * Gemm.TileColumns + b] - first) / rows;
            for (var b = 0; b < rows; b++)
            {
                var z = tile[r * Gemm.TileColumns + b] - first - sum;
                squares += z * z / rows;
            }
            var f = group * Gemm.TileRows + r;
            var away = first + sum - SpreadMean[f];
            SpreadMean[f] += (1 - keep) * away;
            SpreadVariance[f] = keep * (SpreadVariance[f] + (1 - keep) * away * away) + (1 - keep) * squares;
        }
    }
}
