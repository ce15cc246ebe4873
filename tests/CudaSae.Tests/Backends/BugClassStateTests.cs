using System.Runtime.InteropServices;
using CudaSae.Backends.Cpu;
using CudaSae.Feeding;
using CudaSae.Lab.Verification;

namespace CudaSae.Tests;

/// <summary>Known bugs of other trainers in parameters, optimizer state and data; see
/// <see cref="BugClassTests"/>.</summary>
[Collection("emulator")]
[Trait("speed", "slow")]
public class BugClassStateTests : BugClassProblem
{
    /// <summary>Encoder and decoder, and b_dec and its copies, use separate memory, and so do their moments: training
    /// one leaves the other's bits unchanged.</summary>
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

    /// <summary>Resampling replaces the weights, clears the moments of the resampled latents alone, and resets their
    /// dead counters.</summary>
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

    /// <summary>A batch without positive pre-activations leaves BatchTopK's running threshold unchanged. A batch with
    /// fewer than B·k positive pre-activations keeps all of them.</summary>
    [Theory, MemberData(nameof(TargetNames))]
    public void TheBatchThresholdSurvivesEmptyAndSparseBatches(string target)
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

    /// <summary>The part of a decoder's gradient along its row is removed before the norm is clipped, so a purely
    /// radial gradient clips nothing.</summary>
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
        Assert.True(sums.SquaredError > 1);         // reconstructions have half of their correct length
        Assert.Equal(0, sums.GradientNorm, 1e-6);
    }

    /// <summary>Folding decoder norms scales everything in units of z, including θ. Folding the data's scale changes
    /// only biases of the output. Neither changes the function.</summary>
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

    /// <summary>The rows of an epoch occur in a random order, each once.</summary>
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
}
