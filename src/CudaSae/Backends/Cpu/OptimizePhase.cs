using CudaSae.Distributed;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>optimize: one visit to each latent forms its gradient, projects, clips, moves and constrains; then b_dec
/// and the skip connection move.</summary>
sealed unsafe class OptimizePhase : CpuPart
{
    readonly LatentGradients gradients;
    readonly Residuals residuals;
    readonly DensePhase? dense;
    readonly SkipPhase? skip;
    readonly OptimizerStep optimizer;
    readonly LatentUpdate update;
    readonly float* wEnc, wDec, bDec, tieScale;
    readonly float* scratch;                // [workers, ld + lo] gradients of a latent
    readonly float* biasParts;              // [LatentParts, ld] Σ_f ∂⟨w, x⟩_f · WEnc_f
    readonly float* biasGrad;               // [lo] ∂b_dec
    readonly double* normParts;             // [LatentParts] squared norms
    readonly Action<int, int> updatePart, measurePart;
    float globalFactor;                     // clips all gradients of the step, except by row

    /// <param name="dense">Null where the selection has no dense path.</param>
    /// <param name="skip">Null without a skip connection.</param>
    public OptimizePhase(CpuContext context, LatentGradients gradients, Residuals residuals, DensePhase? dense,
        SkipPhase? skip, OptimizerStep optimizer) : base(context)
    {
        var (arena, buffers) = (context.Arena, context.Buffers);
        (this.gradients, this.residuals, this.dense) = (gradients, residuals, dense);
        (this.skip, this.optimizer) = (skip, optimizer);
        wEnc = buffers.WEnc;
        wDec = buffers.WDec;
        bDec = buffers.BDec;
        tieScale = buffers.TieScale;
        scratch = buffers.RowScratch;
        update = new(context, optimizer);
        MBDec = arena.Take<float>("moment m, b_dec", lo);
        VBDec = arena.Take<float>("moment v, b_dec", lo);
        AverageBDec = arena.Take<float>("average of b_dec", config.EmaDecay > 0 ? lo : 0);
        biasParts = arena.Take<float>("b_dec partial sums", (long)LatentParts * ld);
        biasGrad = arena.Take<float>("b_dec gradient", lo);
        normParts = arena.Take<double>("gradient norms", LatentParts);
        PreviousNorm = arena.Take<double>("previous gradient norm", 1);
        if (PreviousNorm is not null) *PreviousNorm = double.NaN;
        updatePart = (part, worker) => Visit(part, worker, move: true);
        measurePart = (part, worker) => Visit(part, worker, move: false);
    }

    public LatentUpdate Latent => update;
    public float* MBDec { get; }            // [lo] moments of b_dec
    public float* VBDec { get; }
    public float* AverageBDec { get; }      // [lo]; null without EmaDecay
    public double* PreviousNorm { get; }    // [1] norm of the gradient of the step before; NaN before the first

    /// <summary>Measures the exact global norm before any weight moves. <see cref="Run"/> forms all gradients once
    /// more.</summary>
    public void Measure()
    {
        skip?.FormGradient();
        VisitAll(measurePart);
        FinishBiasGradient();
        step.Sums.GradientNorm = GlobalNorm();
    }

    public void Run()
    {
        if (config.Clip != ClipKind.GlobalNorm) skip?.FormGradient();
        var norm = config.Clip switch
        {
            ClipKind.GlobalNorm => step.Sums.GradientNorm,
            ClipKind.PreviousNorm => *PreviousNorm,
            _ => 0
        };
        globalFactor = norm > step.Scalars.ClipNorm ? (float)(step.Scalars.ClipNorm / norm) : 1;
        VisitAll(updatePart);
        FinishBiasGradient();
        step.Sums.GradientNorm = *PreviousNorm = GlobalNorm();
        step.Sums.PreAct = gradients.PreActLoss;
        if (step.Learns(Trainable.DecoderBias)) MoveBias();
        if (step.Learns(Trainable.Skip)) skip?.Move(globalFactor);
    }

    void VisitAll(Action<int, int> part)
    {
        if (step.Dense) dense!.Visit(part);
        else workers.Run(parts, part);
        if (shard is not null) GatherParts(shard);
    }

    /// <summary>Gives every rank the partial sums of all ranks.</summary>
    void GatherParts(ShardPlan shard)
    {
        if (spec.PreEncoderBias) shard.Collective.AllGather(biasParts, shard.PartStarts(ld * sizeof(float)));
        shard.Collective.AllGather(normParts, shard.PartStarts(sizeof(double)));
        gradients.GatherParts(shard);
    }

    /// <summary>The gradients of a part's latents and, with <paramref name="move"/>, the optimizer's step.</summary>
    void Visit(int part, int worker, bool move)
    {
        float* encGrad = scratch + (long)worker * (ld + lo), decGrad = encGrad + ld,
            sum = biasParts + (long)(firstPart + part) * ld;
        new Span<float>(sum, ld).Clear();
        gradients.BeginPart(part);
        double squares = 0;
        var (first, last) = Latents(part);
        for (var f = first; f < last; f++)
        {
            var touched = gradients.Touched(f);
            if (!touched && (config.Lazy || !move)) continue;
            EntryGradient scalars = default;
            float tie = 0;
            double own = 0;
            if (touched)
            {
                scalars = gradients.Form(f, encGrad, decGrad, part);
                if (spec.PreEncoderBias) Rows.Add(sum, scalars.Input, wEnc + (long)f * ld, ld);
                tie = JoinTied(f, encGrad, decGrad);
                Mask(ref scalars, ref tie, encGrad, decGrad);
                if (spec.DecoderNorm == DecoderNorm.Unit) Project(decGrad, wDec + (long)f * lo);
                own = SquaredNorm(encGrad, decGrad, scalars, tie);
                squares += own;
            }
            if (!move || own == 0 && config.Optimizer == OptimizerKind.LazyRowAdam) continue;
            if (!touched) new Span<float>(encGrad, ld + lo).Clear();
            update.Move(f, encGrad, decGrad, scalars, tie, own, globalFactor, touched, worker);
        }
        normParts[firstPart + part] = squares;
    }

    double SquaredNorm(float* encGrad, float* decGrad, in EntryGradient g, float tie) =>
        Rows.SquaredNorm(encGrad, ld) + Rows.SquaredNorm(decGrad, lo) + (double)g.Bias * g.Bias
            + (double)g.Threshold * g.Threshold + (double)g.Mag * g.Mag + (double)g.Scale * g.Scale + (double)tie * tie;

    void Project(float* gradient, float* row) => Rows.Add(gradient, -Rows.Dot(gradient, row, lo), row, lo);

    /// <summary>Tied weights, WEnc = s WDec: adds s ∂L/∂WEnc to ∂L/∂WDec. Returns ∂L/∂s.</summary>
    float JoinTied(int f, float* encGrad, float* decGrad)
    {
        if (spec.Tying == Tying.Untied) return 0;
        var tie = tieScale is null ? 0 : Rows.Dot(encGrad, wDec + (long)f * lo, lo);
        Rows.Add(decGrad, tieScale is null ? 1 : tieScale[f], encGrad, lo);
        new Span<float>(encGrad, ld).Clear();
        return tie;
    }

    /// <summary>Clears the gradients of parameters that the step does not move.</summary>
    void Mask(ref EntryGradient scalars, ref float tie, float* encGrad, float* decGrad)
    {
        if (spec.Selection is Selection.Gated { Rescale: false }) scalars.Scale = 0;
        if (step.Scalars.Trainable == Trainable.All) return;
        if (!step.Learns(Trainable.Encoder)) new Span<float>(encGrad, ld).Clear();
        if (!step.Learns(Trainable.Decoder)) new Span<float>(decGrad, lo).Clear();
        if (!step.Learns(Trainable.EncoderBias)) scalars.Bias = 0;
        if (!step.Learns(Trainable.Threshold)) scalars.Threshold = 0;
        if (!step.Learns(Trainable.MagnitudeBias)) scalars.Mag = 0;
        if (!step.Learns(Trainable.MagnitudeScale)) scalars.Scale = 0;
        if (!step.Learns(Trainable.TieScale)) tie = 0;
    }

    /// <summary>∂b_dec = 2c Σ_b e_b − Σ_f ∂⟨w, x⟩_f WEnc_f, with WEnc from before the update. The second term exists
    /// where b_dec is subtracted from the input.</summary>
    void FinishBiasGradient()
    {
        var columns = residuals.ColumnsOfWeighted();
        var learns = step.Learns(Trainable.DecoderBias);
        for (var i = 0; i < lo; i++)
        {
            var g = 2 * step.Scalars.LossScale * columns[i];
            for (var part = 0; part < LatentParts && spec.PreEncoderBias; part++) g -= biasParts[(long)part * ld + i];
            biasGrad[i] = learns ? (float)g : 0;
        }
    }

    void MoveBias()
    {
        optimizer.Move(bDec, biasGrad, MBDec, VBDec, lo,
            config.Clip == ClipKind.PerRow ? optimizer.ClipFactor(Rows.SquaredNorm(biasGrad, lo)) : globalFactor,
            decays: false);
        if (AverageBDec is not null) optimizer.Blend(AverageBDec, bDec, lo);
    }

    double GlobalNorm()
    {
        var squares = Rows.SquaredNorm(biasGrad, lo);
        for (var part = 0; part < LatentParts; part++) squares += normParts[part];
        if (skip is not null) squares += skip.SquaredNorm();
        return Math.Sqrt(squares);
    }
}
