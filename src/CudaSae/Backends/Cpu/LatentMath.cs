using CudaSae.Model;

namespace CudaSae.Backends.Cpu;

/// <summary>The formulas of one entry of the code, shared by the sparse and the dense path.
/// docs/internals/math.md.</summary>
readonly struct LatentMath
{
    readonly Selection selection;
    readonly Selection.JumpRelu? jump;
    readonly bool gated, weightLearns, thresholdIsLog;
    readonly int penalty;           // 0 none, 1 L1, 2 tanh, 3 Lp
    readonly float tanhScale;

    public LatentMath(SaeSpec spec)
    {
        selection = spec.Selection;
        jump = selection as Selection.JumpRelu;
        gated = selection is Selection.Gated;
        thresholdIsLog = jump is not { Form: ThresholdForm.Direct };
        weightLearns = spec.Penalty is { Weight: PenaltyWeight.DecoderNorm };
        penalty = spec.Penalty switch
        {
            SparsityPenalty.L1 => 1,
            SparsityPenalty.Tanh => 2,
            SparsityPenalty.Lp => 3,
            _ => 0
        };
        tanhScale = spec.Penalty is SparsityPenalty.Tanh tanh ? tanh.Scale : 0;
    }

    /// <summary>The value of a pre-activation, 0 where the latent does not fire; for thresholded selections
    /// only.</summary>
    public float Value(float z, in LatentScalars l)
    {
        if (!gated) return z > l.Theta ? z : 0;
        return z > 0 ? Math.Max(0, Magnitude(z, l)) : 0;
    }

    static float Magnitude(float pi, in LatentScalars l) => l.ExpR * (pi - l.Gate) + l.Mag;

    /// <summary>The penalty of an entry without λ.</summary>
    /// <param name="penalized">relu(π) for Gated, otherwise the entry's value.</param>
    public double Penalty(float penalized, float omega, float power) => penalized == 0 ? 0 : penalty switch
    {
        1 => penalized * omega,
        2 => MathF.Tanh(tanhScale * penalized * omega),
        3 => MathF.Pow(penalized * omega, power),
        _ => 0,
    };

    (float ByValue, float ByWeight) PenaltySlope(float penalized, float omega, float power)
    {
        switch (penalty)
        {
            case 1: return (omega, penalized);
            case 2:
                var t = MathF.Tanh(tanhScale * penalized * omega);
                return (tanhScale * (1 - t * t) * omega, tanhScale * (1 - t * t) * penalized);
            case 3 when penalized > 0:
                var slope = power * MathF.Pow(penalized * omega, power - 1);
                return (slope * omega, slope * penalized);
            default: return (0, 0);
        }
    }

    /// <summary>All gradients of an entry, from that of its value.</summary>
    /// <param name="g">2c ⟨E, WDec⟩: ∂L/∂value of the reconstruction.</param>
    /// <param name="gateG">The same for the gate's own reconstruction.</param>
    /// <param name="countSlope">The factor of ∂Σ1[z > θ].</param>
    public EntryGradient Gradient(float z, float value, float g, float gateG, in LatentScalars l, in StepScalars s,
        float countSlope)
    {
        if (gated) return Gated(z, value, g, gateG, l, s);
        var result = default(EntryGradient);
        var (byValue, byWeight) = PenaltySlope(value, l.Omega, s.Power);
        if (value != 0 || jump is not null) g += s.Penalty * byValue;
        if (value != 0)
        {
            result.Input = result.Bias = g;
            if (weightLearns) result.Norm = s.Penalty * byWeight;
        }
        if (jump is null) return result;
        var density = Kernel(jump.Kernel, (z - l.Theta) / l.Epsilon) / l.Epsilon;
        var step = g * l.Theta + countSlope;
        result.Threshold = -density * step * (jump.Form == ThresholdForm.Log ? l.Theta : 1);
        if (jump.InputGradient)
        {
            result.Input += density * step;
            result.Bias += density * step;
        }
        return result;
    }

    EntryGradient Gated(float pi, float value, float g, float gateG, in LatentScalars l, in StepScalars s)
    {
        var result = default(EntryGradient);
        if (!(pi > 0)) return result;
        var (byValue, byWeight) = PenaltySlope(pi, l.Omega, s.Power);
        if (weightLearns) result.Norm = s.Penalty * byWeight;
        result.Bias = gateG + s.Penalty * byValue;
        result.Mag = value != 0 ? g : 0;
        result.Scale = result.Mag * l.ExpR * (pi - l.Gate);
        result.Input = result.Bias + l.ExpR * result.Mag;
        return result;
    }

    /// <summary>The pre-activation loss on the rows where z is below θ, in closed form: the loss on all rows minus that
    /// on the rows above.</summary>
    /// <param name="sumZ">Σ z over all rows.</param>
    /// <param name="above">The number of rows where z ≥ θ.</param>
    /// <param name="aboveGap">Σ (θ − z) over those rows.</param>
    public EntryGradient PreAct(in LatentScalars l, int rows, double sumZ, int above, double aboveGap, out double loss)
    {
        var below = rows - above;
        var gap = rows * (double)l.Theta - sumZ - aboveGap;
        loss = gap * l.Norm;
        return new()
        {
            Input = -l.PreAct * l.Norm * below,
            Bias = -l.PreAct * l.Norm * below,
            Norm = (float)(l.PreAct * gap),
            Threshold = l.PreAct * l.Norm * below * (thresholdIsLog ? l.Theta : 1),
        };
    }

    /// <summary>K(u). Each kernel has the integral 1.</summary>
    public static float Kernel(SmoothingKernel kernel, float u)
    {
        var a = MathF.Abs(u);
        if (a > Reach(kernel)) return 0;
        return kernel switch
        {
            SmoothingKernel.Rectangle => a < 0.5f ? 1 : 0,
            SmoothingKernel.Triangular => MathF.Max(0, 1 - a),
            SmoothingKernel.Epanechnikov => a < 1 ? 0.75f * (1 - u * u) : 0,
            SmoothingKernel.Biweight => a < 1 ? 0.9375f * (1 - u * u) * (1 - u * u) : 0,
            SmoothingKernel.Gaussian => MathF.Exp(-u * u / 2) * 0.39894228f,
            SmoothingKernel.Cosine => a <= 1 ? (1 + MathF.Cos(MathF.PI * u)) / 2 : 0,
            SmoothingKernel.Cauchy => 1 / (MathF.PI * (1 + u * u)),
            _ => 0.5f * MathF.Exp(-a * 0.70710678f) * MathF.Sin(a * 0.70710678f + MathF.PI / 4),
        };
    }

    /// <summary>The distance from θ, in bandwidths, beyond which a kernel counts as 0: the end of its support, or where
    /// its tail is below 1e-4 of its peak. Cauchy's tail never ends; its reach is 32, with 2 % of the mass
    /// outside.</summary>
    public static float Reach(SmoothingKernel kernel) => kernel switch
    {
        SmoothingKernel.Rectangle => 0.5f,
        SmoothingKernel.Gaussian => 4.5f,
        SmoothingKernel.Silverman => 13,
        SmoothingKernel.Cauchy => 32,
        _ => 1,
    };
}
