using CudaSae.Lab.Verification;

namespace CudaSae.Tests;

/// <summary>The reference's gradients compared with central differences of its own loss, for every method, term and
/// parameter.</summary>
public class GradientTests
{
    const double H = 1e-6;

    public static TheoryData<string> Cases => [.. VerifyCase.All.Where(c => !c.Dense).Select(c => c.Name)];

    /// <summary>θ moves step functions, whose derivative is 0 almost everywhere. ThresholdGradientTests covers its
    /// estimates.</summary>
    [Theory]
    [MemberData(nameof(Cases))]
    public void GradientsAreDerivativesOfTheLoss(string name)
    {
        var c = VerifyCase.All.First(c => c.Name == name);
        var spec = Small(c.Spec);
        var problem = new SmallProblem(spec, rows: 5, c.Config);
        var reference = new Reference(spec, problem.Config, Rounding.None);
        reference.SetParameters(problem.Parameters);
        var scalars = problem.Scalars(3);
        c.Adjust?.Invoke(ref scalars);
        (scalars.Step, scalars.Inference, scalars.AllDead) = (3, 0, 0);
        var silent = spec.Aux is not null || spec.Ghost is not null || spec.PreAct is { DeadOnly: true };
        if (silent)
            for (var f = 0; f < spec.Latents; f++)
            {
                reference.LastFired[f] = f % 5 == 0 ? 0 : 2;
                if (f % 5 == 0) reference.BEnc[f] = spec.Ghost is null ? -4 : -1;
            }
        var batch = problem.Batch();
        reference.Forward(batch, scalars);
        reference.Detached = (double[])reference.Residual.Clone();
        reference.DeadLoss();
        reference.DetachedScales = (double[])reference.GhostScales.Clone();
        reference.Gradients();

        Check(reference.WDec, reference.WDecGrad, "w_dec");
        if (spec.Tying == Tying.Untied) Check(reference.WEnc, reference.WEncGrad, "w_enc");
        Check(reference.BEnc, reference.BEncGrad, "b_enc");
        Check(reference.BDec, reference.BDecGrad, "b_dec");
        Check(reference.WSkip, reference.WSkipGrad, "w_skip");
        Check(reference.BMag, reference.BMagGrad, "b_mag");
        Check(reference.RMag, reference.RMagGrad, "r_mag");
        if (spec.Tying == Tying.Scaled) Check(reference.TieScale, reference.TieScaleGrad, "tie scale");

        void Check(double[] weights, double[] gradients, string what)
        {
            var expected = (double[])gradients.Clone();
            for (var i = 0; i < weights.Length; i++)
            {
                var w = weights[i];
                weights[i] = w + H;
                var up = Loss();
                weights[i] = w - H;
                var down = Loss();
                weights[i] = w;
                var difference = (up - down) / (2 * H);
                Assert.True(Math.Abs(expected[i] - difference) <= 2e-6 * (1 + Math.Abs(expected[i])),
                    $"{what} {i}: gradient {expected[i]}, difference {difference}");
            }
        }

        double Loss()
        {
            reference.ApplyTying();
            reference.Forward(batch, scalars);
            reference.DeadLoss();
            return TotalLoss(spec, scalars, reference, frozenGate: problem);
        }
    }

    /// <summary>Computes the whole loss as the gradient treats it: parts behind a stop-gradient are constant.</summary>
    static double TotalLoss(SaeSpec spec, in StepScalars s, Reference r, SmallProblem frozenGate)
    {
        var sums = r.Sums;
        var loss = s.LossScale * sums.LevelError + s.PreAct * sums.PreAct + s.LossScale * sums.Ghost;
        if (spec.Penalty is not (SparsityPenalty.L0 or SparsityPenalty.TargetL0))
            loss += s.Penalty * DetachedPenalty(spec, s, r, frozenGate);
        if (spec.Selection is Selection.Gated gated)
            loss += s.LossScale * (gated.LiveAuxDecoder ? sums.GateError : FrozenGateError(spec, r, frozenGate));
        if (spec.Aux is { } aux && r.Window.Length > 0)
            loss += s.AuxCoefficient * Math.Min((double)r.Window.Length / aux.K,
                1) * sums.AuxSquaredError / sums.AuxVariance;
        return loss;
    }

    /// <summary>With a detached norm, ω keeps the value of the weights at the start.</summary>
    static double DetachedPenalty(SaeSpec spec, in StepScalars s, Reference r, SmallProblem start)
    {
        if (spec.Penalty is not { Weight: PenaltyWeight.DecoderNormDetached }) return r.Sums.Penalty;
        double sum = 0;
        for (var e = 0; e < r.Value.Length; e++)
        {
            double norm = 0;
            foreach (var w in start.Parameters.WDec[e % spec.Latents]) norm += (double)w * w;
            sum += r.Value[e] * Math.Sqrt(norm);
        }
        return sum;
    }

    /// <summary>‖relu(π) sg[WDec] + sg[b_dec + WSkip x] − x‖² with the decoder that the problem started with.</summary>
    static double FrozenGateError(SaeSpec spec, Reference r, SmallProblem start)
    {
        int n = spec.Latents, D = spec.OutputWidth;
        double error = 0;
        for (var b = 0; b < r.Gate.Length / n; b++)
            for (var i = 0; i < D; i++)
            {
                double xhat = start.Parameters.BDec[i];
                for (var j = 0; j < spec.InputWidth && start.Parameters.WSkip.Rows > 0; j++)
                    xhat += r.X[b * spec.InputWidth + j] * start.Parameters.WSkip[i][j];
                for (var f = 0; f < n; f++) xhat += r.Gate[b * n + f] * start.Parameters.WDec[f][i];
                error += Math.Pow(xhat - r.Y[b * D + i], 2);
            }
        return error;
    }

    static SaeSpec Small(SaeSpec spec) => spec with
    {
        InputWidth = 8,
        Latents = 20,
        Selection = spec.Selection switch
        {
            Selection.TopK top => top with { K = Math.Min(4, top.K), InitialK = top.InitialK > 0 ? 12 : 0 },
            Selection.GroupMax => new Selection.GroupMax(4),
            Selection.JumpRelu jump => jump with { InputGradient = false },
            var other => other,
        },
        Sites = spec.Sites is null ? null : [3, 5],
        Transcoder = spec.Transcoder is { } t ? t with { OutputWidth = 6 } : null,
        Nested = spec.Nested switch
        {
            Nesting.Prefixes { Random: false } p => p with { Widths = [.. p.Widths.Select((_, m) => 3 + 3 * m)] },
            Nesting.Budgets { Largest: > 20 } b => b with { Ks = [4, 16], Report = 4 },
            Nesting.Budgets { Report: 0 } b => b with { Ks = [.. b.Ks[..4]], Weights = [.. b.Weights[..4]] },
            var other => other,
        },
        Aux = spec.Aux is { } aux ? aux with { K = Math.Min(6, aux.K) } : null,
    };

    [Fact]
    public void ProjectedStepKeepsDecoderRowsUnit()
    {
        var problem = new SmallProblem();
        var reference = new Reference(problem.Spec, problem.Config, Rounding.None);
        reference.SetParameters(problem.Parameters);
        for (uint t = 1; t <= 5; t++) reference.Step(problem.Batch(), problem.Scalars(t));
        for (var f = 0; f < problem.Spec.Latents; f++) Assert.Equal(1, reference.DecoderNormOf(f), 1e-12);
    }

    [Fact]
    public void TheWindowRotatesThroughDeadLatentsThatOutnumberIt()
    {
        var lastFired = new int[10];
        Assert.Equal([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], Reference.WindowOf(lastFired, 3, 2, 10));
        Assert.Equal([2, 3, 4, 5], Reference.WindowOf(lastFired, 3, 2, 4));       // starts at 3·4 mod 10
        Assert.Equal([8, 9, 0, 1], Reference.WindowOf(lastFired, 7, 2, 4));
        Assert.Empty(Reference.WindowOf(lastFired, 2, 2, 4));
    }
}
