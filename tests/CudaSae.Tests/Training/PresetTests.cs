using CudaSae.Backends.Cpu;
using CudaSae.Lab.Synthetic;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Tests;

/// <summary>Every published recipe as a whole run: it learns, it resumes bit for bit, and the saved SAE computes the
/// function that was trained.</summary>
[Trait("speed", "slow")]
public class PresetTests
{
    const int Width = 24, Latents = 64;

    public static TheoryData<string> Names => [.. Preset.All.Select(p => p.Name)];

    /// <summary>Rows of toy superposition, twice as wide where a target accompanies the input.</summary>
    static ActivationSource Data(TemporaryFolder folder, int width)
    {
        new Superposition(new()
        {
            Features = 40, Width = width, Rows = 1024, L0 = 3,
            Seed = 5
        }).WriteRows(folder["x.npy"]);
        return ActivationSource.Open([folder["x.npy"]]);
    }

    static (SaeSpec Spec, TrainConfig Config) Make(Preset preset, long vectors = 32 * 40)
    {
        var (spec, config) = preset.Make(Width, Latents, 8, new() { BatchRows = 32, Vectors = vectors, LogEvery = 1 });
        if (spec.Transcoder is { } transcoder) spec = spec with { Transcoder = transcoder with { OutputWidth = 20 } };
        if (spec.Sites is not null) spec = spec with { InputWidth = Width + 20, Sites = [Width, 20] };
        if (config.Resampling is { } resampling) config = config with { Resampling = resampling with { Inputs = 128 } };
        return (spec with
        {
            Aux = spec.Aux is { } aux ? aux with { K = 8, DeadAfterTokens = 96 } : null,
            Ghost = spec.Ghost is { } ghost ? ghost with { DeadAfterTokens = 96 } : null,
        }, config.Validate());
    }

    static byte[][] Train(IBackend backend, ActivationSource source, string? run, RecordingObserver watch,
        CancellationToken token, bool resume = false)
    {
        var start = new TrainingStart(source, source.Rows, backend.Spec, backend.Config);
        var from = default(CheckpointPosition);
        if (resume) from = Checkpoint.Restore(run!, backend, Schedules.DeadAfterSteps(backend.Spec, backend.Config));
        else
        {
            using var parameters = start.Weights(backend.Spec, backend.Config);
            backend.SetParameters(parameters);
        }
        new Trainer(backend, source, source.Rows, start.Scale, run, watch).Run(from, token);
        return States.Of(backend);
    }

    [Theory, MemberData(nameof(Names))]
    public void ResumedRunEqualsTheUninterruptedOne(string name)
    {
        using var folder = new TemporaryFolder();
        var (spec, config) = Make(Preset.Named(name));
        using var source = Data(folder, spec.RowWidth);
        byte[][] Run(string? run, int after, bool resume)
        {
            using var backend = new CpuBackend(spec, config, source.Type, 2);
            using var stop = new CancellationTokenSource();
            return Train(backend, source, run, RecordingObserver.CancelsAtReport(stop, after), stop.Token, resume);
        }
        var whole = Run(null, int.MaxValue, false);
        Run(folder["run"], 17, false);
        var resumed = Run(folder["run"], int.MaxValue, true);
        States.AssertSame(whole, resumed);
    }

    [Theory, MemberData(nameof(Names))]
    public void LearnsAndSavesTheSameFunction(string name)
    {
        using var folder = new TemporaryFolder();
        var (spec, config) = Make(Preset.Named(name), 32 * 400);
        if (spec.Penalty is { } penalty)
            spec = spec with { Penalty = penalty with { Coefficient = 0.05f * penalty.Coefficient } };
        using var source = Data(folder, spec.RowWidth);
        using var backend = new CpuBackend(spec, config, source.Type, 2);
        var watch = new RecordingObserver();
        Train(backend, source, null, watch, CancellationToken.None);
        Assert.True(watch.Reports[^1].Fvu < 0.6 * watch.Reports[0].Fvu,
            $"FVU {watch.Reports[0].Fvu} → {watch.Reports[^1].Fvu}");
        if (config.Resampling is not null) Assert.Contains(watch.Notes, note => note.Contains("resampled"));

        var scale = new TrainingStart(source, source.Rows, spec, config).Scale;
        var trained = Evaluator.Run(backend, new(source, 0, source.Rows), scale);
        using var parameters = new SaeParameters(spec);
        backend.GetParameters(parameters);
        if (config.FoldDecoderNorms) Folding.TrainedNorms(parameters);
        Folding.TrainedScales(parameters, scale.InputScale, scale.TargetScale);
        new SaeModel(spec, parameters).Save(folder["sae"]);
        using var loaded = SaeModel.Load(folder["sae"]);
        using var again = new CpuBackend(loaded.Spec, config, source.Type, 2);
        again.SetParameters(loaded.Parameters);
        var saved = Evaluator.Run(again, new(source, 0, source.Rows), new(1, 1));
        Assert.Equal(trained.Fvu!.Value, saved.Fvu!.Value, 2e-3 * trained.Fvu.Value + 1e-5);
        Assert.Equal(trained.L0, saved.L0, 0.02 * trained.L0 + 0.01);
    }

    /// <summary>The kernels resume bit for bit where a method has additional state.</summary>
    [Collection("emulator")]
    public class OnKernels
    {
        public static TheoryData<string> Names => ["jumprelu", "batch-topk", "gated", "skip-transcoder"];

        [Theory, MemberData(nameof(Names))]
        public void RestoredStateContinuesBitForBit(string name)
        {
            Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
            using var folder = new TemporaryFolder();
            var (spec, config) = Make(Preset.Named(name), 32 * 6);
            // in the background
            config = config with { BatchRows = 16, Vectors = 16 * 6, Resampling = null, CheckpointEvery = 1 };
            using var source = Data(folder, spec.RowWidth);
            byte[][] Run(string? run, int after, bool resume)
            {
                using var backend = Targets.Create("emulator, schedule 3")(spec, config, source.Type);
                using var stop = new CancellationTokenSource();
                return Train(backend, source, run, RecordingObserver.CancelsAtReport(stop, after), stop.Token, resume);
            }
            var whole = Run(null, int.MaxValue, false);
            Run(folder["run"], 2, false);
            var resumed = Run(folder["run"], int.MaxValue, true);
            States.AssertSame(whole, resumed);
        }
    }

    [Fact]
    public void TheDensePathTurnsSparseWithHysteresisAndANote()
    {
        using var folder = new TemporaryFolder();
        var spec = new SaeSpec
        {
            InputWidth = Width, Latents = 256, Selection = new Selection.Relu(256),
            Penalty = new SparsityPenalty.L1 { Coefficient = 2 }, DecoderNorm = DecoderNorm.Unit
        };
        var config = new TrainConfig
        {
            BatchRows = 32, Vectors = 32 * 300, LogEvery = 1, LossNormalization = LossNormalization.Sum,
            LearningRate = 3e-3f, DenseAbove = 0.3f
        };
        using var source = Data(folder, Width);
        using var backend = new CpuBackend(spec, config, source.Type, 2);
        var watch = new RecordingObserver();
        Train(backend, source, null, watch, CancellationToken.None);
        var note = Assert.Single(watch.Notes);
        Assert.Contains("sparse path from here on", note);
        Assert.True(watch.Reports[0].Dense);
        Assert.False(watch.Reports[^1].Dense);
        // The loss does not jump: the first sparse batches have losses in the range of the last dense ones.
        var at = watch.Reports.FindIndex(r => !r.Dense);
        var (before, after) = (watch.Reports[(at - 5)..at].Select(r => r.Loss).ToArray(),
            watch.Reports[at..(at + 5)].Average(r => r.Loss));
        Assert.InRange(after, 0.7 * before.Min(), 1.1 * before.Max());
    }
}
