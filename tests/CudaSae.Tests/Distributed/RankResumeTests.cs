using CudaSae.Backends.Cpu;
using CudaSae.Lab.Synthetic;
using CudaSae.Numerics;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Tests;

/// <summary>A run that is stopped resumes on another number of ranks, and ends with the state of one process that was
/// not interrupted.</summary>
public class RankResumeTests
{
    static readonly TrainConfig Config = new()
    {
        BatchRows = 16, Vectors = 16 * 40, LogEvery = 1, CheckpointEvery = 5, LearningRate = 0.02f, EmaDecay = 0.9f
    };

    static readonly SaeSpec[] Specs =
    [
        new() { InputWidth = 24, Latents = 100, Selection = new Selection.TopK(4), Aux = new(8, 0.1f, 64) },
        new() { InputWidth = 24, Latents = 100, Selection = new Selection.BatchTopK(4) },
        new() { InputWidth = 24, Latents = 2048, Selection = new Selection.JumpRelu() },
        new() { InputWidth = 24, Latents = 2048, Selection = new Selection.Gated() },
    ];

    public static TheoryData<int, bool> Runs => new()
    {
        { 0, true }, { 0, false }, { 1, true }, { 2, true }, { 3, true },
    };

    static RunData Data(TemporaryFolder folder)
    {
        if (!File.Exists(folder["x.npy"]))
            new Superposition(new() { Features = 40, Width = 24, Rows = 512, L0 = 3, Seed = 5 })
                .WriteRows(folder["x.npy"]);
        return RunData.Open(new([folder["x.npy"]], [], "64", null), _ => { });
    }

    /// <summary>Trains from the start or the newest checkpoint, to a step or to the end.</summary>
    static void Train(TemporaryFolder folder, string name, SaeSpec spec, TrainConfig config, int ranks, int stopAfter)
    {
        using (Data(folder)) { }
        RankThreads.Run(ranks, own =>
        {
            using var data = Data(folder);
            using var run = File.Exists(folder[$"{name}/{RunRecord.FileName}"])
                ? new TrainingRun(RunRecord.Load(folder[name]), data, folder[name], ranks > 1 ? own : null)
                : TrainingRun.New(data, spec, config, BackendKind.Cpu, folder[name], ranks: ranks > 1 ? own : null);
            own.Barrier();      // rank 0 writes the record in Begin
            run.Open();
            run.Begin(_ => { });
            using var stop = new CancellationTokenSource();
            run.Runner.Train(folder[name], RecordingObserver.CancelsAfterStep(stop, stopAfter), stop.Token);
        });
    }

    /// <summary>Returns the state of the newest checkpoint, restored on one process.</summary>
    static byte[][] State(string run, SaeSpec spec, TrainConfig config)
    {
        using var backend = new CpuBackend(spec, config, InputType.Float32, 1);
        Assert.Equal(40, Checkpoint.Restore(run, backend, Schedules.DeadAfterSteps(spec, config)).Step);
        return States.Of(backend);
    }

    [Theory, MemberData(nameof(Runs))]
    public void AStoppedRunResumesOnAnotherNumberOfRanksBitForBit(int method, bool background)
    {
        using var folder = new TemporaryFolder();
        var (spec, config) = (Specs[method], Config with { AsyncCheckpoints = background });
        Train(folder, "single", spec, config, 1, 99);
        var step = 0;
        foreach (var ranks in new[] { 3, 1, 2, 4 }) Train(folder, "ranks", spec, config, ranks, step += 11);
        States.AssertSame(State(folder["single"], spec, config), State(folder["ranks"], spec, config));
    }
}
