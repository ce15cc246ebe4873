using CudaSae.Model;

namespace CudaSae.Lab.Verification;

/// <summary>decode, the reconstructions' losses, and the penalties on the code.</summary>
sealed partial class Reference
{
    // [B, M, D] Σ_{m ≥ l} w_m e_m
    readonly double[] weighted = new double[(long)config.BatchRows * spec.Levels * spec.OutputWidth];
    readonly double[] gateResidual = new double[(long)config.BatchRows * spec.OutputWidth];             // [B, D]

    /// <summary>w_m.</summary>
    double LevelWeight(int m) => spec.Nested switch
    {
        Nesting.Budgets budgets => budgets.Weights[m],
        Nesting.Prefixes { Mean: true } => 1.0 / M,
        _ => 1,
    };

    /// <summary>The reconstruction that is evaluated: the whole one, or the budget that the spec names.</summary>
    int ReportLevel =>
        spec.Nested is Nesting.Budgets { Report: > 0 } budgets ? Array.IndexOf(budgets.Ks, budgets.Report) : M - 1;

    void Decode()
    {
        var mean = new double[D];
        var e = new double[M];
        for (var b = 0; b < B; b++)
            for (var i = 0; i < D; i++)
            {
                var xhat = Base(b, i);
                for (var m = 0; m < M; m++)
                {
                    for (var f = 0; f < n; f++)
                        if (Value[b * n + f] != 0 && level[b * n + f] == m)
                            xhat += Value[b * n + f] * rounding.Gathered(WDec[f * D + i]);
                    e[m] = xhat - Y[b * D + i];
                    Sums.LevelError += LevelWeight(m) * e[m] * e[m];
                }
                double suffix = 0;
                for (var m = M - 1; m >= 0; m--) weighted[(b * M + m) * D + i] = suffix += LevelWeight(m) * e[m];
                var whole = Residual[b * D + i] = e[ReportLevel];
                Sums.SquaredError += whole * whole;
                Sums.ReconstructionNorm += Math.Pow(whole + Y[b * D + i], 2);
                Sums.SquaredNorm += Y[b * D + i] * Y[b * D + i];
                mean[i] += Y[b * D + i] / B;
                if (spec.Selection is Selection.Gated) DecodeGate(b, i);
            }
        for (var at = 0; at < B * D; at++) Sums.Spread += Math.Pow(Y[at] - mean[at % D], 2);
    }

    /// <summary>What x̂ is before any latent fires: b_dec, and the skip connection.</summary>
    double Base(int b, int i)
    {
        var sum = BDec[i];
        if (spec.Transcoder is { Skip: true })
            for (var j = 0; j < d; j++) sum += X[b * d + j] * WSkip[i * d + j];
        return sum;
    }

    void DecodeGate(int b, int i)
    {
        var xhat = Base(b, i);
        for (var f = 0; f < n; f++) xhat += Gate[b * n + f] * rounding.Gathered(WDec[f * D + i]);
        var e = gateResidual[b * D + i] = xhat - Y[b * D + i];
        Sums.GateError += e * e;
    }

    /// <summary>The penalized number of an entry: relu(π) of Gated, else its value.</summary>
    double Penalized(int at) => spec.Selection is Selection.Gated ? Gate[at] : Value[at];

    void Penalties()
    {
        for (var at = 0; at < B * n; at++)
        {
            var f = at % n;
            Sums.Penalty += PenaltyOf(Penalized(at), PenaltyWeightOf(f), scalars.Power);
            if (spec.Penalty is SparsityPenalty.Lp)
                Sums.NextPenalty += PenaltyOf(Penalized(at), PenaltyWeightOf(f), scalars.NextPower);
            if (PreActApplies(f) && PreActs[at] < Theta(f)) Sums.PreAct += (Theta(f) - PreActs[at]) * DecoderNormOf(f);
        }
        if (spec.Penalty is SparsityPenalty.TargetL0 target)
            Sums.Penalty = B * Math.Pow((double)Sums.Active / B / target.Target - 1, 2);
    }

    double PenaltyOf(double value, double omega, double power) => value == 0 ? 0 : spec.Penalty switch
    {
        SparsityPenalty.L1 => value * omega,
        SparsityPenalty.Tanh tanh => Math.Tanh(tanh.Scale * value * omega),
        SparsityPenalty.Lp => Math.Pow(value * omega, power),
        SparsityPenalty.L0 => 1,
        _ => 0,
    };

    /// <summary>∂/∂f and ∂/∂ω of the penalty of one entry. A JumpReLU latent below its threshold has f = 0, where tanh
    /// and L1 have their slope.</summary>
    (double ByValue, double ByWeight) PenaltySlope(double value, double omega)
    {
        switch (spec.Penalty)
        {
            case SparsityPenalty.L1: return (omega, value);
            case SparsityPenalty.Tanh tanh:
                var slope = tanh.Scale * (1 - Math.Pow(Math.Tanh(tanh.Scale * value * omega), 2));
                return (slope * omega, slope * value);
            case SparsityPenalty.Lp when value > 0:
                var power = scalars.Power * Math.Pow(value * omega, scalars.Power - 1);
                return (power * omega, power * value);
            default: return (0, 0);
        }
    }

    /// <summary>What multiplies ∂Σ1[z > θ]: λ, or the slope of λ (L0 / target − 1)².</summary>
    double StepPenalty => spec.Penalty switch
    {
        SparsityPenalty.L0 => scalars.Penalty,
        SparsityPenalty.TargetL0 target =>
            scalars.Penalty * 2 * ((double)Sums.Active / B / target.Target - 1) / target.Target,
        _ => 0,
    };

    bool PreActApplies(int f) =>
        spec.PreAct is { } loss && (!loss.DeadOnly || scalars.Step - 1 - LastFired[f] >= scalars.DeadAfterSteps);

    /// <summary>K(u) of the smoothing kernels: each integrates to 1, but for tails that are cut where they matter no
    /// more.</summary>
    public static double Kernel(SmoothingKernel kernel, double u)
    {
        var a = Math.Abs(u);
        if (a > kernel switch
        {
            SmoothingKernel.Gaussian => 4.5,
            SmoothingKernel.Silverman => 13,
            SmoothingKernel.Cauchy => 32,
            _ => 1
        })
            return 0;
        return kernel switch
        {
            SmoothingKernel.Rectangle => a < 0.5 ? 1 : 0,
            SmoothingKernel.Triangular => Math.Max(0, 1 - a),
            SmoothingKernel.Epanechnikov => a < 1 ? 0.75 * (1 - u * u) : 0,
            SmoothingKernel.Biweight => a < 1 ? 15.0 / 16 * (1 - u * u) * (1 - u * u) : 0,
            SmoothingKernel.Gaussian => Math.Exp(-u * u / 2) / Math.Sqrt(2 * Math.PI),
            SmoothingKernel.Cosine => a <= 1 ? (1 + Math.Cos(Math.PI * u)) / 2 : 0,
            SmoothingKernel.Cauchy => 1 / (Math.PI * (1 + u * u)),
            SmoothingKernel.Silverman => 0.5 * Math.Exp(-a / Math.Sqrt(2)) * Math.Sin(a / Math.Sqrt(2) + Math.PI / 4),
            _ => throw new ArgumentOutOfRangeException(nameof(kernel)),
        };
    }
}
