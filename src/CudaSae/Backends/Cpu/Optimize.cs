using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using CudaSae.Model;
using CudaSae.Training;

namespace CudaSae.Backends.Cpu;

/// <summary>optimize: one visit to each latent forms its gradient, projects, clips, moves, renormalises.</summary>
public sealed unsafe partial class CpuBackend
{
    const int LatentParts = 64;     // fixed cut of the latents: b_dec's partial sums are added in this order

    float* mEnc, vEnc, mDec, vDec, mBEnc, vBEnc, mBDec, vBDec;      // Adam's moments, shaped as their parameters
    float* emaEnc, emaDec, emaBEnc, emaBDec;                        // null without EmaDecay
    int* lastTouched;                                               // [n] Lazy: the step at which v was last decayed
    float* scratch;                                                 // [workers, 2, ld]
    float* biasParts;                                               // [LatentParts, ld] Σ_f ∂b_enc_f · WEnc_f
    float* biasGrad;                                                // [ld] ∂b_dec
    double* normParts;                                              // [LatentParts] squared norms
    double* previousNorm;                                           // [1] NaN before the first step
    float globalFactor;
    Action<int, int>? updatePart, measurePart;

    void TakeOptimizer()
    {
        TakeBackward();
        var adam = Config.Optimizer == OptimizerKind.Adam;
        long matrix = adam ? (long)n * ld : 0, momentum = Config.Beta1 > 0 ? matrix : 0;
        mEnc = arena.Take<float>("adam m, w_enc", momentum);
        mDec = arena.Take<float>("adam m, w_dec", momentum);
        vEnc = arena.Take<float>("adam v, w_enc", matrix);
        vDec = arena.Take<float>("adam v, w_dec", matrix);
        mBEnc = arena.Take<float>("adam m, b_enc", n);
        vBEnc = arena.Take<float>("adam v, b_enc", n);
        mBDec = arena.Take<float>("adam m, b_dec", ld);
        vBDec = arena.Take<float>("adam v, b_dec", ld);
        var average = Config.EmaDecay > 0;
        emaEnc = arena.Take<float>("average of w_enc", average ? (long)n * ld : 0);
        emaDec = arena.Take<float>("average of w_dec", average ? (long)n * ld : 0);
        emaBEnc = arena.Take<float>("average of b_enc", average ? n : 0);
        emaBDec = arena.Take<float>("average of b_dec", average ? ld : 0);
        lastTouched = arena.Take<int>("step of last update", Config.Lazy ? n : 0);
        scratch = arena.Take<float>("row gradients", 2L * workers.Count * ld);
        biasParts = arena.Take<float>("b_dec partial sums", (long)LatentParts * ld);
        biasGrad = arena.Take<float>("b_dec gradient", ld);
        normParts = arena.Take<double>("gradient norms", LatentParts);
        previousNorm = arena.Take<double>("previous gradient norm", 1);
        if (previousNorm is not null) *previousNorm = double.NaN;
    }

    (int First, int Last) Latents(int part) => ((int)((long)n * part / LatentParts), (int)((long)n * (part + 1) / LatentParts));

    /// <summary>The exact global norm before any weight moves: all gradients are formed once more in <see cref="Optimize"/>.</summary>
    void MeasureGradients()
    {
        workers.Run(LatentParts, measurePart ??= MeasurePart);
        FinishBiasGradient();
        sums.GradientNorm = GlobalNorm();
    }

    void MeasurePart(int part, int worker) => VisitPart(part, worker, update: false);

    public void Optimize()
    {
        var norm = Config.Clip switch { ClipKind.GlobalNorm => sums.GradientNorm, ClipKind.PreviousNorm => *previousNorm, _ => 0 };
        globalFactor = norm > scalars.ClipNorm ? (float)(scalars.ClipNorm / norm) : 1;
        workers.Run(LatentParts, updatePart ??= UpdatePart);
        FinishBiasGradient();
        sums.GradientNorm = GlobalNorm();
        *previousNorm = sums.GradientNorm;

        var factor = Config.Clip == ClipKind.PerRow ? ClipFactor(Rows.SquaredNorm(biasGrad, ld)) : globalFactor;
        Move(bDec, biasGrad, mBDec, vBDec, emaBDec, ld, factor);
    }

    void UpdatePart(int part, int worker) => VisitPart(part, worker, update: true);

    void VisitPart(int part, int worker, bool update)
    {
        float* encGrad = scratch + 2L * worker * ld, decGrad = encGrad + ld, sum = biasParts + (long)part * ld;
        new Span<float>(sum, ld).Clear();
        double squares = 0;
        var (first, last) = Latents(part);
        for (var f = first; f < last; f++)
        {
            var touched = Touched(f);
            if (!touched && (Config.Lazy || !update)) continue;
            float bias = 0;
            double own = 0;
            if (touched)
            {
                bias = LatentGradient(f, encGrad, decGrad);
                Rows.Add(sum, bias, wEnc + (long)f * ld, ld);
                own = Rows.SquaredNorm(encGrad, ld) + Rows.SquaredNorm(decGrad, ld) + (double)bias * bias;
                squares += own;
            }
            if (update) UpdateLatent(f, encGrad, decGrad, bias, own, touched);
        }
        normParts[part] = squares;
    }

    void UpdateLatent(int f, float* encGrad, float* decGrad, float bias, double squaredNorm, bool touched)
    {
        if (!touched)
        {
            new Span<float>(encGrad, ld).Clear();
            new Span<float>(decGrad, ld).Clear();
        }
        var at = (long)f * ld;
        var factor = Config.Clip == ClipKind.PerRow ? ClipFactor(squaredNorm) : globalFactor;
        if (Config.Lazy && Config.Optimizer == OptimizerKind.Adam) CatchUp(f);
        Move(wEnc + at, encGrad, mEnc + at, vEnc + at, Average(emaEnc, at), ld, factor);
        Move(wDec + at, decGrad, mDec + at, vDec + at, null, ld, factor);
        if (Spec.DecoderNorm == DecoderNorm.Unit && (touched || Config.Beta1 > 0)) Renormalize(wDec + at);
        if (emaDec is not null) Blend(emaDec + at, wDec + at, ld);
        MoveOne(ref bEnc[f], bias * factor, ref mBEnc[f], ref vBEnc[f]);
        if (Config.EmaDecay > 0) emaBEnc[f] += (1 - scalars.EmaDecay) * (bEnc[f] - emaBEnc[f]);
    }

    static float* Average(float* average, long at) => average is null ? null : average + at;

    /// <summary>Decays v for the steps that this latent was not visited, one multiplication a step, as dense Adam would have.</summary>
    void CatchUp(int f)
    {
        var idle = (int)scalars.Step - 1 - lastTouched[f];
        lastTouched[f] = (int)scalars.Step;
        for (; idle > 0; idle--)
        {
            Scale(vEnc + (long)f * ld, scalars.Beta2, ld);
            Scale(vDec + (long)f * ld, scalars.Beta2, ld);
            vBEnc[f] *= scalars.Beta2;
        }
    }

    static void Scale(float* v, float by, int length)
    {
        for (var i = 0; i < length; i += 16) (Vector512.Load(v + i) * by).Store(v + i);
    }

    float ClipFactor(double squaredNorm) => Math.Sqrt(squaredNorm) > scalars.ClipNorm ? (float)(scalars.ClipNorm / Math.Sqrt(squaredNorm)) : 1;

    /// <summary>Adam or plain descent over one row, and its moving average.</summary>
    void Move(float* w, float* gradient, float* m, float* v, float* average, int length, float factor)
    {
        if (Config.Optimizer == OptimizerKind.Sgd)
        {
            Rows.Add(w, -scalars.LearningRate * factor, gradient, length);
        }
        else if (scalars.Beta1 > 0) Adam(w, gradient, m, v, length, factor);
        else AdamWithoutMomentum(w, gradient, v, length, factor);
        if (average is not null) Blend(average, w, length);
    }

    void Adam(float* w, float* gradient, float* m, float* v, int length, float factor)
    {
        Vector512<float> scale = Vector512.Create(factor), beta1 = Vector512.Create(scalars.Beta1), beta2 = Vector512.Create(scalars.Beta2);
        Vector512<float> rest1 = Vector512.Create(1 - scalars.Beta1), rest2 = Vector512.Create(1 - scalars.Beta2);
        Vector512<float> rate = Vector512.Create(scalars.LearningRate * scalars.Correction1), correction = Vector512.Create(scalars.Correction2), epsilon = Vector512.Create(scalars.Epsilon);
        for (var i = 0; i < length; i += 16)
        {
            var g = Vector512.Load(gradient + i) * scale;
            var mi = Vector512.Load(m + i) * beta1 + g * rest1;
            var vi = Vector512.Load(v + i) * beta2 + g * g * rest2;
            mi.Store(m + i);
            vi.Store(v + i);
            (Vector512.Load(w + i) - rate * mi / (Vector512.Sqrt(vi * correction) + epsilon)).Store(w + i);
        }
    }

    void AdamWithoutMomentum(float* w, float* gradient, float* v, int length, float factor)
    {
        Vector512<float> scale = Vector512.Create(factor), beta2 = Vector512.Create(scalars.Beta2), rest2 = Vector512.Create(1 - scalars.Beta2);
        Vector512<float> rate = Vector512.Create(scalars.LearningRate), correction = Vector512.Create(scalars.Correction2), epsilon = Vector512.Create(scalars.Epsilon);
        for (var i = 0; i < length; i += 16)
        {
            var g = Vector512.Load(gradient + i) * scale;
            var vi = Vector512.Load(v + i) * beta2 + g * g * rest2;
            vi.Store(v + i);
            // 0 / (0 + 0) where a row never had a gradient and ε is 0: it does not move.
            var step = rate * g / (Vector512.Sqrt(vi * correction) + epsilon);
            (Vector512.Load(w + i) - Vector512.ConditionalSelect(Vector512.Equals(g, Vector512<float>.Zero), Vector512<float>.Zero, step)).Store(w + i);
        }
    }

    void MoveOne(ref float w, float g, ref float m, ref float v)
    {
        if (Config.Optimizer == OptimizerKind.Sgd)
        {
            w -= scalars.LearningRate * g;
            return;
        }
        m = m * scalars.Beta1 + g * (1 - scalars.Beta1);
        v = v * scalars.Beta2 + g * g * (1 - scalars.Beta2);
        if (m != 0) w -= scalars.LearningRate * scalars.Correction1 * m / (MathF.Sqrt(v * scalars.Correction2) + scalars.Epsilon);
    }

    void Renormalize(float* row)
    {
        var norm = Rows.SquaredNorm(row, ld);
        if (norm > 0) Scale(row, (float)(1 / Math.Sqrt(norm)), ld);
    }

    void Blend(float* average, float* w, int length)
    {
        var rest = Vector512.Create(1 - scalars.EmaDecay);
        for (var i = 0; i < length; i += 16)
        {
            var a = Vector512.Load(average + i);
            (a + rest * (Vector512.Load(w + i) - a)).Store(average + i);
        }
    }

    /// <summary>∂b_dec = 2c Σ_b e_b − Σ_f ∂b_enc_f WEnc_f, WEnc as it was before the update.</summary>
    void FinishBiasGradient()
    {
        ColumnTotals(sumE, columns);
        for (var i = 0; i < ld; i++)
        {
            var g = 2 * scalars.LossScale * columns[i];
            for (var part = 0; part < LatentParts; part++) g -= biasParts[(long)part * ld + i];
            biasGrad[i] = (float)g;
        }
    }

    double GlobalNorm()
    {
        var squares = Rows.SquaredNorm(biasGrad, ld);
        for (var part = 0; part < LatentParts; part++) squares += normParts[part];
        return Math.Sqrt(squares);
    }
}
