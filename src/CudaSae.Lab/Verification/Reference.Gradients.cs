using CudaSae.Model;

namespace CudaSae.Lab.Verification;

/// <summary>Gradients of the whole loss, before projection and clipping.</summary>
sealed partial class Reference
{
    // [n, d] raw, then projected and clipped
    public double[] WEncGrad { get; } = new double[(long)spec.Latents * spec.InputWidth];
    public double[] WDecGrad { get; } = new double[(long)spec.Latents * spec.OutputWidth];
    public double[] BEncGrad { get; } = new double[spec.Latents];
    public double[] BDecGrad { get; } = new double[spec.OutputWidth];
    public double[] ThresholdGrad { get; } = new double[spec.Latents];
    public double[] BMagGrad { get; } = new double[spec.Latents];
    public double[] RMagGrad { get; } = new double[spec.Latents];
    public double[] TieScaleGrad { get; } = new double[spec.Latents];
    public double[] WSkipGrad { get; } = new double[(long)spec.OutputWidth * spec.InputWidth];

    readonly double[] inputGrad = new double[spec.Latents];     // Σ_b ∂L/∂⟨w, x − b_dec⟩: its contribution to ∂L/∂b_dec

    public void Gradients()
    {
        foreach (var gradient in (double[][])[WEncGrad, WDecGrad, BEncGrad, BDecGrad, ThresholdGrad, BMagGrad, RMagGrad,
            TieScaleGrad, WSkipGrad, inputGrad])
            Array.Clear(gradient);
        AddDeadGradients();
        for (var b = 0; b < B; b++)
        {
            for (var f = 0; f < n; f++) EntryGradient(b, f);
            for (var i = 0; i < D; i++)
            {
                var e = weighted[b * M * D + i] + (LiveGate ? gateResidual[b * D + i] : 0);
                BDecGrad[i] += 2 * scalars.LossScale * e;
                if (spec.Transcoder is { Skip: true })
                    for (var j = 0; j < d; j++) WSkipGrad[i * d + j] += 2 * scalars.LossScale * e * X[b * d + j];
            }
        }
        if (spec.PreEncoderBias)
            for (var f = 0; f < n; f++)
                for (var i = 0; i < d; i++) BDecGrad[i] -= inputGrad[f] * WEnc[f * d + i];
        JoinTied();
    }

    bool LiveGate => spec.Selection is Selection.Gated { LiveAuxDecoder: true };

    bool WeightLearns => spec.Penalty is { Weight: PenaltyWeight.DecoderNorm };

    void EntryGradient(int b, int f)
    {
        var at = b * n + f;
        double z = PreActs[at], value = Value[at], omega = PenaltyWeightOf(f);
        var e = weighted.AsSpan((b * M + level[at]) * D, D);
        double g = 0;
        for (var i = 0; i < D; i++) g += 2 * scalars.LossScale * e[i] * rounding.Gathered(WDec[f * D + i]);
        if (value != 0)
            for (var i = 0; i < D; i++) WDecGrad[f * D + i] += 2 * scalars.LossScale * value * rounding.Gathered(e[i]);

        if (spec.Selection is Selection.Gated)
        {
            GatedGradient(b, f, g);
            return;
        }
        var (byValue, byWeight) = PenaltySlope(value, omega);
        if (value != 0 || spec.Selection is Selection.JumpRelu) g += scalars.Penalty * byValue;
        if (value != 0)
        {
            if (WeightLearns) AddNorm(f, scalars.Penalty * byWeight);
            AddInput(b, f, g, toBias: true);
        }
        if (spec.Selection is Selection.JumpRelu jump) JumpGradient(b, f, z, g, jump);
    }

    /// <summary>The kernel's estimate of how the loss moves with θ (arXiv 2407.14435), and the pre-activation
    /// loss.</summary>
    void JumpGradient(int b, int f, double z, double g, Selection.JumpRelu jump)
    {
        double theta = Theta(f), epsilon = Bandwidth(f), chain = jump.Form == ThresholdForm.Log ? theta : 1;
        var density = Kernel(jump.Kernel, (z - theta) / epsilon) / epsilon;
        var step = g * theta + StepPenalty;
        ThresholdGrad[f] -= density * step * chain;
        if (jump.InputGradient) AddInput(b, f, density * step, toBias: true);
        if (!PreActApplies(f) || !(z < theta)) return;
        var omega = DecoderNormOf(f);
        ThresholdGrad[f] += scalars.PreAct * omega * (jump.Form == ThresholdForm.Direct ? 1 : theta);
        AddInput(b, f, -scalars.PreAct * omega, toBias: true);
        AddNorm(f, scalars.PreAct * (theta - z));
    }

    /// <summary>The reconstruction trains the magnitude; the penalty and the auxiliary reconstruction train the gate
    /// (arXiv 2404.16014).</summary>
    void GatedGradient(int b, int f, double g)
    {
        var at = b * n + f;
        var pi = PreActs[at];
        if (!(pi > 0)) return;
        var (byValue, byWeight) = PenaltySlope(Gate[at], PenaltyWeightOf(f));
        if (WeightLearns) AddNorm(f, scalars.Penalty * byWeight);
        var gate = scalars.Penalty * byValue;
        for (var i = 0; i < D; i++)
            gate += 2 * scalars.LossScale * gateResidual[b * D + i] * rounding.Gathered(WDec[f * D + i]);
        if (LiveGate)
            for (var i = 0; i < D; i++)
                WDecGrad[f * D + i] += 2 * scalars.LossScale * Gate[at] * rounding.Gathered(gateResidual[b * D + i]);
        BEncGrad[f] += gate;
        var magnitude = Value[at] != 0 ? g : 0;
        BMagGrad[f] += magnitude;
        RMagGrad[f] += magnitude * Math.Exp(RMag[f]) * (pi - BEnc[f]);
        AddInput(b, f, gate + Math.Exp(RMag[f]) * magnitude, toBias: false);
    }

    /// <summary>∂L/∂⟨w_f, x_b − b_dec⟩.</summary>
    void AddInput(int b, int f, double delta, bool toBias)
    {
        if (toBias) BEncGrad[f] += delta;
        inputGrad[f] += delta;
        for (var i = 0; i < d; i++) WEncGrad[f * d + i] += delta * CenteredRow(b, i);
    }

    /// <summary>∂L/∂ω_f to the decoder row.</summary>
    void AddNorm(int f, double slope)
    {
        if (slope == 0) return;
        foreach (var (first, width) in SiteColumns())
        {
            var norm = SiteNorm(f, first, width);
            if (norm > 0)
                for (var i = first; i < first + width; i++) WDecGrad[f * D + i] += slope * WDec[f * D + i] / norm;
        }
    }

    /// <summary>Tied weights, WEnc = s WDec: adds s ∂L/∂WEnc to ∂L/∂WDec; ∂L/∂s = Σ ∂L/∂WEnc · WDec.</summary>
    void JoinTied()
    {
        if (spec.Tying == Tying.Untied) return;
        for (var f = 0; f < n; f++)
            for (var i = f * d; i < (f + 1) * d; i++)
            {
                TieScaleGrad[f] += spec.Tying == Tying.Scaled ? WEncGrad[i] * WDec[i] : 0;
                WDecGrad[i] += TieScale[f] * WEncGrad[i];
                WEncGrad[i] = 0;
            }
    }
}
