using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>optimize: one visit to each latent forms its gradient, projects, clips, moves, constrains.</summary>
sealed unsafe partial class CpuBackend
{
    const int LatentParts = 64;     // fixed cut of the latents: b_dec's partial sums are added in this order

    /// <summary>One number a latent, its moments and average.</summary>
    sealed class LatentVector(HostArena arena, string name, float* weights, Trainable part, int n, TrainConfig config)
    {
        public string Name { get; } = name;
        public float* Weights { get; } = weights;
        public Trainable Part { get; } = part;
        public float* M { get; } = arena.Take<float>($"moment m, {name}", n);
        public float* V { get; } = arena.Take<float>($"moment v, {name}", n);
        public float* Average { get; } = arena.Take<float>($"average of {name}", config.EmaDecay > 0 ? n : 0);
    }

    MatrixMoments momentsEnc = null!, momentsDec = null!, momentsSkip = null!;
    LatentVector biasVector = null!;
    LatentVector? thresholdVector, magVector, rescaleVector, tieVector;
    LatentVector[] vectors = [];
    float* mBDec, vBDec;
    float* emaEnc, emaDec, emaBDec;                                 // null without EmaDecay
    int* lastTouched;                                               // [n] Lazy: the step at which v was last decayed
    float* scratch;                                                 // [workers, ld + lo] gradients of a latent
    float* momentScratch;                                           // [workers, 2, max(ld, lo)] narrow moments, widened
    float* skipGrad;                                                // [D, ld]
    float* biasParts;                                               // [LatentParts, ld] Σ_f ∂⟨w, x⟩_f · WEnc_f
    float* biasGrad;                                                // [lo] ∂b_dec
    double* normParts;                                              // [LatentParts] squared norms
    double* previousNorm;                                           // [1] NaN before the first step
    float globalFactor;
    Action<int, int>? updatePart, measurePart, skipPart, skipGradPart;

    void TakeOptimizer()
    {
        TakeBackward();
        momentsEnc = new(arena, "enc", Spec.Tying == Tying.Untied ? n : 0, ld, Config);
        momentsDec = new(arena, "dec", n, lo, Config);
        momentsSkip = new(arena, "skip", Spec.Transcoder is { Skip: true } ? D : 0, ld, Config);
        biasVector = new(arena, "b_enc", bEnc, Trainable.EncoderBias, n, Config);
        if (Spec.Selection is Selection.JumpRelu)
            thresholdVector = new(arena, "threshold", threshold, Trainable.Threshold, n, Config);
        if (gated) magVector = new(arena, "b_mag", bMag, Trainable.MagnitudeBias, n, Config);
        if (Spec.Selection is Selection.Gated { Rescale: true })
            rescaleVector = new(arena, "r_mag", rMag, Trainable.MagnitudeScale, n, Config);
        if (Spec.Tying == Tying.Scaled) tieVector = new(arena, "tie_scale", tieScale, Trainable.TieScale, n, Config);
        vectors = [.. ((LatentVector?[])[biasVector, thresholdVector, magVector, rescaleVector, tieVector])
            .OfType<LatentVector>()];
        mBDec = arena.Take<float>("moment m, b_dec", lo);
        vBDec = arena.Take<float>("moment v, b_dec", lo);
        var average = Config.EmaDecay > 0;
        emaEnc = arena.Take<float>("average of w_enc", average ? (long)n * ld : 0);
        emaDec = arena.Take<float>("average of w_dec", average ? (long)n * lo : 0);
        emaBDec = arena.Take<float>("average of b_dec", average ? lo : 0);
        lastTouched = arena.Take<int>("step of last update", Config.Lazy ? n : 0);
        scratch = arena.Take<float>("row gradients", (long)workers.Count * (ld + lo));
        momentScratch = arena.Take<float>("widened moments",
            Config.Moments == MomentStorage.Float32 ? 0 : 2L * workers.Count * Math.Max(ld, lo));
        skipGrad = arena.Take<float>("gradient of w_skip", Spec.Transcoder is { Skip: true } ? (long)D * ld : 0);
        biasParts = arena.Take<float>("b_dec partial sums", (long)LatentParts * ld);
        biasGrad = arena.Take<float>("b_dec gradient", lo);
        normParts = arena.Take<double>("gradient norms", LatentParts);
        previousNorm = arena.Take<double>("previous gradient norm", 1);
        if (previousNorm is not null) *previousNorm = double.NaN;
    }

    (int First, int Last) Latents(int part) =>
        ((int)((long)n * part / LatentParts), (int)((long)n * (part + 1) / LatentParts));

    bool Learns(Trainable part) => (scalars.Trainable & part) != 0;

    /// <summary>The exact global norm before any weight moves: all gradients are formed once more in
    /// <see cref="Optimize"/>.</summary>
    void MeasureGradients()
    {
        if (skipGrad is not null) SkipGradient();
        if (stepDense) DenseVisit(update: false);
        else workers.Run(LatentParts, measurePart ??= (part, worker) => VisitPart(part, worker, update: false));
        FinishBiasGradient();
        sums.GradientNorm = GlobalNorm();
    }

    public void Optimize()
    {
        if (skipGrad is not null && Config.Clip != ClipKind.GlobalNorm) SkipGradient();
        var norm = Config.Clip switch
        {
            ClipKind.GlobalNorm => sums.GradientNorm,
            ClipKind.PreviousNorm => *previousNorm,
            _ => 0
        };
        globalFactor = norm > scalars.ClipNorm ? (float)(scalars.ClipNorm / norm) : 1;
        if (stepDense) DenseVisit(update: true);
        else workers.Run(LatentParts, updatePart ??= (part, worker) => VisitPart(part, worker, update: true));
        FinishBiasGradient();
        sums.GradientNorm = GlobalNorm();
        *previousNorm = sums.GradientNorm;
        sums.PreAct = 0;
        for (var part = 0; part < LatentParts; part++) sums.PreAct += preActParts[part];

        if (Learns(Trainable.DecoderBias))
        {
            Move(bDec, biasGrad, mBDec, vBDec, lo,
                Config.Clip == ClipKind.PerRow ? ClipFactor(Rows.SquaredNorm(biasGrad, lo)) : globalFactor,
                decays: false);
            if (emaBDec is not null) Blend(emaBDec, bDec, lo);
        }
        if (skipGrad is null || !Learns(Trainable.Skip)) return;
        skipFactor = Config.Clip == ClipKind.PerRow ? ClipFactor(SkipNorm()) : globalFactor;
        workers.Run(D, skipPart ??= MoveSkip);
    }

    void VisitPart(int part, int worker, bool update)
    {
        float* encGrad = scratch + (long)worker * (ld + lo), decGrad = encGrad + ld, sum = biasParts + (long)part * ld;
        new Span<float>(sum, ld).Clear();
        preActParts[part] = 0;
        double squares = 0;
        var (first, last) = Latents(part);
        for (var f = first; f < last; f++)
        {
            var touched = Touched(f);
            if (!touched && (Config.Lazy || !update)) continue;
            EntryGradient bias = default;
            float tie = 0;
            double own = 0;
            if (touched)
            {
                bias = LatentGradient(f, encGrad, decGrad, part);
                if (Spec.PreEncoderBias) Rows.Add(sum, bias.Input, wEnc + (long)f * ld, ld);
                tie = JoinTied(f, encGrad, decGrad);
                Mask(ref bias, ref tie, encGrad, decGrad);
                if (Spec.DecoderNorm == DecoderNorm.Unit) Project(decGrad, wDec + (long)f * lo);
                own = Rows.SquaredNorm(encGrad, ld) + Rows.SquaredNorm(decGrad, lo) + (double)bias.Bias * bias.Bias
                    + (double)bias.Threshold * bias.Threshold
                    + (double)bias.Mag * bias.Mag + (double)bias.Scale * bias.Scale + (double)tie * tie;
                squares += own;
            }
            if (update && (own > 0 || Config.Optimizer != OptimizerKind.LazyRowAdam))
                UpdateLatent(f, encGrad, decGrad, bias, tie, own, touched, worker);
        }
        normParts[part] = squares;
    }

    void Project(float* gradient, float* row) => Rows.Add(gradient, -Rows.Dot(gradient, row, lo), row, lo);

    /// <summary>Tied weights, WEnc = s WDec: adds s ∂L/∂WEnc to ∂L/∂WDec. Returns ∂L/∂s.</summary>
    float JoinTied(int f, float* encGrad, float* decGrad)
    {
        if (Spec.Tying == Tying.Untied) return 0;
        var tie = tieScale is null ? 0 : Rows.Dot(encGrad, wDec + (long)f * lo, lo);
        Rows.Add(decGrad, tieScale is null ? 1 : tieScale[f], encGrad, lo);
        new Span<float>(encGrad, ld).Clear();
        return tie;
    }

    void Mask(ref EntryGradient bias, ref float tie, float* encGrad, float* decGrad)
    {
        if (Spec.Selection is Selection.Gated { Rescale: false }) bias.Scale = 0;
        if (scalars.Trainable == Trainable.All) return;
        if (!Learns(Trainable.Encoder)) new Span<float>(encGrad, ld).Clear();
        if (!Learns(Trainable.Decoder)) new Span<float>(decGrad, lo).Clear();
        if (!Learns(Trainable.EncoderBias)) bias.Bias = 0;
        if (!Learns(Trainable.Threshold)) bias.Threshold = 0;
        if (!Learns(Trainable.MagnitudeBias)) bias.Mag = 0;
        if (!Learns(Trainable.MagnitudeScale)) bias.Scale = 0;
        if (!Learns(Trainable.TieScale)) tie = 0;
    }

    void UpdateLatent(int f, float* encGrad, float* decGrad, in EntryGradient bias, float tie, double squaredNorm,
        bool touched, int worker)
    {
        if (!touched)
        {
            new Span<float>(encGrad, ld).Clear();
            new Span<float>(decGrad, lo).Clear();
        }
        float* enc = wEnc + (long)f * ld, dec = wDec + (long)f * lo;
        var factor = Config.Clip == ClipKind.PerRow ? ClipFactor(squaredNorm) : globalFactor;
        if (Config.Lazy) CatchUp(f);
        if (Learns(Trainable.Decoder))
        {
            MoveRow(dec, decGrad, momentsDec, f, lo, factor, worker);
            Constrain(dec, touched);
        }
        MoveOne(biasVector, f, bias.Bias * factor);
        MoveOne(thresholdVector, f, bias.Threshold * factor);
        MoveOne(magVector, f, bias.Mag * factor);
        MoveOne(rescaleVector, f, bias.Scale * factor);
        MoveOne(tieVector, f, tie * factor);
        if (Spec.Selection is Selection.JumpRelu { Form: ThresholdForm.Direct })
            threshold[f] = Math.Max(0, threshold[f]);
        if (Spec.Tying != Tying.Untied)
            for (var i = 0; i < ld; i++) enc[i] = (tieScale is null ? 1 : tieScale[f]) * dec[i];
        else if (Learns(Trainable.Encoder)) MoveRow(enc, encGrad, momentsEnc, f, ld, factor, worker);
        if (emaEnc is null) return;
        Blend(emaEnc + (long)f * ld, enc, ld);
        Blend(emaDec + (long)f * lo, dec, lo);
    }

    void Constrain(float* row, bool touched)
    {
        if (Spec.DecoderNorm == DecoderNorm.Free
            || Spec.DecoderNorm == DecoderNorm.Unit && !touched && Config.Beta1 == 0)
            return;
        var norm = Rows.SquaredNorm(row, lo);
        if (norm > (Spec.DecoderNorm == DecoderNorm.AtMostOne ? 1 : 0)) Scale(row, (float)(1 / Math.Sqrt(norm)), lo);
    }

    /// <summary>∂b_dec = 2c Σ_b e_b − Σ_f ∂⟨w, x⟩_f WEnc_f, WEnc as it was before the update; the second part where
    /// b_dec is subtracted from the input.</summary>
    void FinishBiasGradient()
    {
        ColumnTotals(sumWeighted, columns);
        for (var i = 0; i < lo; i++)
        {
            var g = 2 * scalars.LossScale * columns[i];
            for (var part = 0; part < LatentParts && Spec.PreEncoderBias; part++) g -= biasParts[(long)part * ld + i];
            biasGrad[i] = Learns(Trainable.DecoderBias) ? (float)g : 0;
        }
    }

    double GlobalNorm()
    {
        var squares = Rows.SquaredNorm(biasGrad, lo);
        for (var part = 0; part < LatentParts; part++) squares += normParts[part];
        if (skipGrad is not null) squares += SkipNorm();
        return Math.Sqrt(squares);
    }
}
