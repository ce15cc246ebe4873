using CudaSae.Distributed;
using CudaSae.Lab.Synthetic;

namespace CudaSae.Tests;

/// <summary>Whole runs on several ranks give the finished SAE, the evaluation and the log of one process: with
/// resampling, with rows that the evaluation computes whole, and with changes of path.</summary>
public class RankTrainingTests
{
    static readonly TrainConfig Config = new()
    {
        BatchRows = 32, Vectors = 32 * 40, LogEvery = 1, LearningRate = 3e-3f
    };

    static SaeSpec Spec(Selection selection, int latents = 96) =>
        new() { InputWidth = 24, Latents = latents, Selection = selection };

    internal static RunData Data(TemporaryFolder folder, string name)
    {
        lock (folder)
            if (!File.Exists(folder[name]))
                new Superposition(new() { Features = 40, Width = 24, Rows = 512, L0 = 3, Seed = (ulong)name.Length })
                    .WriteRows(folder[name]);
        return RunData.Open(new([folder[name]], [], "64", null), _ => { });
    }

    /// <summary>Trains and evaluates; returns what the log, the evaluation and the weights are.</summary>
    internal static (List<string> Log, Evaluation Measured, byte[] Weights) Train(TemporaryFolder folder, string name,
        SaeSpec spec, TrainConfig config, ICollective? ranks, RankSettings? settings = null)
    {
        using var data = Data(folder, "rows.npy");
        using var run = TrainingRun.New(data, spec, config, BackendKind.Cpu, folder[name], ranks: ranks,
            settings: settings);
        run.Open();
        run.Begin(_ => { });
        var observer = new RecordingObserver();
        run.Runner.Train(folder[name], observer);
        var measured = run.Evaluate();
        run.Runner.Save(folder[name]);
        ranks?.Barrier();
        List<string> log =
        [
            .. observer.Reports.Select(m =>
                $"{m.Step} {m.Loss:R} {m.Fvu:R} {m.L0:R} {m.DeadPercent:R} {m.GradientNorm:R}"),
            .. observer.Notes, $"{run.Runner.SkippedRows} rows skipped",
        ];
        return (log, measured, File.ReadAllBytes(folder[$"{name}/sae_weights.safetensors"]));
    }

    static void RequireOneProcess(SaeSpec spec, TrainConfig config, params string[] notes)
    {
        using var folder = new TemporaryFolder();
        var one = Train(folder, "one", spec, config, null);
        foreach (var note in notes) Assert.Contains(one.Log, line => line.Contains(note));
        foreach (var rank in RankThreads.Run(3, ranks => Train(folder, "ranks", spec, config, ranks)))
        {
            Assert.Equal(one.Log, rank.Log);
            Assert.Equal(one.Measured.ToString(), rank.Measured.ToString());
            Assert.Equal(one.Weights, rank.Weights);
        }
    }

    [Fact]
    public void ResamplingDrawsTheSameRowsAndLatents() => RequireOneProcess(
        Spec(new Selection.TopK(2)) with { Aux = null },
        Config with { Resampling = new(Every: 10, Times: 3, DeadAfterSteps: 5, Inputs: 128) }, "resampled");

    [Fact]
    public void TheEvaluationOfBatchTopKComputesFullRowsWhole() =>
        RequireOneProcess(Spec(new Selection.BatchTopK(16), latents: 400), Config);

    [Fact]
    public void AllRanksChangeThePathAtTheSameStep() => RequireOneProcess(
        Spec(new Selection.JumpRelu(InitialThreshold: 0.05f, Room: 1536), latents: 1536) with
        {
            Penalty = new SparsityPenalty.L0 { Coefficient = 3, WarmupFraction = 0 },
        },
        Config with { DenseAbove = 0.9f }, "sparse path from here on");

    [Fact]
    public void AnnealedPowersRescaleThePenaltyAlike() => RequireOneProcess(
        Spec(new Selection.Relu(), latents: 1536) with
        {
            Penalty = new SparsityPenalty.Lp(0.5f) { Coefficient = 0.1f, WarmupFraction = 0 },
        },
        Config);

    [Fact]
    public void DifferentRowsOnARankAreRefusedAtTheFirstStep()
    {
        using var folder = new TemporaryFolder();
        var e = Assert.Throws<SaeException>(() => RankThreads.Run(2, ranks =>
        {
            using var data = Data(folder, ranks.Rank == 0 ? "rows.npy" : "others.npy");
            using var run = TrainingRun.New(data, Spec(new Selection.TopK(2)), Config, BackendKind.Cpu, ranks: ranks);
            run.Open();
            run.Begin(_ => { });
            run.Runner.Train(null, new RecordingObserver());
        }));
        Assert.Contains("the ranks read different rows at step 1", e.Message);
    }

    [Fact]
    public void OneRankThatIsCancelledStopsAllAtTheSameStep()
    {
        using var folder = new TemporaryFolder();
        var steps = RankThreads.Run(3, ranks =>
        {
            using var stop = new CancellationTokenSource();
            using var data = Data(folder, "rows.npy");
            using var run = TrainingRun.New(data, Spec(new Selection.TopK(2)), Config, BackendKind.Cpu,
                folder["stopped"], ranks: ranks);
            run.Open();
            run.Begin(_ => { });
            var observer = ranks.Rank == 1 ? RecordingObserver.CancelsAfterStep(stop, 7) : new RecordingObserver();
            return run.Runner.Train(folder["stopped"], observer, stop.Token);
        });
        Assert.Equal([7L, 7, 7], steps);
    }
}
