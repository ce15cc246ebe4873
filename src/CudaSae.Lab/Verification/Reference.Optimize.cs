using CudaSae.Model;

namespace CudaSae.Lab.Verification;

/// <summary>Project, clip, move, constrain: in this order.</summary>
sealed partial class Reference
{
    sealed class Parameter(double[] weights, double[] gradient, int width, Trainable part, bool decays = false)
    {
        public double[] Weights { get; } = weights;
        public double[] Gradient { get; } = gradient;
        public int Width { get; } = width;      // numbers of one latent
        public Trainable Part { get; } = part;
        public bool Decays { get; } = decays;
        public double[] M { get; } = new double[weights.Length];
        public double[] V { get; } = new double[weights.Length];
    }

    Parameter[]? latentParameters, otherParameters;
    double previousNorm = double.NaN;

    Parameter[] LatentParameters => latentParameters ??=
    [
        new(WEnc, WEncGrad, d, Trainable.Encoder, decays: true),
        new(WDec, WDecGrad, D, Trainable.Decoder, decays: true), new(BEnc, BEncGrad, 1, Trainable.EncoderBias),
        new(Threshold, ThresholdGrad, 1, Trainable.Threshold), new(BMag, BMagGrad, 1, Trainable.MagnitudeBias),
        new(RMag, RMagGrad, 1, Trainable.MagnitudeScale),
        new(TieScale, TieScaleGrad, 1, Trainable.TieScale),
    ];

    Parameter[] OtherParameters =>
        otherParameters ??= [new(BDec, BDecGrad, 1, Trainable.DecoderBias), new(WSkip, WSkipGrad, 1, Trainable.Skip)];

    void Optimize()
    {
        if (spec.Selection is Selection.Gated { Rescale: false }) Array.Clear(RMagGrad);
        foreach (var parameter in LatentParameters.Concat(OtherParameters))
            if ((scalars.Trainable & parameter.Part) == 0) Array.Clear(parameter.Gradient);
        if (spec.DecoderNorm == DecoderNorm.Unit)
            for (var f = 0; f < n; f++) Project(f);
        Sums.GradientNorm = Math.Sqrt(LatentParameters.Concat(OtherParameters).Sum(p => SquaredNorm(p.Gradient)));
        for (var f = 0; f < n; f++)
        {
            var own = Math.Sqrt(LatentParameters.Sum(p => SquaredNorm(p.Gradient.AsSpan(f * p.Width, p.Width))));
            if (config.Optimizer == OptimizerKind.LazyRowAdam && own == 0) continue;
            foreach (var p in LatentParameters) Move(p, f * p.Width, p.Width, Factor(own));
            if ((scalars.Trainable & Trainable.Decoder) == 0) continue;
            if (spec.DecoderNorm == DecoderNorm.Unit && (own > 0 || config.Beta1 > 0)
                || spec.DecoderNorm == DecoderNorm.AtMostOne)
                Renormalize(f);
        }
        foreach (var p in OtherParameters) Move(p, 0, p.Weights.Length, Factor(Math.Sqrt(SquaredNorm(p.Gradient))));
        if (spec.Selection is Selection.JumpRelu { Form: ThresholdForm.Direct })
            for (var f = 0; f < n; f++) Threshold[f] = Math.Max(0, Threshold[f]);
        ApplyTying();
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
        // NaN, before any norm was measured, clips nothing
        return norm > scalars.ClipNorm ? scalars.ClipNorm / norm : 1;
    }

    void Move(Parameter p, int first, int count, double factor)
    {
        if ((scalars.Trainable & p.Part) == 0) return;
        for (var i = first; i < first + count; i++)
        {
            var gradient = p.Gradient[i] * factor;
            if (p.Decays) p.Weights[i] -= scalars.LearningRate * scalars.WeightDecay * p.Weights[i];
            if (config.Optimizer == OptimizerKind.Sgd)
            {
                p.Weights[i] -= scalars.LearningRate * gradient;
                continue;
            }
            p.M[i] = scalars.Beta1 * p.M[i] + (1 - scalars.Beta1) * gradient;
            if (config.Optimizer == OptimizerKind.Signum)
            {
                p.Weights[i] -= scalars.LearningRate * Math.Sign(p.M[i]);
                continue;
            }
            p.V[i] = scalars.Beta2 * p.V[i] + (1 - scalars.Beta2) * gradient * gradient;
            p.Weights[i] -=
                scalars.LearningRate * p.M[i] * scalars.Correction1 / (Math.Sqrt(p.V[i] * scalars.Correction2)
                + scalars.Epsilon);
        }
    }

    void Project(int f)
    {
        double dot = 0;
        for (var i = f * D; i < (f + 1) * D; i++) dot += WDecGrad[i] * WDec[i];
        for (var i = f * D; i < (f + 1) * D; i++) WDecGrad[i] -= dot * WDec[i];
    }

    void Renormalize(int f)
    {
        var norm = SiteNorm(f, 0, D);
        if (norm > (spec.DecoderNorm == DecoderNorm.AtMostOne ? 1 : 0))
            for (var i = f * D; i < (f + 1) * D; i++) WDec[i] /= norm;
    }

    static double SquaredNorm(ReadOnlySpan<double> v)
    {
        double sum = 0;
        foreach (var x in v) sum += x * x;
        return sum;
    }
}
