using System.Runtime.InteropServices;
using CudaSae.Activations;
using CudaSae.Backends;
using CudaSae.Backends.Cpu;
using CudaSae.Feeding;
using CudaSae.Files;
using CudaSae.Lab.Verification;
using CudaSae.Metrics;
using CudaSae.Model;
using CudaSae.Numerics;
using CudaSae.Training;
using Xunit;

namespace CudaSae.Tests;

/// <summary>Mistakes that other trainers of sparse autoencoders made and lived with, each as a property that the
/// mistake breaks, on every target.
/// What VerifierTests and GradientTests would also notice is here by name.</summary>
[Collection("alone")]
[Trait("speed", "slow")]
public class BugClassTests
{
    public static TheoryData<string> TargetNames =>
        [.. Targets.Names.Where(t => !t.Contains("float32") && !t.Contains("candidates") && !t.Contains("one thread"))];

    /// <summary>For problems of thousands of latents.</summary>
    public static TheoryData<string> OneOfEach =>
        [.. Targets.Names.Where(t => t is "cpu" or "emulator, schedule 7" or "cuda")];

    static readonly TrainConfig Sgd = new() { Optimizer = OptimizerKind.Sgd };

    sealed class Run(string target, SaeSpec spec, TrainConfig config, int rows = 16) : IDisposable
    {
        public SmallProblem Problem { get; } = new(spec, rows, config);
        public IBackend Backend { get; } =
            Targets.Create(target)(spec, config with { BatchRows = rows, Vectors = 1000L * rows }, InputType.Float32);
        uint step;

        public StepSums Step(float[]? batch = null, Action<SaeParameters>? before = null, float rate = 0.25f,
            bool dense = false, uint deadAfter = 1, Func<StepScalars, StepScalars>? change = null)
        {
            if (step == 0)
            {
                before?.Invoke(Problem.Parameters);
                Backend.SetParameters(Problem.Parameters);
            }
            Backend.Dense = dense;
            step++;
            var slot = (int)(step & 1);
            SmallProblem.Feed(Backend, slot, batch ?? Problem.Batch());
            var scalars = Problem.Scalars(step, rate, deadAfter);
            new SaeStep(Backend).Run(slot, change is null ? scalars : change(scalars));
            return Backend.ReadSums();
        }

        public SaeParameters Read()
        {
            var p = new SaeParameters(Problem.Spec);
            Backend.GetParameters(p);
            return p;
        }

        public void Dispose()
        {
            Backend.Dispose();
            Problem.Parameters.Dispose();
        }
    }

    static SaeSpec TopK(AuxLoss? aux = null, DecoderNorm norm = DecoderNorm.Free) =>
        new() { InputWidth = 24, Latents = 60, Selection = new Selection.TopK(4), Aux = aux, DecoderNorm = norm };

    static SaeSpec Jump(ThresholdForm form = ThresholdForm.Direct) => new()
    {
        InputWidth = 24, Latents = 60,
        Selection = new Selection.JumpRelu(SmoothingKernel.Triangular, 0.5f, Form: form, Room: 60),
        DecoderNorm = DecoderNorm.Free,
        Penalty = new SparsityPenalty.L0 { Coefficient = 0.3f, WarmupFraction = 0 },
    };

    /// <summary>SAELens before 6.36.2. The auxiliary reconstruction leaves b_dec out: b_dec and the data moved alike
    /// change nothing.</summary>
    [Theory, MemberData(nameof(TargetNames))]
    public void AuxKLeavesTheDecoderBiasOut(string target)
    {
        using Run here = new(target, TopK(new(8, 0.5f, 16)), Sgd), moved = new(target, TopK(new(8, 0.5f, 16)), Sgd);
        double Error(Run run, float by)
        {
            StepSums sums = default;
            for (var t = 0; t < 2; t++)
                sums = run.Step(Array.ConvertAll(run.Problem.Batch(), x => x + by), p =>
                {
                    for (var i = 0; i < 24; i++) p.BDec[i] += by;
                }, rate: 0);
            return sums.AuxSquaredError;
        }
        var plain = Error(here, 0);
        Assert.True(plain > 0);
        Assert.Equal(plain, Error(moved, 2), 0.02 * plain);
    }

    /// <summary>The residual is a constant for AuxK: latents that are not dead learn nothing from it, and dead ones do,
    /// in the encoder too.</summary>
    [Theory, MemberData(nameof(TargetNames))]
    public void AuxKDoesNotReachLivingLatents(string target)
    {
        using Run without = new(target, TopK(), Sgd), with = new(target, TopK(new(8, 0.5f, 16)), Sgd);
        var living = new int[60];
        foreach (var run in new[] { without, with })
        {
            run.Step(rate: 0);
            run.Backend.ReadFirings(living);        // the others are dead in the second step
            run.Step();
        }
        using SaeParameters a = without.Read(), b = with.Read();
        var learned = 0;
        for (var f = 0; f < 60; f++)
            if (living[f] > 0) Assert.True(Same(a, b, f), $"latent {f} is not dead and learned from AuxK");
            else if (!a.WEnc[f].SequenceEqual(b.WEnc[f])) learned++;
        // the fused encoder must not lose that gradient
        Assert.True(learned > 5, $"only {learned} dead encoder rows learn from AuxK");
    }

    static bool Same(SaeParameters a, SaeParameters b, int f) =>
        a.WEnc[f].SequenceEqual(b.WEnc[f]) && a.WDec[f].SequenceEqual(b.WDec[f]) && a.BEnc[f] == b.BEnc[f];

    /// <summary>AuxK's term is scaled by min(dead / k_aux, 1). Four latents are dead, of which two have a code,
    /// whatever k_aux is.</summary>
    [Theory, MemberData(nameof(TargetNames))]
    public void AuxKIsScaledByTheShareOfTheDead(string target)
    {
        float Moved(int k)
        {
            var spec = new SaeSpec
            {
                InputWidth = 8, Latents = 8, Selection = new Selection.TopK(4), Aux = new(k, 0.5f, 16),
                DecoderNorm = DecoderNorm.Free
            };
            using var run = new Run(target, spec, Sgd);
            float[] bias = [2, 1, -1, -2, 4, 5, 6, 7];
            run.Step(before: p =>
            {
                for (var f = 0; f < 8; f++) p.WEnc[f].Clear();
                bias.CopyTo(p.BEnc, 0);
            }, rate: 0);
            Assert.Equal(4, run.Backend.ReadSums().Dead);
            run.Step();
            using var after = run.Read();
            return after.BEnc[0] - bias[0];
        }
        var whole = Moved(4);
        Assert.NotEqual(0, whole, 1e-3);
        Assert.Equal(whole, Moved(2), Math.Abs(1e-2f * whole));
        Assert.Equal(whole / 2, Moved(8), Math.Abs(1e-2f * whole));
        Assert.Equal(whole / 4, Moved(16), Math.Abs(1e-2f * whole));      // more than there are latents
    }

    /// <summary>Explained variance is against the mean, not against zero: data far from the origin are not easy. Nor
    /// does the sum cancel there: deviations from one of at most 64 rows are rounded to float32, which is 2⁻²⁴ · 2 √64
    /// of the result. The encoder is silent and b_dec is 0, so that e = −y and AuxK's normaliser is the same sum; it
    /// may differ by the 1e-4 that decision 10 allows.</summary>
    [Theory, MemberData(nameof(TargetsAndOffsets))]
    public void VarianceIsAroundTheMean(string target, float offset)
    {
        const int Rows = 130;       // blocks of 32 and of 64 rows, and a rest of two
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

    static void Silence(SaeParameters p)
    {
        Array.Fill(p.BEnc, -1);
        for (var f = 0; f < 60; f++) p.WEnc[f].Clear();
        Array.Clear(p.BDec);
    }

    /// <summary>Rows without any variance have none, whatever the number is and however it is rounded: FVU is
    /// undefined, and AuxK learns nothing.</summary>
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

    /// <summary>The loss is a mean over rows: a batch of every row twice has the same gradients.</summary>
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

    /// <summary>The step is taken of the pre-activation: a latent just below θ has a gradient for θ although its value
    /// is 0.</summary>
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
            Assert.All(after.Threshold, theta => Assert.True(theta > 1.01f)); // λ K(−0.2)/ε pushes up: nothing fired
        }
    }

    /// <summary>log θ takes one factor θ, and no second.</summary>
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

    /// <summary>Encoder and decoder, and b_dec and its copies, are separate memory, and so are their moments: training
    /// one leaves the other's bits alone.</summary>
    [Theory, MemberData(nameof(TargetNames))]
    public void ParametersDoNotShareMemory(string target)
    {
        foreach (var part in new[] { Trainable.Encoder, Trainable.Decoder, Trainable.EncoderBias,
            Trainable.DecoderBias })
        {
            using var run = new Run(target, TopK(), new() { Trainable = part });
            using var before = new SmallProblem(TopK(), 16, new()).Parameters;
            run.Step();
            using var after = run.Read();
            var changed = Trainable.None;
            for (var f = 0; f < 60; f++)
            {
                if (!before.WEnc[f].SequenceEqual(after.WEnc[f])) changed |= Trainable.Encoder;
                if (!before.WDec[f].SequenceEqual(after.WDec[f])) changed |= Trainable.Decoder;
            }
            if (!before.BEnc.AsSpan().SequenceEqual(after.BEnc)) changed |= Trainable.EncoderBias;
            if (!before.BDec.AsSpan().SequenceEqual(after.BDec)) changed |= Trainable.DecoderBias;
            Assert.Equal(part, changed);
            foreach (var (name, owner) in new[] { ("enc", Trainable.Encoder), ("dec", Trainable.Decoder),
                ("b_enc", Trainable.EncoderBias), ("b_dec", Trainable.DecoderBias) })
                foreach (var moment in new[] { "adam_m_", "adam_v_" })
                {
                    var array = run.Backend.State.Single(a => a.Name == moment + name);
                    var bytes = States.Of(run.Backend, array);
                    Assert.True(owner == part == bytes.AsSpan().ContainsAnyExcept((byte)0),
                        $"{array.Name} when {part} is trained");
                }
        }
    }

    /// <summary>Resampling writes the weights themselves, empties the moments of those latents alone, and starts their
    /// dead counters anew.</summary>
    [Theory, MemberData(nameof(TargetNames))]
    public void ResetLatentsReplacesWeightsAndMoments(string target)
    {
        using var run = new Run(target, TopK(new(8, 0.5f, 16)), new());
        for (var t = 0; t < 3; t++) run.Step(rate: 0.01f);
        using var fresh = new SaeParameters(TopK() with { Latents = 2, Selection = new Selection.TopK(1) });
        for (var i = 0; i < 2; i++)
        {
            fresh.WEnc[i].Fill(0.5f + i);
            fresh.WDec[i].Fill(0.25f);
            fresh.BEnc[i] = -1 - i;
        }
        run.Backend.ResetLatents([7, 41], fresh, 3);
        using var after = run.Read();
        for (var i = 0; i < 2; i++)
        {
            var f = i == 0 ? 7 : 41;
            Assert.True(after.WEnc[f].SequenceEqual(fresh.WEnc[i]) && after.WDec[f].SequenceEqual(fresh.WDec[i]));
            Assert.Equal(-1 - i, after.BEnc[f]);
        }
        var moments =
            run.Backend.State.Where(a => a.Name.StartsWith("adam_", StringComparison.Ordinal) && a.Shape[0] == 60)
            .ToArray();
        Assert.True(moments.Length >= 6);
        foreach (var array in moments)
        {
            var bytes = States.Of(run.Backend, array);
            for (var f = 0; f < 60; f++)
            {
                var zero = bytes.AsSpan((int)(f * array.Bytes / 60), (int)(array.Bytes / 60))
                    .IndexOfAnyExcept((byte)0) < 0;
                if (f is 7 or 41) Assert.True(zero, $"{array.Name} of latent {f} was not emptied");
                else if (array.Name.Contains("_v_enc") || array.Name.Contains("_v_dec")) Assert.Equal(Fired(f), !zero);
            }
        }
        Assert.Equal(3, States.Numbers<int>(run.Backend, "last_fired")[41]);

        bool Fired(int f) => States.Numbers<float>(run.Backend, "adam_v_b_enc")[f] != 0;
    }

    /// <summary>A batch without positive pre-activations leaves BatchTopK's running threshold where it was; one with
    /// fewer than B·k of them keeps all.</summary>
    [Theory, MemberData(nameof(TargetNames))]
    public void BatchThresholdSurvivesEmptyAndPoorBatches(string target)
    {
        var spec = TopK() with { Selection = new Selection.BatchTopK(4, 0.5f) };
        using var run = new Run(target, spec, Sgd);
        var first = run.Step(new float[16 * 24], p =>
        {
            for (var f = 0; f < 60; f++) p.BEnc[f] = f < 3 ? f + 1 : -1; Array.Clear(p.BDec);
        }, rate: 0);
        Assert.Equal(48, first.Active);             // 16 rows × 3 positive, fewer than 16 × 4
        Assert.Equal(1, first.Threshold);
        var silent = run.Problem.Parameters;
        for (var f = 0; f < 60; f++) silent.BEnc[f] = -1;
        silent.BatchThreshold = 1;
        run.Backend.SetParameters(silent);
        var second = run.Step(new float[16 * 24], rate: 0);
        Assert.Equal(0, second.Active);
        Assert.Equal(1, second.Threshold);
        Assert.True(double.IsFinite(second.GradientNorm));
    }

    /// <summary>The part of a decoder's gradient along its row is removed before the norm is clipped: a purely radial
    /// gradient clips nothing.</summary>
    [Theory, MemberData(nameof(TargetNames))]
    public void ProjectionComesBeforeClipping(string target)
    {
        var config = new TrainConfig
        {
            Optimizer = OptimizerKind.Sgd, Clip = ClipKind.GlobalNorm, ClipNorm = 0.1f, Trainable = Trainable.Decoder
        };
        using var run = new Run(target,
            new()
            {
                InputWidth = 8, Latents = 8, Selection = new Selection.TopK(1), DecoderNorm = DecoderNorm.Unit,
                PreEncoderBias = false
            },
            config, rows: 4);
        var batch = new float[4 * 8];
        for (var b = 0; b < 4; b++) batch[b * 8 + b] = 3;
        var sums = run.Step(batch, p =>
        {
            Array.Clear(p.BEnc);
            Array.Clear(p.BDec);
            for (var f = 0; f < 8; f++)
            {
                p.WEnc[f].Clear();
                p.WDec[f].Clear();
                p.WEnc[f][f] = 0.5f;
                p.WDec[f][f] = 1;
            }
        });
        Assert.True(sums.SquaredError > 1);         // reconstructions are half as long as they should be
        Assert.Equal(0, sums.GradientNorm, 1e-6);
    }

    /// <summary>Folding decoder norms scales everything in units of z, θ included; folding the data's scale touches
    /// biases of the output only. Neither changes the function.</summary>
    [Fact]
    public void FoldingChangesNoReconstruction()
    {
        var relu = new SparsityPenalty.L1 { Coefficient = 0.1f };
        foreach (var spec in new[] { Jump(), TopK() with { Selection = new Selection.Gated(Room: 60), Penalty = relu },
            TopK() with { Selection = new Selection.Relu(60), Penalty = relu } })
        {
            var problem = new SmallProblem(spec, 16, Sgd);
            var batch = problem.Batch();
            var expected = Reconstruct(spec, problem.Parameters, batch, 3);
            Folding.TrainedNorms(problem.Parameters);
            Assert.All(Enumerable.Range(0, 60),
                f => Assert.Equal(1, Math.Sqrt(problem.Parameters.WDec[f].ToArray().Sum(w => (double)w * w)), 1e-6));
            Equal(expected, Reconstruct(spec, problem.Parameters, batch, 3), 1);
            Folding.TrainedScales(problem.Parameters, 3, 3);
            Equal(expected, Reconstruct(spec, problem.Parameters, batch, 1), 1 / 3.0);
            if (spec.Selection is not Selection.Gated) continue;
            var (jump, same) = Export.AsJumpRelu(spec, problem.Parameters);
            Equal(expected, Reconstruct(jump, same, batch, 1), 1 / 3.0);
            same.Dispose();
        }

        static double[] Reconstruct(SaeSpec spec, SaeParameters p, float[] batch, float scale)
        {
            var reference = new Reference(spec, Sgd with { BatchRows = 16, Vectors = 16 }, Rounding.None);
            if (spec.Selection is Selection.JumpRelu { Form: ThresholdForm.Direct } || p.Threshold.Length == 0
                || p.Threshold.All(t => t > 0))
                reference.SetParameters(p);
            reference.Forward(batch, new() { Step = 1, InputScale = scale, LossScale = 1, Power = 1 });
            return [.. reference.Residual.Zip(reference.Y, (e, y) => e + y)];
        }

        static void Equal(double[] expected, double[] actual, double factor)
        {
            for (var i = 0; i < expected.Length; i++)
                Assert.Equal(expected[i] * factor, actual[i], 1e-4 * (1 + Math.Abs(expected[i])));
        }
    }

    /// <summary>The rows of an epoch come in a random order, each once.</summary>
    [Fact]
    public void CachedDataAreShuffled()
    {
        var order = new RowPermutation(1, 0, 1000);
        var rows = Enumerable.Range(0, 1000).Select(i => order[i]).ToArray();
        Assert.Equal(1000, rows.Distinct().Count());
        Assert.True(rows.Zip(rows.Skip(1), (a, b) => Math.Abs(a - b)).Average() > 200);
        Assert.NotEqual(rows, Enumerable.Range(0, 1000).Select(i => new RowPermutation(1, 1, 1000)[i]).ToArray());

        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder["x.npy"],
            [.. NpyFile.MakeHeader("<f4", 64, 24),
                .. Enumerable.Range(0, 64 * 24).SelectMany(i => BitConverter.GetBytes((float)(i / 24)))]);
        using var source = ActivationSource.Open([folder["x.npy"]]);
        var config = new TrainConfig { BatchRows = 16, Vectors = 64 };
        using var backend = new CpuBackend(TopK(), config, source.Type);
        using var feeder = new BatchFeeder(source, 64, backend, config);
        var fed = new List<float>();
        for (var t = 0; t < 4; t++)
        {
            var slot = MemoryMarshal.Cast<byte, float>(backend.InputSlot(feeder.Next(out _)));
            for (var b = 0; b < 16; b++) fed.Add(slot[b * 24]);
            feeder.Release();
        }
        Assert.Equal(Enumerable.Range(0, 64).Select(i => (float)i), fed.Order());
        Assert.True(fed.Zip(fed.Skip(1), (a, b) => Math.Abs(a - b)).Average() > 12);
    }

    /// <summary>Both paths of a thresholded selection are one step: a switch in mid-run shows in nothing.</summary>
    [Theory, MemberData(nameof(TargetNames))]
    public void PathsAgree(string target)
    {
        var relu = TopK() with
        {
            Selection = new Selection.Relu(60),
            Penalty = new SparsityPenalty.L1 { Coefficient = 0.3f }
        };
        var nested = new Nesting.Prefixes([1, 1, 1], Random: true);
        foreach (var spec in new[] { Jump(ThresholdForm.Log), relu, Jump(ThresholdForm.Log) with { Nested = nested },
            relu with { Nested = new Nesting.Prefixes([20, 33]), Selection = new Selection.Gated(Room: 60) } })
        {
            using Run sparse = new(target, spec, new()), mixed = new(target, spec, new());
            for (var t = 1; t <= 4; t++)
            {
                var (a, b) = (sparse.Step(rate: 0.01f), mixed.Step(rate: 0.01f, dense: t is 1 or 3));
                Assert.Equal((0, t is 1 or 3 ? 1 : 0), (a.Dense, b.Dense));
                Assert.Equal(a.SquaredError, b.SquaredError, 1e-3 * a.SquaredError);
                Assert.Equal(a.LevelError, b.LevelError, 1e-3 * a.LevelError);
                Assert.Equal(a.GradientNorm, b.GradientNorm, 1e-2 * a.GradientNorm);
            }
        }
    }

    /// <summary>The dense path goes by chunks, but a latent learns from the prefixes that hold it: those that end
    /// within a chunk, at a chunk's end, twice at one width, and with the last latent.</summary>
    [Theory, MemberData(nameof(OneOfEach))]
    public void ChunksOfTheDensePathEndWherePrefixesDo(string target)
    {
        const int Latents = 2200;
        var spec = Jump(ThresholdForm.Log) with
        {
            Latents = Latents,
            Selection = new Selection.JumpRelu(Bandwidth: 0.5f, Room: 300),
            Nested = new Nesting.Prefixes([1, 1, 1, 1, 1], Random: true)
        };
        using Run sparse = new(target, spec, Sgd), dense = new(target, spec, Sgd);
        StepSums Step(Run run, bool dense) => run.Step(before: p => Array.Fill(p.BEnc, -8), dense: dense, change: s =>
        {
            (s.Prefix[0], s.Prefix[1], s.Prefix[2], s.Prefix[3], s.Prefix[4]) = (7, 700, 700, 2048, Latents);
            return s;
        });
        var (a, b) = (Step(sparse, dense: false), Step(dense, dense: true));
        Assert.Equal((0, 1), (a.Dense, b.Dense));
        Assert.Equal(a.LevelError, b.LevelError, 1e-3 * a.LevelError);
        using SaeParameters one = sparse.Read(), other = dense.Read();
        using var start = new SmallProblem(spec, 16, Sgd).Parameters;
        Assert.InRange(MovedAlike(p => p.WDec), 300, Latents);
        Assert.InRange(MovedAlike(p => p.WEnc), 300, Latents);

        int MovedAlike(Func<SaeParameters, Matrix> matrix)
        {
            var moved = 0;
            for (var f = 0; f < Latents; f++)
            {
                double difference = 0, movement = 0;
                for (var i = 0; i < 24; i++)
                {
                    difference += Math.Pow(matrix(one)[f][i] - matrix(other)[f][i], 2);
                    movement += Math.Pow(matrix(one)[f][i] - matrix(start)[f][i], 2);
                }
                Assert.True(Math.Sqrt(difference) <= 0.01 * Math.Sqrt(movement) + 1e-4,
                    $"latent {f} moved by {Math.Sqrt(movement)}, and on the dense path {Math.Sqrt(difference)} away "
                        + "from there");
                if (movement > 0) moved++;
            }
            return moved;
        }
    }

    /// <summary>A row without room sends the batch down the dense path: the same result, and counted.</summary>
    [Theory, MemberData(nameof(TargetNames))]
    public void RowsWithoutRoomTakeTheDensePath(string target)
    {
        var spec = TopK() with
        {
            Selection = new Selection.Relu(5),
            Penalty = new SparsityPenalty.L1 { Coefficient = 0.3f }
        };
        using Run narrow = new(target, spec, Sgd),
            wide = new(target, spec with { Selection = new Selection.Relu(60) }, Sgd);
        var (a, b) = (narrow.Step(), wide.Step());
        Assert.Equal((1, 0), (a.Dense, b.Dense));
        Assert.True(a.Overflows > 0);
        Assert.Equal(b.SquaredError, a.SquaredError, 1e-3 * b.SquaredError);
        Assert.Equal(b.GradientNorm, a.GradientNorm, 1e-2 * b.GradientNorm);
    }

    /// <summary>Of equal pre-activations the lower latents are kept.</summary>
    [Theory, MemberData(nameof(TargetNames))]
    public void TiesGoToTheLowerLatent(string target)
    {
        foreach (var spec in new[] { TopK(), TopK() with { Selection = new Selection.AbsTopK(4) } })
        {
            using var run = new Run(target, spec, Sgd);
            run.Step(before: p =>
            {
                for (var f = 0; f < 60; f++) p.WEnc[f].Clear();
                Array.Fill(p.BEnc, 1);
            }, rate: 0);
            var firings = new int[60];
            run.Backend.ReadFirings(firings);
            Assert.Equal(Enumerable.Range(0, 60).Select(f => f < 4 ? 16 : 0), firings);
        }
    }

    /// <summary>A prefix of width w holds the latents below w and not w itself.</summary>
    [Theory, MemberData(nameof(TargetNames))]
    public void PrefixesEndAtTheirWidth(string target)
    {
        foreach (var only in new[] { 19, 20 })
        {
            using var run = new Run(target,
                TopK() with { Selection = new Selection.TopK(1), Nested = new Nesting.Prefixes([20]) }, Sgd);
            var sums = run.Step(new float[16 * 24], p =>
            {
                for (var f = 0; f < 60; f++) p.BEnc[f] = f == only ? 1 : -1;
                Array.Clear(p.BDec);
            }, rate: 0);
            Assert.True(sums.SquaredError > 1);
            Assert.Equal((only < 20 ? 2 : 1) * sums.SquaredError, sums.LevelError, 1e-3 * sums.SquaredError);
        }
    }

    /// <summary>The weight of a nested loss is in its gradient once: a mean of equal losses is one of them, and a
    /// quarter of a loss has a quarter of its gradient.</summary>
    [Theory, MemberData(nameof(TargetNames))]
    public void NestedLossesAreWeightedOnce(string target)
    {
        double Norm(Nesting? nested)
        {
            using var run = new Run(target, TopK() with { Nested = nested }, Sgd);
            return run.Step(before: p => p.BEnc[59] = -1000).GradientNorm;     // all that fire are in the first prefix
        }
        var plain = Norm(null);
        Assert.Equal(plain, Norm(new Nesting.Prefixes([59], Mean: true)), 1e-3 * plain);
        Assert.Equal(plain / 4, Norm(new Nesting.Budgets([4], [0.25f])), 1e-3 * plain);
    }

    /// <summary>The gate's own reconstruction teaches the gate. Where no magnitude is above 0 the decoder learns
    /// nothing, unless it is asked to.</summary>
    [Theory, MemberData(nameof(TargetNames))]
    public void GateDoesNotTeachAFrozenDecoder(string target)
    {
        foreach (var live in new[] { false, true })
            foreach (var dense in new[] { false, true })
            {
                var spec = TopK() with { Selection = new Selection.Gated(LiveAuxDecoder: live, Room: 60) };
                using var run = new Run(target, spec, Sgd);
                using var before = new SmallProblem(spec, 16, new()).Parameters;
                Assert.Equal(0, run.Step(before: p => Array.Fill(p.BMag, -1000), dense: dense).Active);
                using var after = run.Read();
                var all = Enumerable.Range(0, 60);
                Assert.Equal(live ? 60 : 0, all.Count(f => !before.WDec[f].SequenceEqual(after.WDec[f])));
                Assert.Equal(60, all.Count(f => !before.WEnc[f].SequenceEqual(after.WEnc[f])));
            }
    }

    /// <summary>The pre-activation loss of the dead is of the dead alone.</summary>
    [Theory, MemberData(nameof(TargetNames))]
    public void PreActivationLossOfTheDeadSparesTheLiving(string target)
    {
        foreach (var dense in new[] { false, true })
        {
            using Run without = new(target, Jump() with { PreAct = new(0, DeadOnly: true, 16) }, Sgd),
                with = new(target, Jump() with { PreAct = new(1, DeadOnly: true, 16) }, Sgd);
            var living = new int[60];
            var losses = new List<double>();
            foreach (var run in new[] { without, with })
            {
                losses.Add(run.Step(dense: dense).PreAct);      // no latent is dead yet
                run.Backend.ReadFirings(living);
                losses.Add(run.Step(dense: dense).PreAct);
            }
            Assert.Equal([0, 0, 0], losses[..3]);
            Assert.True(losses[3] > 0);
            using SaeParameters a = without.Read(), b = with.Read();
            Assert.Contains(0, living);
            for (var f = 0; f < 60; f++) Assert.Equal(living[f] > 0, Same(a, b, f));
        }
    }

    /// <summary>A penalty weighted by decoder norms pulls on them, unless they are detached. Decoder rows come in
    /// opposite pairs, so the reconstruction is perfect and pulls on nothing.</summary>
    [Theory, MemberData(nameof(TargetNames))]
    public void PenaltyByDecoderNormPullsOnTheNorm(string target)
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

    /// <summary>A ghost's code is e^z, so a silent latent learns; and what scales it to the residual is a constant, or
    /// a single ghost, which has but one direction, would not learn when to fire.</summary>
    [Theory, MemberData(nameof(TargetNames))]
    public void ASingleGhostLearnsWhenToFire(string target)
    {
        foreach (var dense in new[] { false, true })
        {
            using var run = new Run(target, TopK() with { Selection = new Selection.Relu(60), Ghost = new(16) }, Sgd);
            run.Step(before: p =>
            {
                Array.Fill(p.BEnc, 0.125f);
                p.BEnc[7] = -1;
                p.WEnc[7].Clear();
            }, rate: 0, dense: dense);
            Assert.Equal(1, run.Backend.ReadSums().Dead);
            var sums = run.Step(dense: dense);
            using var after = run.Read();
            Assert.True(sums.Ghost > 0);
            Assert.True(Math.Abs(after.BEnc[7] + 1) > 1e-3, $"b_enc is {after.BEnc[7]}");
            Assert.Contains(after.WEnc[7].ToArray(), w => Math.Abs(w) > 1e-3);
        }
    }
}
