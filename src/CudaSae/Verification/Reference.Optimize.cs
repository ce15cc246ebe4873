using CudaSae.Model;
using CudaSae.Training;

namespace CudaSae.Verification;

public sealed partial class Reference
{
    public double[] WEncGrad { get; } = new double[(long)spec.Latents * spec.InputWidth];   // [n, d] raw, then projected and clipped
    public double[] WDecGrad { get; } = new double[(long)spec.Latents * spec.InputWidth];
    public double[] BEncGrad { get; } = new double[spec.Latents];
    public double[] BDecGrad { get; } = new double[spec.InputWidth];

    readonly Moments encMoments = new((long)spec.Latents * spec.InputWidth), decMoments = new((long)spec.Latents * spec.InputWidth),
        encBiasMoments = new(spec.Latents), decBiasMoments = new(spec.InputWidth);
    double previousNorm = double.NaN;

    /// <summary>Gradients of the whole loss with respect to every parameter, before projection and clipping.</summary>
    public void Gradients()
    {
        auxEncGrad.CopyTo(WEncGrad, 0);
        auxDecGrad.CopyTo(WDecGrad, 0);
        auxBiasGrad.CopyTo(BEncGrad, 0);
        Array.Clear(BDecGrad);
        for (var b = 0; b < B; b++)
        {
            for (var j = 0; j < k; j++)
            {
                var f = Index[b * k + j];
                BEncGrad[f] += ValueGrad[b * k + j];
                for (var i = 0; i < d; i++)
                {
                    WDecGrad[f * d + i] += 2 * scalars.LossScale * Value[b * k + j] * rounding.Gathered(Residual[b * d + i]);
                    WEncGrad[f * d + i] += ValueGrad[b * k + j] * CenteredRow(b, i);
                }
            }
            for (var i = 0; i < d; i++) BDecGrad[i] += 2 * scalars.LossScale * Residual[b * d + i];
        }
        for (var f = 0; f < n; f++)
            for (var i = 0; i < d; i++) BDecGrad[i] -= BEncGrad[f] * WEnc[f * d + i];
    }

    /// <summary>Project, clip, Adam or gradient descent, renormalise: in this order.</summary>
    void Optimize()
    {
        if (spec.DecoderNorm == DecoderNorm.Unit)
            for (var f = 0; f < n; f++) Project(f);
        Sums.GradientNorm = Math.Sqrt(SquaredNorm(WEncGrad) + SquaredNorm(WDecGrad) + SquaredNorm(BEncGrad) + SquaredNorm(BDecGrad));
        for (var f = 0; f < n; f++)
        {
            var factor = Factor(RowNorm(f));
            var touched = RowNorm(f) > 0;
            for (var i = f * d; i < (f + 1) * d; i++)
            {
                WEnc[i] = Move(WEnc[i], WEncGrad[i] * factor, encMoments, i);
                WDec[i] = Move(WDec[i], WDecGrad[i] * factor, decMoments, i);
            }
            BEnc[f] = Move(BEnc[f], BEncGrad[f] * factor, encBiasMoments, f);
            if (spec.DecoderNorm == DecoderNorm.Unit && (touched || config.Beta1 > 0)) Renormalize(f);
        }
        var biasFactor = Factor(Math.Sqrt(SquaredNorm(BDecGrad)));
        for (var i = 0; i < d; i++) BDec[i] = Move(BDec[i], BDecGrad[i] * biasFactor, decBiasMoments, i);
        previousNorm = Sums.GradientNorm;
    }

    double Factor(double ownNorm)
    {
        var norm = config.Clip switch
        {
            ClipKind.PerRow => ownNorm,
            ClipKind.PreviousNorm => previousNorm,
            ClipKind.GlobalNorm => Sums.GradientNorm,
            _ => 0,
        };
        return norm > scalars.ClipNorm ? scalars.ClipNorm / norm : 1;   // NaN, before any norm was measured, clips nothing
    }

    double Move(double w, double gradient, Moments moments, int i)
    {
        if (config.Optimizer == OptimizerKind.Sgd) return w - scalars.LearningRate * gradient;
        moments.M[i] = scalars.Beta1 * moments.M[i] + (1 - scalars.Beta1) * gradient;
        moments.V[i] = scalars.Beta2 * moments.V[i] + (1 - scalars.Beta2) * gradient * gradient;
        return w - scalars.LearningRate * moments.M[i] * scalars.Correction1 / (Math.Sqrt(moments.V[i] * scalars.Correction2) + scalars.Epsilon);
    }

    void Project(int f)
    {
        double dot = 0;
        for (var i = f * d; i < (f + 1) * d; i++) dot += WDecGrad[i] * WDec[i];
        for (var i = f * d; i < (f + 1) * d; i++) WDecGrad[i] -= dot * WDec[i];
    }

    void Renormalize(int f)
    {
        double norm = 0;
        for (var i = f * d; i < (f + 1) * d; i++) norm += WDec[i] * WDec[i];
        norm = Math.Sqrt(norm);
        if (norm > 0)
            for (var i = f * d; i < (f + 1) * d; i++) WDec[i] /= norm;
    }

    double RowNorm(int f)
    {
        var sum = BEncGrad[f] * BEncGrad[f];
        for (var i = f * d; i < (f + 1) * d; i++) sum += WEncGrad[i] * WEncGrad[i] + WDecGrad[i] * WDecGrad[i];
        return Math.Sqrt(sum);
    }

    static double SquaredNorm(double[] v)
    {
        double sum = 0;
        foreach (var x in v) sum += x * x;
        return sum;
    }

    sealed record Moments(long Length)
    {
        public double[] M { get; } = new double[Length];
        public double[] V { get; } = new double[Length];
    }
}
