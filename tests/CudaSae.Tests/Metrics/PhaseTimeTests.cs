using System.Diagnostics;
using CudaSae.Backends.Cpu;

namespace CudaSae.Tests;

/// <summary>The times of the phases in the metrics of a step.</summary>
[Collection("emulator")]
[Trait("speed", "slow")]
public class PhaseTimeTests
{
    static (List<StepMetrics> Reports, byte[] Weights, double Ms) Train(TemporaryFolder folder, TrainConfig config,
        BackendKind kind = BackendKind.Cpu)
    {
        var spec = new SaeSpec
        {
            InputWidth = 32, Latents = 128, Selection = new Selection.TopK(4), Aux = new(8, 0.1f, 320)
        };
        var path = folder["x.npy"];
        using var source = ActivationSource.Open([File.Exists(path) ? path : NpyRows.Write(path, 500, 32)]);
        using var backend = kind == BackendKind.Cpu ? new CpuBackend(spec, config, source.Type, threads: 1)
            : BackendFactory.Create(kind, spec, config, source.Type, static (_, _) => { }, out _);
        var start = new TrainingStart(source, source.Rows, spec, config);
        using var weights = start.Weights(spec, config);
        backend.SetParameters(weights);
        var (observer, clock) = (new RecordingObserver(), Stopwatch.StartNew());
        new Trainer(backend, source, source.Rows, start.Scale, null, observer).Run(default, CancellationToken.None);
        return (observer.Reports, States.Of(backend, backend.State[0]), clock.Elapsed.TotalMilliseconds);
    }

    [Fact]
    public void LoggedStepsHavePhaseTimesAndNoBitChanges()
    {
        using var folder = new TemporaryFolder();
        var config = new TrainConfig { BatchRows = 64, Vectors = 64 * 95, LogEvery = 1 };
        var (every, bits, ms) = Train(folder, config);
        var (tenth, same, _) = Train(folder, config with { LogEvery = 10 });
        Assert.Equal(bits, same);
        Assert.Equal((95, 10), (every.Count, tenth.Count));     // 10, 20 … 90 and the last step
        foreach (var m in every.Concat(tenth))
        {
            double?[] phases = [m.PrepareMs, m.EncodeMs, m.DecodeMs, m.AuxMs, m.BackwardMs, m.OptimizeMs, m.LatentsMs];
            Assert.All(phases, p => Assert.True(p >= 0));
            Assert.True(m.EncodeMs > 0 && m.OptimizeMs > 0);
        }
        Assert.InRange(every.Sum(m =>
            (m.PrepareMs + m.EncodeMs + m.DecodeMs + m.AuxMs + m.BackwardMs + m.OptimizeMs + m.LatentsMs)!.Value),
            1e-3, ms);
        // the step's own time, at the clock's resolution
        Assert.InRange(every.Select(m => (m.EncodeMs, m.DecodeMs, m.BackwardMs, m.OptimizeMs)).Distinct().Count(),
            every.Count / 2, every.Count);
    }

    /// <summary>Kernels are queued, so a clock around the calls would time the calls.</summary>
    [Fact]
    public void KernelsReportNoPhaseTimes()
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built");
        using var folder = new TemporaryFolder();
        var reports = Train(folder, new() { BatchRows = 64, Vectors = 64 * 3, LogEvery = 1 },
            BackendKind.Emulator).Reports;
        Assert.Equal([1, 2, 3], reports.Select(m => m.Step));
        foreach (var field in MetricField.All.Where(f => f.Tag.StartsWith("time/", StringComparison.Ordinal)))
            Assert.All(reports, m => Assert.Null(field.Of(m)));
    }

    /// <summary>Resampling encodes other rows between two steps, but the line of the step before it reports that
    /// step.</summary>
    [Fact]
    public void AStepBeforeResamplingIsReportedUnchanged()
    {
        using var folder = new TemporaryFolder();
        var config = new TrainConfig { BatchRows = 64, Vectors = 64 * 40, LogEvery = 10 };
        var alone = Train(folder, config).Reports;
        var resampled = Train(folder,
            config with { Resampling = new(Every: 20, Times: 1, DeadAfterSteps: 1, Inputs: 128) }).Reports;
        Assert.Equal([10, 20, 30, 40], resampled.Select(m => m.Step));
        static StepMetrics Untimed(StepMetrics m) =>
            m with
            {
                RowsPerSecond = 0,
                EncodeGflops = 0,
                PrepareMs = 0,
                EncodeMs = 0,
                DecodeMs = 0,
                AuxMs = 0,
                BackwardMs = 0,
                OptimizeMs = 0,
                LatentsMs = 0,
                InputWaitMs = 0,
                FeederWaitMs = 0
            };
        Assert.Equal(alone[..2].Select(Untimed), resampled[..2].Select(Untimed));
        Assert.NotEqual(Untimed(alone[2]), Untimed(resampled[2]));
    }
}
