using System.Runtime.InteropServices;
using CudaSae.Backends.Cpu;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>Several SAEs trained on the same batches equal the same SAEs trained separately, bit for bit.</summary>
[Trait("speed", "slow")]
public class SweepTests
{
    const int Rows = 200, Width = 24, Steps = 40;

    static ActivationSource Source()
    {
        var random = new Random(5);
        return ActivationSource.Of(MemoryMarshal.AsBytes(Enumerable.Range(0, Rows * Width)
            .Select(_ => (float)random.NextDouble() - 0.5f).ToArray().AsSpan())
            .ToArray(),
            Width, InputType.Float32);
    }

    /// <summary>TopK with AuxK, JumpReLU, Gated, and a TopK SAE whose latents are resampled repeatedly when they did
    /// not fire in the last step.</summary>
    static (SaeSpec Spec, TrainConfig Config)[] Members()
    {
        var basis = new TrainConfig { BatchRows = 16, Vectors = 16 * Steps };
        var members = new[] { "topk", "jumprelu", "gated" }.Select(Preset.Named)
            .Select(preset => preset.Make(Width, 64, 4, basis, null, deadAfter: 64)).ToArray();
        return [.. members,
            (members[0].Item1 with { Selection = new Selection.TopK(2) },
                basis with { Resampling = new(6, 20, DeadAfterSteps: 1, Inputs: 64, RecoverySteps: 2) })];
    }

    static Runner Begin(ActivationSource source, (SaeSpec Spec, TrainConfig Config) member)
    {
        var start = new TrainingStart(source, source.Rows, member.Spec, member.Config);
        var runner = new Runner(new CpuBackend(member.Spec, member.Config, source.Type), source, source.Rows,
            start.Scale);
        runner.Begin(start);
        return runner;
    }

    static byte[] Alone(ActivationSource source, (SaeSpec, TrainConfig) member)
    {
        using var runner = Begin(source, member);
        runner.Train(null, new RecordingObserver());
        return States.Bytes(runner.Backend);
    }

    /// <summary>Trains the given new or resumed runs together; returns states by run, null for runs that
    /// failed.</summary>
    static (byte[]?[] States, bool Finished) Together(ActivationSource source, SharedRun[] runs,
        CancellationTokenSource? stop = null, List<string>? failures = null)
    {
        var states = new byte[]?[runs.Length];
        var finished = new SharedRuns(source, source.Rows, runs, run =>
        {
            states[Array.IndexOf(runs, run)] = States.Bytes(run.Runner.Backend);
            run.Runner.Dispose();
        }, (run, e) => (failures ?? throw e).Add(e.Message)).Run(stop?.Token ?? CancellationToken.None);
        return (states, finished);
    }

    [Fact]
    public void RunsThatShareBatchesEqualSeparateRuns()
    {
        using var source = Source();
        var members = Members();
        var resampling = new RecordingObserver();
        SharedRun[] runs = [.. members.Select(m =>
            new SharedRun(Begin(source, m), null, m == members[^1] ? resampling : new RecordingObserver()))];
        var (states, finished) = Together(source, runs);
        Assert.True(finished);
        Assert.Contains(resampling.Notes,
            note =>
                note.Contains("latents resampled", StringComparison.Ordinal)
                    && !note.Contains(": 0 latents", StringComparison.Ordinal));
        for (var i = 0; i < members.Length; i++)
            Assert.True(Alone(source, members[i]).AsSpan().SequenceEqual(states[i]),
                $"member {i} differs from the same run alone");
        Assert.All(runs, run => Assert.Equal(Steps, run.Steps));
    }

    /// <summary>Cancelled runs stop at one step, and runs from checkpoints of different steps reach the same
    /// end.</summary>
    [Fact]
    public void SharedRunsResumeBitForBit()
    {
        using var source = Source();
        using var folder = new TemporaryFolder();
        var members = Members();
        using (var stop = new CancellationTokenSource())
        {
            SharedRun[] runs = [.. members.Select((m, i) => new SharedRun(Begin(source, m), folder[$"{i}"],
                i == 1 ? RecordingObserver.CancelsAfterStep(stop, 13) : new RecordingObserver()))];
            Assert.False(Together(source, runs, stop).Finished);
            foreach (var run in runs) run.Runner.Dispose();
        }
        using (var stop = new CancellationTokenSource())
        {
            using var ahead = Begin(source, members[1]);
            ahead.Resume(folder["1"], null);
            ahead.Train(folder["1"], RecordingObserver.CancelsAfterStep(stop, 25), stop.Token);
        }
        SharedRun[] resumed = [.. members.Select((m, i) =>
        {
            var runner = Begin(source, m);
            runner.Resume(folder[$"{i}"], null);
            return new SharedRun(runner, folder[$"{i}"], new RecordingObserver());
        })];
        Assert.Equal([13, 25, 13, 13], resumed.Select(run => run.Runner.From.Step));
        var (states, finished) = Together(source, resumed);
        Assert.True(finished);
        for (var i = 0; i < members.Length; i++)
            Assert.True(Alone(source, members[i]).AsSpan().SequenceEqual(states[i]),
                $"member {i} differs from the same run alone");
    }

    [Fact]
    public void AFailedMemberDoesNotStopTheOthers()
    {
        using var source = Source();
        var (spec, config) = Members()[0];
        var bad = config with { LearningRate = 1000, Optimizer = OptimizerKind.Sgd, LogEvery = 1, WarmupFraction = 0 };
        SharedRun[] runs =
        [
            new(Begin(source, (spec, config)), null, new RecordingObserver()),
            new(Begin(source, (spec with { DecoderNorm = DecoderNorm.Free }, bad)), null, new RecordingObserver()),
            new(Begin(source, Members()[1]), null, new RecordingObserver()),
        ];
        var failures = new List<string>();
        var (states, finished) = Together(source, runs, failures: failures);
        runs[1].Runner.Dispose();
        Assert.True(finished);
        Assert.Contains("the loss became", Assert.Single(failures));
        Assert.True(Alone(source, (spec, config)).AsSpan().SequenceEqual(states[0]));
        Assert.True(Alone(source, Members()[1]).AsSpan().SequenceEqual(states[2]));
    }

    /// <summary>Rows that are not finite are an error of the data, so all members stop.</summary>
    [Fact]
    public void BadRowsStopAllMembers()
    {
        var values = new float[Rows * Width];
        for (var i = 0; i < values.Length; i++) values[i] = i % 7;
        values[150 * Width] = float.NaN;
        using var source =
            ActivationSource.Of(MemoryMarshal.AsBytes(values.AsSpan()).ToArray(), Width, InputType.Float32);
        SharedRun[] runs =
            [.. Members().Take(2).Select(m => new SharedRun(Begin(source, m), null, new RecordingObserver()))];
        AssertOneLine("holds NaN", () => Together(source, runs, failures: []));
        foreach (var run in runs) run.Runner.Dispose();
    }
}
