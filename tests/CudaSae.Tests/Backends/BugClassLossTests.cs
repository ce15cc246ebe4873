namespace CudaSae.Tests;

/// <summary>Known bugs of other trainers in losses, penalties and thresholds; see
/// <see cref="BugClassTests"/>.</summary>
[Collection("emulator")]
[Trait("speed", "slow")]
public class BugClassLossTests : BugClassProblem
{
    /// <summary>Explained variance is measured about the mean, not about zero, so data far from the origin are not
    /// easier. The sum does not cancel there: deviations from one of at most 64 rows are rounded to float32, which is
    /// 2⁻²⁴ · 2 √64 of the result. The encoder is silent and b_dec is 0, so that e = −y and AuxK's normaliser is the
    /// same sum; it may differ by the 1e-4 that decision 10 allows.</summary>
    [Theory, MemberData(nameof(TargetsAndOffsets))]
    public void VarianceIsAroundTheMean(string target, float offset)
    {
        const int Rows = 130;       // blocks of 32 and of 64 rows, and two more rows
        using var run = new Run(target, TopK(new(8, 0.5f, 16)), Sgd, Rows);
        var batch = Array.ConvertAll(run.Problem.Batch(), x => x + offset);
        var sums = run.Step(batch, Silence, rate: 0);
        var expected = (double)SpreadTests.Spread(batch, 24);
        Assert.Equal(expected, sums.Spread, 1e-6 * expected);
        Assert.Equal(expected, sums.AuxVariance, 1e-4 * expected);
    }

    public static TheoryData<string, float> TargetsAndOffsets
    {
        get
        {
            var data = new TheoryData<string, float>();
            foreach (var target in Targets.Names.Where(t => t is "cpu" or "emulator, schedule 7" or "cuda"))
                foreach (var offset in (float[])[0, 16, 1e5f, 1e6f]) data.Add(target, offset);
            return data;
        }
    }

    /// <summary>Equal rows have no variance for any value and any rounding: FVU is undefined, and AuxK learns
    /// nothing.</summary>
    [Theory, MemberData(nameof(OneOfEach))]
    public void EqualRowsHaveNoVariance(string target)
    {
        using var run = new Run(target, TopK(new(8, 0.5f, 16)), Sgd, rows: 130);
        var batch = Enumerable.Range(0, 130 * 24).Select(i => 0.1f + i % 24 * 0.3f).ToArray();
        for (var t = 0; t < 2; t++)
        {
            var sums = run.Step(batch, Silence);
            Assert.Equal((0, 0), (sums.Spread, sums.AuxVariance));
            var metrics = StepMetrics.From(sums, run.Problem.Scalars((uint)t + 1), run.Problem.Spec,
                run.Backend.Config, 0, null);
            Assert.Null(metrics.Fvu);
            Assert.True(double.IsFinite(metrics.Loss) && metrics.AuxLoss == 0);
        }
        using var after = run.Read();
        for (var f = 0; f < 60; f++) Assert.True(float.IsFinite(after.BEnc[f]));
    }

    /// <summary>The loss is a mean over rows: a batch that holds every row twice has the same gradients.</summary>
    [Theory, MemberData(nameof(TargetNames))]
    public void LossDoesNotGrowWithTheBatch(string target)
    {
        using Run once = new(target, TopK(), Sgd, rows: 8), twice = new(target, TopK(), Sgd, rows: 16);
        var batch = once.Problem.Batch();
        var (a, b) = (once.Step(batch), twice.Step([.. batch, .. batch]));
        Assert.Equal(a.GradientNorm, b.GradientNorm, 1e-3 * a.GradientNorm);
        var (less, more) = (Schedules.Scalars(Jump(), Sgd with { BatchRows = 8, Vectors = 8000 }, new(1, 1), 1),
            Schedules.Scalars(Jump(), Sgd with { BatchRows = 16, Vectors = 16000 }, new(1, 1), 1));
        Assert.Equal((less.LossScale, less.Penalty), (2 * more.LossScale, 2 * more.Penalty));
    }

    /// <summary>The step function applies to the pre-activation: θ has a gradient from a latent just below it, although
    /// that latent's value is 0.</summary>
    [Theory, MemberData(nameof(TargetNames))]
    public void ThresholdLearnsFromBelow(string target)
    {
        foreach (var dense in new[] { false, true })
        {
            using var run = new Run(target, Jump(), Sgd);
            run.Step(new float[16 * 24], p =>
            {
                for (var f = 0; f < 60; f++) (p.BEnc[f], p.Threshold[f]) = (0.9f, 1); Array.Clear(p.BDec);
            }, dense: dense);
            using var after = run.Read();
            // λ K(−0.2)/ε pushes θ up, because nothing fired
            Assert.All(after.Threshold, theta => Assert.True(theta > 1.01f));
        }
    }

    /// <summary>The gradient of log θ has the factor θ exactly once.</summary>
    [Theory, MemberData(nameof(TargetNames))]
    public void LogThresholdTakesTheChainFactorOnce(string target)
    {
        var moved = new double[3];
        foreach (var form in Enum.GetValues<ThresholdForm>())
        {
            using var run = new Run(target, Jump(form), Sgd);
            run.Step(new float[16 * 24], p =>
            {
                for (var f = 0; f < 60; f++) (p.BEnc[f], p.Threshold[f]) = (1.9f, 2); Array.Clear(p.BDec);
            }, rate: 1e-3f);
            using var after = run.Read();
            moved[(int)form] = form == ThresholdForm.Direct ? after.Threshold[0] - 2
                : Math.Log(after.Threshold[0] / 2.0);
        }
        Assert.Equal(2 * moved[(int)ThresholdForm.Direct], moved[(int)ThresholdForm.Log], 1e-2 * Math.Abs(moved[0]));
        Assert.Equal(moved[(int)ThresholdForm.Direct], moved[(int)ThresholdForm.LogUnchained],
            1e-2 * Math.Abs(moved[0]));
    }

    /// <summary>A penalty weighted by decoder norms has a gradient on them, unless they are detached. Decoder rows come
    /// in opposite pairs, so that the reconstruction is perfect and has no gradient.</summary>
    [Theory, MemberData(nameof(TargetNames))]
    public void APenaltyByDecoderNormShrinksTheNorm(string target)
    {
        foreach (var weight in new[] { PenaltyWeight.DecoderNorm, PenaltyWeight.DecoderNormDetached })
            foreach (var selection in new Selection[] { new Selection.Relu(60), new Selection.Gated(Room: 60) })
                foreach (var dense in new[] { false, true })
                {
                    var spec = TopK() with
                    {
                        Selection = selection,
                        Penalty = new SparsityPenalty.L1 { Coefficient = 0.3f, WarmupFraction = 0, Weight = weight }
                    };
                    using var run = new Run(target, spec, Sgd);
                    var norms = new double[60];
                    run.Step(new float[16 * 24], p =>
                    {
                        Array.Clear(p.BDec);
                        Array.Clear(p.BMag);
                        Array.Fill(p.BEnc, 1);
                        for (var f = 0; f < 60; f++)
                        {
                            for (var i = 0; i < 24 && f % 2 == 1; i++) p.WDec[f][i] = -p.WDec[f - 1][i];
                            norms[f] = Norm(p, f);
                        }
                    }, dense: dense);
                    using var after = run.Read();
                    // rate · λ · f, with f = 1 on every row
                    for (var f = 0; f < 60; f++)
                        Assert.Equal(norms[f] - (weight == PenaltyWeight.DecoderNorm ? 0.25 * 0.3 : 0), Norm(after, f),
                            2e-3);
                }

        static double Norm(SaeParameters p, int f) => Math.Sqrt(p.WDec[f].ToArray().Sum(w => (double)w * w));
    }
}
