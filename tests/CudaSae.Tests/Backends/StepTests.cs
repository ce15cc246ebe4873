using System.Runtime.InteropServices;
using CudaSae.Lab.Verification;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>Promises about whole steps on every target: bits that do not depend on the schedule, lazy Adam, averages,
/// and the dense check.</summary>
[Collection("emulator")]
[Trait("speed", "slow")]
public class StepTests
{
    public static TheoryData<string> TargetNames => [.. Targets.Names];

    /// <summary>VerifierTests compares the CPU's gradients with the reference's dense sums.</summary>
    public static TheoryData<string> KernelTargets =>
        [.. Targets.Names.Where(name => !name.StartsWith("cpu", StringComparison.Ordinal))];

    static readonly AuxLoss Aux = new(8, 0.3f, 16);

    /// <summary>Trains and returns WEnc, WDec, b_enc, b_dec one after another.</summary>
    static float[] Train(string target, TrainConfig config, AuxLoss? aux, int steps, int rows = 16,
        Action<IBackend>? after = null)
    {
        var problem = new SmallProblem(rows, width: 40, latents: 150, active: 5, aux, config);
        using var backend = Targets.Create(target)(problem.Spec, problem.Config, InputType.Float32);
        backend.SetParameters(problem.Parameters);
        var step = new SaeStep(backend);
        for (uint t = 1; t <= steps; t++)
        {
            var slot = (int)(t & 1);
            SmallProblem.Feed(backend, slot, problem.Batch());
            step.Run(slot, problem.Scalars(t, deadAfterSteps: 1));
            after?.Invoke(backend);
        }
        backend.GetParameters(problem.Parameters);
        return Flat(problem.Parameters);
    }

    static float[] Flat(SaeParameters p) =>
        [.. Enumerable.Range(0, p.BEnc.Length).SelectMany(f => p.WEnc[f].ToArray().Concat(p.WDec[f].ToArray())),
            .. p.BEnc, .. p.BDec];

    [Theory]
    [InlineData(WeightStorage.SplitFloat32)]
    [InlineData(WeightStorage.BFloat16)]
    public void SchedulesDoNotChangeABit(WeightStorage storage)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        var config = new TrainConfig { Storage = storage, Clip = ClipKind.GlobalNorm, ClipNorm = 0.5f };
        var runs = new[] { 0, 1, 2, 3 }.Select(seed => Train($"emulator, schedule {seed}", config, Aux, 3)).ToArray();
        Assert.All(runs, run => Assert.True(run.AsSpan().SequenceEqual(runs[0])));
    }

    /// <summary>One latent is in most rows of a batch of 600: runs of more than 256 entries are summed in
    /// parts.</summary>
    [Fact]
    public void LongRunsAreTheSameUnderAnySchedule()
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        var runs = new[] { 0, 5 }.Select(seed => Run($"emulator, schedule {seed}")).ToArray();
        var cpu = Run("cpu");
        Assert.True(runs[0].AsSpan().SequenceEqual(runs[1]));
        for (var i = 0; i < cpu.Length; i++) Assert.Equal(cpu[i], runs[0][i], 2e-2);

        static float[] Run(string target)
        {
            var problem = new SmallProblem(rows: 600, width: 8, latents: 12, active: 2,
                config: new() { Optimizer = OptimizerKind.Sgd });
            problem.Parameters.BEnc[3] = 20;
            using var backend = Targets.Create(target)(problem.Spec, problem.Config, InputType.Float32);
            backend.SetParameters(problem.Parameters);
            MemoryMarshal.AsBytes<float>(problem.Batch()).CopyTo(backend.InputSlot(0));
            new SaeStep(backend).Run(0, problem.Scalars(1, learningRate: 0.05f));
            backend.GetParameters(problem.Parameters);
            return Flat(problem.Parameters);
        }
    }

    /// <summary>With beta1 = 0, skipping untouched rows changes no bit.</summary>
    [Theory]
    [MemberData(nameof(TargetNames))]
    public void LazyAdamEqualsDenseAdamBitForBit(string target)
    {
        var dense = Train(target, new() { Beta1 = 0 }, aux: null, steps: 12, rows: 4);
        var lazy = Train(target, new() { Beta1 = 0, Lazy = true }, aux: null, steps: 12, rows: 4);
        Assert.True(dense.AsSpan().SequenceEqual(lazy));
        Assert.False(dense.AsSpan()
            .SequenceEqual(Train(target, new() { Beta1 = 0.9f }, aux: null, steps: 12, rows: 4)));
    }

    [Theory]
    [MemberData(nameof(TargetNames))]
    public void AverageFollowsTheWeights(string target)
    {
        const float decay = 0.8f;
        var config = new TrainConfig { EmaDecay = decay };
        var start = new SmallProblem(16, 40, 150, 5, Aux, config);
        var expected = Array.ConvertAll(Flat(start.Parameters), v => (double)v);
        var actual = Array.Empty<float>();
        Train(target, config, Aux, 4, after: backend =>
        {
            using var now = new SaeParameters(backend.Spec);
            backend.GetParameters(now);
            var weights = Flat(now);
            for (var i = 0; i < weights.Length; i++) expected[i] = decay * expected[i] + (1 - decay) * weights[i];
            backend.GetAverage(now);
            actual = Flat(now);
        });
        for (var i = 0; i < actual.Length; i++) Assert.Equal(expected[i], actual[i], 1e-5);
    }

    [Theory]
    [MemberData(nameof(TargetNames))]
    public void EarlierSumsBelongToThePreviousStep(string target)
    {
        StepSums before = default;
        Train(target, new(), Aux, 4, after: backend =>
        {
            var earlier = backend.ReadEarlierSums();
            Assert.Equal((before.Step, before.SquaredError, before.GradientNorm),
                (earlier.Step, earlier.SquaredError, earlier.GradientNorm));
            before = backend.ReadSums();
            Assert.Equal(earlier.Step + 1, before.Step);
        });
        Assert.Equal(4u, before.Step);
    }

    [Theory]
    [MemberData(nameof(TargetNames))]
    public void SparseStepPassesTheDenseCheck(string target)
    {
        var problem = new SmallProblem(rows: 20, width: 40, latents: 300, active: 7);
        using var backend = Targets.Create(target)(problem.Spec, problem.Config, InputType.Float32);
        backend.SetParameters(problem.Parameters);
        MemoryMarshal.AsBytes<float>(problem.Batch()).CopyTo(backend.InputSlot(0));
        new SaeStep(backend).Evaluate(0, problem.Scalars(1));
        var check = backend.CheckAgainstDense();
        Assert.True(check.Passed, check.ToString());

        // A weight that changes after encoding must be detected.
        problem.Parameters.BEnc[0] += 50;
        backend.SetParameters(problem.Parameters);
        Assert.False(backend.CheckAgainstDense().Passed);
    }

    /// <summary>Plain descent moves the weights by −η times the gradient of the dense products, within bfloat16's
    /// rounding of the code.</summary>
    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(KernelTargets))]
    public void SparseUpdateEqualsTheGradientsOfTheDenseCheck(string target)
    {
        const float rate = 0.25f;
        var problem = new SmallProblem(rows: 24, width: 40, latents: 300, active: 7,
            config: new() { Optimizer = OptimizerKind.Sgd }, norm: DecoderNorm.Free);
        using var backend =
            (Backends.Kernels.KernelBackend)Targets.Create(target)(problem.Spec, problem.Config, InputType.Float32);
        backend.SetParameters(problem.Parameters);
        var (scalars, before) = (problem.Scalars(1, rate), Flat(problem.Parameters));
        MemoryMarshal.AsBytes<float>(problem.Batch()).CopyTo(backend.InputSlot(0));
        new SaeStep(backend).Evaluate(0, scalars);
        var (dec, enc) = backend.DenseCheckGradients(scalars.LossScale);
        new SaeStep(backend).Run(0, scalars);
        backend.GetParameters(problem.Parameters);
        var after = Flat(problem.Parameters);

        double difference = 0, size = 0;
        for (var f = 0; f < 300; f++)
            for (var i = 0; i < 40; i++)
            {
                Add(after[f * 80 + i] - before[f * 80 + i], -rate * enc[f][i]);
                Add(after[f * 80 + 40 + i] - before[f * 80 + 40 + i], -rate * dec[f][i]);
            }
        Assert.True(size > 1e-3);
        Assert.True(Math.Sqrt(difference / size) < Math.Pow(2, -8), $"{Math.Sqrt(difference / size)}");
        dec.Dispose();
        enc.Dispose();

        void Add(double moved, double expected)
        {
            difference += (moved - expected) * (moved - expected);
            size += expected * expected;
        }
    }

    /// <summary>State copied into a fresh backend continues like the original.</summary>
    [Theory]
    [MemberData(nameof(TargetNames))]
    public void RestoredStateContinuesBitForBit(string target)
    {
        var config = new TrainConfig { EmaDecay = 0.9f, Clip = ClipKind.PreviousNorm, ClipNorm = 0.3f };
        var whole = Train(target, config, Aux, 6);

        var problem = new SmallProblem(16, 40, 150, 5, Aux, config);
        var batches = Enumerable.Range(0, 6).Select(_ => problem.Batch()).ToArray();
        using var first = Targets.Create(target)(problem.Spec, problem.Config, InputType.Float32);
        first.SetParameters(problem.Parameters);
        Steps(first, 1, 3);
        using var second = Targets.Create(target)(problem.Spec, problem.Config, InputType.Float32);
        States.Copy(first, second);
        second.AfterRestore(3, 1);
        Steps(second, 4, 6);
        second.GetParameters(problem.Parameters);
        Assert.True(whole.AsSpan().SequenceEqual(Flat(problem.Parameters)));

        void Steps(IBackend backend, uint from, uint to)
        {
            var step = new SaeStep(backend);
            for (var t = from; t <= to; t++)
            {
                SmallProblem.Feed(backend, (int)(t & 1), batches[t - 1]);
                step.Run((int)(t & 1), problem.Scalars(t, deadAfterSteps: 1));
            }
            backend.ReadSums();
        }
    }
}
