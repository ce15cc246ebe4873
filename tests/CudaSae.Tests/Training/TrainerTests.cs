using CudaSae.Backends.Cpu;
using CudaSae.Cli;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Tests;

public class TrainerTests
{
    static readonly SaeSpec Spec = new()
    {
        InputWidth = 24, Latents = 64, Selection = new Selection.TopK(4), Aux = new(8, 0.1f, 64)
    };
    static readonly TrainConfig Config = new() { BatchRows = 16, Vectors = 16 * 40, LogEvery = 1, EmaDecay = 0.9f };

    static readonly IEqualityComparer<(double A, double B)> Near =
        EqualityComparer<(double A, double B)>.Create((p, q) => Math.Abs(p.A - q.A) + Math.Abs(p.B - q.B) < 1e-5);

    static string Data(TemporaryFolder folder, int rows = 200, Action<float[]>? change = null)
    {
        var random = new Random(5);
        var values = new float[rows * 24];
        for (var i = 0; i < values.Length; i++) values[i] = (float)(random.NextDouble() - 0.5);
        change?.Invoke(values);
        using var stream = File.Create(folder["x.npy"]);
        stream.Write(NpyFile.MakeHeader("<f4", rows, 24));
        foreach (var v in values) stream.Write(BitConverter.GetBytes(v));
        return folder["x.npy"];
    }

    static byte[][] Train(ActivationSource source, TrainConfig config, string? run, int stopAfter = int.MaxValue,
        bool resume = false, RecordingObserver? observer = null)
    {
        using var backend = new CpuBackend(Spec, config, source.Type);
        var statistics = new DataStatistics(source, source.Rows, config.Seed);
        var scale = Scaling.Measure(statistics, config);
        var from = default(CheckpointPosition);
        if (resume) from = Checkpoint.Restore(run!, backend, Schedules.DeadAfterSteps(Spec, config));
        else
        {
            using var parameters = new SaeParameters(Spec);
            Initialization.Fill(parameters, Spec, config, statistics, scale);
            backend.SetParameters(parameters);
        }
        using var stop = new CancellationTokenSource();
        observer ??= RecordingObserver.CancelsAtReport(stop, stopAfter);
        new Trainer(backend, source, source.Rows, scale, run, observer).Run(from, stop.Token);
        return States.Of(backend);
    }

    [Fact]
    public void ResumedRunEqualsTheUninterruptedOneBitForBit()
    {
        using var folder = new TemporaryFolder();
        using var source = ActivationSource.Open([Data(folder)]);
        var whole = Train(source, Config, null);
        Train(source, Config, folder["run"], stopAfter: 17);
        var resumed = Train(source, Config, folder["run"], resume: true);
        States.AssertSame(whole, resumed);
    }

    [Fact]
    public void TwoRunsAreBitwiseEqualAndAnotherSeedIsNot()
    {
        using var folder = new TemporaryFolder();
        using var source = ActivationSource.Open([Data(folder)]);
        var (first, second, other) =
            (Train(source, Config, null), Train(source, Config, null), Train(source, Config with { Seed = 2 }, null));
        Assert.True(first[0].AsSpan().SequenceEqual(second[0]));
        Assert.False(first[0].AsSpan().SequenceEqual(other[0]));
    }

    [Fact]
    public void LossFalls()
    {
        using var folder = new TemporaryFolder();
        using var source = ActivationSource.Open([Data(folder)]);
        var observer = new RecordingObserver();
        Train(source, Config with { Vectors = 16 * 200 }, null, observer: observer);
        var (first, last) = (observer.Reports[0].Fvu, observer.Reports[^1].Fvu);
        Assert.True(last < 0.8 * first, $"{first} → {last}");
    }

    [Fact]
    public void ANaNRowStopsTheRunWithItsPlaceOrIsSkipped()
    {
        using var folder = new TemporaryFolder();
        using var source = ActivationSource.Open([Data(folder, change: values => values[24 * 7 + 3] = float.NaN)]);
        var message = Assert.Throws<SaeException>(() => Train(source, Config, null)).Message;
        Assert.Contains("row 7", message);
        Train(source, Config with { NonFinite = NonFiniteRows.Skip }, null);
        var refused = Assert.Throws<SaeException>(
            () => Train(source, Config with { NonFinite = NonFiniteRows.Replace }, null));
        Assert.Contains("Replace is for SaeTrainer", refused.Message);
    }

    [Fact]
    public void LearningRateRisesStaysAndFalls()
    {
        var config = new TrainConfig
        {
            BatchRows = 1, Vectors = 100, LearningRate = 1, WarmupFraction = 0.1f, DecayFraction = 0.5f
        };
        Assert.Equal(0.05, Schedules.LearningRate(config, 1), 1e-6);
        Assert.Equal(1, Schedules.LearningRate(config, 30), 1e-6);
        Assert.Equal(0.01, Schedules.LearningRate(config, 100), 1e-6);
        Assert.True(Schedules.LearningRate(config, 60) > Schedules.LearningRate(config, 90));
    }

    [Fact]
    public void TheFloorIsTheProductPlusTraffic()
    {
        var spec = new SaeSpec { InputWidth = 512, Latents = 4096, Selection = new Selection.TopK(32) };
        // 2·1024·512·4096 operations at 10¹² a second; 2·4096·512 weights of 4 bytes with two moments, read and
        // written, three gathers, the input, and 20 bytes of an entry and 16 of a latent, at 10¹¹ bytes.
        var expected = 4.294967296
            + (2.0 * 4096 * 512 * 24 + 3.0 * 1024 * 32 * 512 * 4 + 12.0 * 1024 * 512 + 20.0 * 1024 * 32
                + 16 * 4096) / 1e8;
        var cost = StepCost.Of(spec, new() { BatchRows = 1024 }, device: false);
        Assert.Equal(expected, cost.FloorMs(new(1000, 100)), 1e-6);
        var measured = Ceilings.MeasureCpu();
        Assert.True(measured.GemmGflops > 0 && measured.CopyGigabytes > 0);
    }

    [Fact]
    public void AFoldedSaeAcceptsRawInput()
    {
        using var folder = new TemporaryFolder();
        using var source = ActivationSource.Open([Data(folder)]);
        var config = Config with { Vectors = 16 * 60 };
        using var backend = new CpuBackend(Spec, config, source.Type);
        var statistics = new DataStatistics(source, source.Rows, 1);
        var scale = Scaling.Measure(statistics, config);
        using var parameters = new SaeParameters(Spec);
        Initialization.Fill(parameters, Spec, config, statistics, scale);
        backend.SetParameters(parameters);
        new Trainer(backend, source, source.Rows, scale, null, new RecordingObserver())
            .Run(default, CancellationToken.None);
        var scaled = Evaluator.Run(backend, new(source, 0, source.Rows), scale);
        backend.GetParameters(parameters);
        Folding.TrainedScales(parameters, scale.InputScale, scale.TargetScale);
        new SaeModel(Spec, parameters).Save(folder["sae"]);

        using var loaded = SaeModel.Load(folder["sae"]);
        using var raw = new CpuBackend(loaded.Spec, config, source.Type);
        raw.SetParameters(loaded.Parameters);
        var folded = Evaluator.Run(raw, new(source, 0, source.Rows), new(1, 1));
        Assert.NotEqual(1, scale.InputScale, 0.5);
        Assert.Equal(scaled.Fvu!.Value, folded.Fvu!.Value, 1e-5);
        Assert.Equal(scaled.L0, folded.L0, 1e-2);
        using var sae = Sae.Load(folder["sae"], BackendKind.Cpu, batchRows: 48);
        var loadedAgain = Evaluator.Run(sae, new(source, 0, source.Rows));
        Assert.Equal(folded.Fvu.Value, loadedAgain.Fvu!.Value, 1e-6);
        Assert.Equal((folded.L0, folded.SilentPercent), (loadedAgain.L0, loadedAgain.SilentPercent));
        Assert.Equal((folded.Cosine, folded.Shrinkage!.Value), (loadedAgain.Cosine, loadedAgain.Shrinkage!.Value),
            Near);
    }
}
