using CudaSae.Numerics;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Tests;

/// <summary>The loss is not finite, or far above its earlier values: the run stops, or rolls back and skips the
/// batches.</summary>
[Collection("emulator")]
[Trait("speed", "slow")]
public class DivergenceTests
{
    const int Rows = 400, Width = 24;

    static readonly SaeSpec spec = new()
    {
        InputWidth = Width, Latents = 64, Selection = new Selection.TopK(4), Aux = new(8, 0.1f, 64)
    };
    static readonly TrainConfig config = new()
    {
        BatchRows = 16, Vectors = 16 * 50, LogEvery = 5, CheckpointEvery = 7, OnDivergence = DivergenceAction.Rollback,
        SpikeAbove = 20, ScaleInputs = false, DecoderBias = DecoderBiasInit.Zero,
    };

    public static TheoryData<string> TargetNames =>
        [.. Targets.Names.Where(name => name is "cpu" or "cuda" or "emulator, schedule 7")];

    /// <summary>Writes rows of small numbers, one of which is multiplied.</summary>
    static ActivationSource Data(float factor)
    {
        var random = new Random(5);
        var values = new float[Rows * Width];
        for (var i = 0; i < values.Length; i++)
            values[i] = (float)(random.NextDouble() - 0.5) * (i / Width == 300 ? factor : 1);
        return ActivationSource.Of(System.Runtime.InteropServices.MemoryMarshal.AsBytes(values.AsSpan()).ToArray(),
            Width, InputType.Float32);
    }

    static (byte[][] State, RecordingObserver Observer) Train(string target, float factor, TrainConfig config,
        string? run, long stopAt = long.MaxValue, bool resume = false)
    {
        using var source = Data(factor);
        using var clean = Data(1);
        var statistics = new DataStatistics(clean, Rows, config.Seed);
        var scale = Scaling.Measure(statistics, config);
        using var backend = Targets.Create(target)(spec, config, source.Type);
        var from = default(CheckpointPosition);
        if (resume) from = Checkpoint.Restore(run!, backend, Schedules.DeadAfterSteps(spec, config));
        else
        {
            using var parameters = new SaeParameters(spec);
            Initialization.Fill(parameters, spec, config, statistics, scale);
            backend.SetParameters(parameters);
        }
        using var stop = new CancellationTokenSource();
        var observer = RecordingObserver.CancelsAfterStep(stop, stopAt);
        new Trainer(backend, source, Rows, scale, run, observer).Run(from, stop.Token);
        return (States.Of(backend), observer);
    }

    /// <summary>Each pass over the data reaches the row once: 1e25 makes the loss infinite, 3000 makes a
    /// spike.</summary>
    [Theory, MemberData(nameof(TargetNames))]
    public void ADivergedRunRollsBackAndSkipsTheBatches(string target)
    {
        var emulated = target.StartsWith("emulator", StringComparison.Ordinal); // slow: one epoch, one kind
        var run = config with { Vectors = emulated ? 16 * 28 : config.Vectors };
        foreach (var (factor, why) in new[] { (1e25f, "became"), (3000f, "times its running mean") }
            .Take(emulated ? 1 : 2))
        {
            using var folder = new TemporaryFolder();
            var (state, observer) = Train(target, factor, run, folder["run"]);
            var returns = observer.Notes.Where(n => n.Contains("are skipped")).ToArray();
            Assert.InRange(returns.Length, 1, 3);
            Assert.All(returns, n => Assert.Matches($@"^step \d+: .*{why}.*; back to the checkpoint of step \d+, and "
                + @"the \d+ batches since are skipped$", n));
            Assert.All(observer.Reports.TakeLast(3), m => Assert.InRange(m.Fvu!.Value, 0.01, 1.5));
            Assert.Equal(run.Steps, observer.Reports[^1].Step);

            // A run that stops in between and resumes reaches the same bits.
            Train(target, factor, run, folder["again"], stopAt: 24);
            var (resumed, _) = Train(target, factor, run, folder["again"], resume: true);
            States.AssertSame(state, resumed);
        }
    }

    [Fact]
    public void WithoutRollbackARunStopsAndKeepsTheCheckpoint()
    {
        using var folder = new TemporaryFolder();
        var stop = config with { OnDivergence = DivergenceAction.Stop };
        var failure = Assert.Throws<SaeException>(() => Train("cpu", 3000, stop, folder["run"]));
        Assert.Matches(@"^the loss became \S+, \S+ times its running mean at step \d+; resume .*"
            + "OnDivergence = Rollback", failure.Message);
        Assert.Equal(SaeErrorKind.Numbers, failure.Kind);
        Assert.Contains("the loss became",
            Assert.Throws<SaeException>(() =>
                Train("cpu", 1e25f, stop with { SpikeAbove = 0 }, folder["other"])).Message);
    }

    /// <summary>No batch survives this learning rate: three rollbacks, then the error.</summary>
    [Fact]
    public void RollbacksAreLimited()
    {
        using var folder = new TemporaryFolder();
        var failure = Assert.Throws<SaeException>(() =>
            Train("cpu", 1,
                config with
                {
                    LearningRate = 1e3f,
                    WarmupFraction = 0.3f,
                    DecayFraction = 0,
                    Optimizer = OptimizerKind.Sgd,
                    Vectors = 16 * 200
                },
                folder["run"]));
        Assert.Matches(@"as after each of 3 returns to the checkpoint of step \d+", failure.Message);
    }

    [Fact]
    public void RollbackNeedsCheckpoints() =>
        Assert.Contains("CheckpointEvery = 0",
            Assert.Throws<SaeException>(() => (config with { CheckpointEvery = 0 }).Validate()).Message);
}
