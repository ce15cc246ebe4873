using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>The optimizer's step of one latent: its rows, its scalars, their constraints and their averages.</summary>
sealed unsafe class LatentUpdate : CpuPart
{
    readonly OptimizerStep optimizer;
    readonly float* wEnc, wDec, threshold, tieScale;
    readonly bool clipsRows, direct;

    public LatentUpdate(CpuContext context, OptimizerStep optimizer) : base(context)
    {
        var (arena, buffers) = (context.Arena, context.Buffers);
        this.optimizer = optimizer;
        wEnc = buffers.WEnc;
        wDec = buffers.WDec;
        threshold = buffers.Threshold;
        tieScale = buffers.TieScale;
        clipsRows = config.Clip == ClipKind.PerRow;
        direct = spec.Selection is Selection.JumpRelu { Form: ThresholdForm.Direct };
        Enc = new(arena, "enc", spec.Tying == Tying.Untied ? n : 0, ld, config, firstLatent);
        Dec = new(arena, "dec", n, lo, config, firstLatent);
        BEnc = Vector("b_enc", buffers.BEnc, Trainable.EncoderBias);
        if (spec.Selection is Selection.JumpRelu) Threshold = Vector("threshold", threshold, Trainable.Threshold);
        if (context.Gated) BMag = Vector("b_mag", buffers.BMag, Trainable.MagnitudeBias);
        if (spec.Selection is Selection.Gated { Rescale: true })
            RMag = Vector("r_mag", buffers.RMag, Trainable.MagnitudeScale);
        if (spec.Tying == Tying.Scaled) TieScale = Vector("tie_scale", tieScale, Trainable.TieScale);
        Vectors = [.. ((LatentVector?[])[BEnc, Threshold, BMag, RMag, TieScale]).OfType<LatentVector>()];
        var average = config.EmaDecay > 0;
        AverageEnc = arena.Take<float>("average of w_enc", average ? (long)n * ld : 0);
        AverageDec = arena.Take<float>("average of w_dec", average ? (long)n * lo : 0);
        LastTouched = arena.Take<int>("step of last update", config.Lazy ? n : 0);

        LatentVector Vector(string name, float* weights, Trainable part) => new(arena, name, weights, part, n, config);
    }

    public MatrixMoments Enc { get; }
    public MatrixMoments Dec { get; }
    public LatentVector BEnc { get; }
    public LatentVector? Threshold { get; }
    public LatentVector? BMag { get; }
    public LatentVector? RMag { get; }
    public LatentVector? TieScale { get; }

    /// <summary>Those of the five that the spec has.</summary>
    public LatentVector[] Vectors { get; }

    public float* AverageEnc { get; }       // [n, ld]; null without EmaDecay
    public float* AverageDec { get; }       // [n, lo]
    public int* LastTouched { get; }        // [n] Lazy: the step at which v was last decayed

    /// <summary>Moves a latent by its gradients.</summary>
    /// <param name="globalFactor">The clip factor where clipping is not by row.</param>
    /// <param name="touched">Whether the latent has a gradient; the rows are zeros otherwise.</param>
    public void Move(int f, float* encGrad, float* decGrad, in EntryGradient scalars, float tie, double squaredNorm,
        float globalFactor, bool touched, int worker)
    {
        float* enc = wEnc + (long)f * ld, dec = wDec + (long)f * lo;
        var factor = clipsRows ? optimizer.ClipFactor(squaredNorm) : globalFactor;
        if (config.Lazy) CatchUp(f);
        if (step.Learns(Trainable.Decoder))
        {
            optimizer.MoveRow(dec, decGrad, Dec, f, lo, factor, worker);
            Constrain(dec, touched);
        }
        optimizer.MoveOne(BEnc, f, scalars.Bias * factor);
        if (Threshold is not null) optimizer.MoveOne(Threshold, f, scalars.Threshold * factor);
        if (BMag is not null) optimizer.MoveOne(BMag, f, scalars.Mag * factor);
        if (RMag is not null) optimizer.MoveOne(RMag, f, scalars.Scale * factor);
        if (TieScale is not null) optimizer.MoveOne(TieScale, f, tie * factor);
        if (direct) threshold[f] = Math.Max(0, threshold[f]);
        if (spec.Tying != Tying.Untied) Tie(enc, dec, tieScale is null ? 1 : tieScale[f]);
        else if (step.Learns(Trainable.Encoder)) optimizer.MoveRow(enc, encGrad, Enc, f, ld, factor, worker);
        if (AverageEnc is null) return;
        optimizer.Blend(AverageEnc + (long)f * ld, enc, ld);
        optimizer.Blend(AverageDec + (long)f * lo, dec, lo);
    }

    /// <summary>Tied weights: WEnc_f = s WDec_f.</summary>
    void Tie(float* enc, float* dec, float s)
    {
        for (var i = 0; i < ld; i++) enc[i] = s * dec[i];
    }

    void Constrain(float* row, bool touched)
    {
        if (spec.DecoderNorm == DecoderNorm.Free
            || spec.DecoderNorm == DecoderNorm.Unit && !touched && config.Beta1 == 0)
            return;
        var norm = Rows.SquaredNorm(row, lo);
        if (norm > (spec.DecoderNorm == DecoderNorm.AtMostOne ? 1 : 0))
            OptimizerStep.Scale(row, (float)(1 / Math.Sqrt(norm)), lo);
    }

    /// <summary>Decays v for the steps in which this latent was not visited, one multiplication a step, as dense Adam
    /// does.</summary>
    void CatchUp(int f)
    {
        var idle = (int)step.Scalars.Step - 1 - LastTouched[f];
        LastTouched[f] = (int)step.Scalars.Step;
        var beta2 = step.Scalars.Beta2;
        for (; idle > 0; idle--)
        {
            if (Enc.Rows > 0) OptimizerStep.Scale(Enc.V(f), beta2, ld);
            OptimizerStep.Scale(Dec.V(f), beta2, lo);
            foreach (var vector in Vectors) vector.V[f] *= beta2;
        }
    }
}
