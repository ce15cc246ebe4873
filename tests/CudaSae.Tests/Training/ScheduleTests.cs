using CudaSae.Backends.Cpu;
using CudaSae.Lab.Verification;

namespace CudaSae.Tests;

/// <summary>Values that change during a run: λ, p, k, prefixes, resampling, and losses that train some parameters
/// only.</summary>
public class ScheduleTests
{
    static readonly TrainConfig Hundred = new() { BatchRows = 1, Vectors = 100 };
    static readonly SaeSpec TopK = new() { InputWidth = 8, Latents = 64, Selection = new Selection.TopK(4) };

    [Fact]
    public void PenaltyRisesAndStays()
    {
        var spec = TopK with { Penalty = new SparsityPenalty.L1 { Coefficient = 2, WarmupFraction = 0.5f } };
        Assert.Equal(0.02, Schedules.Penalty(spec, Hundred, 1), 1e-6);
        Assert.Equal(1, Schedules.Penalty(spec, Hundred, 26), 0.03);
        Assert.Equal(2, Schedules.Penalty(spec, Hundred, 80), 1e-6);
    }

    [Fact]
    public void PowerFallsInEqualStepsToItsEnd()
    {
        var lp = new SparsityPenalty.Lp(0.2f, AnnealFrom: 0.2f, AnnealTo: 0.6f, Changes: 4) { Coefficient = 1 };
        var powers = Enumerable.Range(1, 100).Select(t => Schedules.Power(lp, Hundred, t)).ToArray();
        Assert.Equal(1, powers[0]);
        Assert.Equal(0.2f, powers[^1], 1e-6f);
        Assert.Equal([1f, 0.8f, 0.6f, 0.4f, 0.2f], powers.Distinct().Select(p => MathF.Round(p, 4)));
        var scalars = Schedules.Scalars(TopK with { Penalty = lp }, Hundred, new(1, 1), 25);
        Assert.Equal(scalars.Power - 0.2, scalars.NextPower, 1e-6);
    }

    [Fact]
    public void KFallsToItsEnd()
    {
        var spec = TopK with { Selection = new Selection.TopK(4, InitialK: 24, AnnealFraction: 0.5f) };
        Assert.Equal(24u, Schedules.ActiveNow(spec, Hundred, 1));
        Assert.InRange(Schedules.ActiveNow(spec, Hundred, 25), 13u, 15u);
        Assert.Equal(4u, Schedules.ActiveNow(spec, Hundred, 60));
        Assert.Equal(4u, Schedules.Inference(spec, Hundred, new(1, 1)).K);
    }

    [Fact]
    public void RandomPrefixesAscendChangeAndEndWithAll()
    {
        var spec = TopK with { Nested = new Nesting.Prefixes([1, 1, 1], Random: true) };
        var seen = new HashSet<string>();
        for (var t = 1; t <= 50; t++)
        {
            var s = Schedules.Scalars(spec, Hundred, new(1, 1), t);
            uint[] widths = [s.Prefix[0], s.Prefix[1], s.Prefix[2], s.Prefix[3]];
            Assert.Equal(4u, s.PrefixCount);
            Assert.Equal(64u, widths[3]);
            Assert.True(widths[0] >= 1 && widths.SequenceEqual(widths.Order()));
            seen.Add(string.Join(' ', widths));
        }
        Assert.True(seen.Count > 40);
    }

    [Fact]
    public void RateDropsAfterResamplingAndReturns()
    {
        var resampling = new Resampling(20, 2, RecoverySteps: 10);
        Assert.Equal(1, resampling.RateFactor(20));
        Assert.Equal(0.1, resampling.RateFactor(21), 1e-9);
        Assert.InRange(resampling.RateFactor(26), 0.5, 0.6);
        Assert.Equal(1, resampling.RateFactor(31));
        Assert.Equal(0.1, resampling.RateFactor(41), 1e-9);
        Assert.Equal(1, resampling.RateFactor(61));     // only twice
        Assert.Equal([20L, 40L], Enumerable.Range(1, 100).Select(t => (long)t).Where(resampling.IsDue));
    }

    /// <summary>Latents that can never fire get the directions of inputs, at a fifth of the living latents' norm.
    /// Protected latents stay.</summary>
    [Fact]
    public void ResamplingPointsDeadLatentsAtInputs()
    {
        using var folder = new TemporaryFolder();
        var random = new Random(1);
        using (var stream = File.Create(folder["x.npy"]))
        {
            stream.Write(NpyFile.MakeHeader("<f4", 64, 8));
            for (var i = 0; i < 64 * 8; i++) stream.Write(BitConverter.GetBytes((float)(random.NextDouble() - 0.5)));
        }
        using var source = ActivationSource.Open([folder["x.npy"]]);
        var config = new TrainConfig
        {
            BatchRows = 16, Vectors = 16 * 5, LearningRate = 1e-6f, ScaleInputs = false,
            DecoderBias = DecoderBiasInit.Zero,
            Resampling = new(5, 1, Inputs: 64, Protected: 0.5f),
        };
        var spec = TopK with { PreEncoderBias = false };
        using var backend = new CpuBackend(spec, config, source.Type, 2);
        var start = new TrainingStart(source, 64, spec, config);
        using var parameters = start.Weights(spec, config);
        for (var f = 0; f < 40; f++) parameters.BEnc[f] = -100;
        backend.SetParameters(parameters);
        var observer = new RecordingObserver();
        new Trainer(backend, source, 64, start.Scale, null, observer).Run(default, CancellationToken.None);
        backend.GetParameters(parameters);
        var living = Enumerable.Range(40, 24).Average(f => Norm(parameters.WEnc[f]));
        var resampled = 0;
        var row = new float[8];
        for (var f = 0; f < 40; f++)
        {
            if (config.Resampling.IsProtected(config.Seed, f))
            {
                Assert.Equal(-100, parameters.BEnc[f], 1e-3f);
                continue;
            }
            resampled++;
            Assert.Equal(0, parameters.BEnc[f]);
            Assert.Equal(0.2 * living, Norm(parameters.WEnc[f]), 0.05 * living);
            Assert.Equal(1, Norm(parameters.WDec[f]), 1e-5);
            double best = 0;
            for (var b = 0; b < 64; b++)
            {
                source.ReadRow(b, row);
                double dot = 0;
                for (var i = 0; i < 8; i++) dot += row[i] * parameters.WDec[f][i];
                best = Math.Max(best, dot / Norm(row));
            }
            Assert.Equal(1, best, 1e-5);
        }
        Assert.InRange(resampled, 8, 32);
        Assert.Contains(observer.Notes,
            line => line.Contains($"{resampled} latents resampled") && line.Contains("protected"));
    }

    static double Norm(ReadOnlySpan<float> row)
    {
        double sum = 0;
        foreach (var v in row) sum += (double)v * v;
        return Math.Sqrt(sum);
    }

    /// <summary>A ReLU SAE converted to a gated SAE computes the same function. Fine-tuning changes the named
    /// parameters and nothing else.</summary>
    [Theory]
    [InlineData(nameof(FinetuneKind.Decoder))]
    [InlineData(nameof(FinetuneKind.DecoderAndScales))]
    [InlineData(nameof(FinetuneKind.RescaleShift))]
    public void FinetuningMovesOnlyTheNamedParameters(string kindName)
    {
        var kind = Enum.Parse<FinetuneKind>(kindName);
        var relu = new SaeSpec
        {
            InputWidth = 12, Latents = 30, Selection = new Selection.Relu(30),
            Penalty = new SparsityPenalty.L1 { Coefficient = 1 }, DecoderNorm = DecoderNorm.Free
        };
        using var original = new SmallProblem(relu).Parameters;
        var (spec, weights, trainable) = Finetuning.Prepare(relu, original, kind);
        var problem = new SmallProblem(spec, 16, new() { Trainable = trainable });
        var reference = new Reference(spec, problem.Config, Rounding.None);
        reference.SetParameters(weights);
        var batch = problem.Batch();
        var scalars = problem.Scalars(1);
        reference.Forward(batch, scalars);
        var before = new Reference(relu, problem.Config, Rounding.None);
        before.SetParameters(original);
        before.Forward(batch, scalars);
        Assert.Equal(before.Sums.SquaredError, reference.Sums.SquaredError, 1e-6 * before.Sums.SquaredError);
        var (enc, dec, gate) =
            ((double[])reference.WEnc.Clone(), (double[])reference.WDec.Clone(), (double[])reference.BEnc.Clone());
        for (uint t = 1; t <= 30; t++) reference.Step(batch, problem.Scalars(t, 0.003f));
        reference.Forward(batch, scalars);
        Assert.True(reference.Sums.SquaredError < 0.98 * before.Sums.SquaredError);
        Assert.Equal(enc, reference.WEnc);
        Assert.Equal(gate, reference.BEnc);
        Assert.Equal(kind == FinetuneKind.RescaleShift, dec.SequenceEqual(reference.WDec));
    }

    [Fact]
    public void ImpossibleCombinationsAreRefusedWithTheReason()
    {
        Refused(TopK with { Penalty = new SparsityPenalty.L0 { Coefficient = 1 } }, "JumpReLU");
        Refused(TopK with { PreAct = new() }, "JumpReLU");
        Refused(TopK with { Aux = new(4, 1, 1), Ghost = new(1) }, "choose one");
        Refused(TopK with { Selection = new Selection.Relu(8), Nested = new Nesting.Budgets([4, 8], [1, 1]) },
            "use TopK");
        Refused(TopK with { Selection = new Selection.BatchTopK(4), Nested = new Nesting.Budgets([2, 4], [1, 1]) },
            "use TopK");
        Refused(TopK with { Nested = new Nesting.Prefixes([32, 16]) }, "ascending");
        Refused(TopK with { Transcoder = new(4) }, "PreEncoderBias");
        Refused(TopK with { Transcoder = new(4), PreEncoderBias = false, Tying = Tying.Tied }, "Untied");
        Refused(TopK with { Sites = [4, 4] }, "Free");
        Refused(TopK with { Sites = [4, 5], DecoderNorm = DecoderNorm.Free }, "add up to 8");
        Refused(TopK with { Selection = new Selection.GroupMax(7) }, "divisor");
        Refused(TopK with { Selection = new Selection.TopK(65) }, "1 to Latents = 64");
        Refused(TopK with
        {
            Selection = new Selection.AbsTopK(4),
            Penalty = new SparsityPenalty.L1 { Coefficient = 1 }
        },
            "signs");
        Refused(TopK with { Selection = new Selection.JumpRelu(Bandwidth: 0) }, "Bandwidth");

        static void Refused(SaeSpec spec, string reason) =>
            Assert.Contains(reason, Assert.Throws<SaeException>(() => spec.Validate()).Message);
    }
}
