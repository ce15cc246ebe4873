using CudaSae.Backends.Cpu;
using CudaSae.Lab.Insight.Density;
using CudaSae.Lab.Report;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Tests;

/// <summary>Densities over training: they equal counted codes, do not affect training, and are resumable.</summary>
[Trait("speed", "slow")]
public class DensityTests
{
    const int Every = 6;
    static readonly SaeSpec Spec = new() { InputWidth = 24, Latents = 200, Selection = new Selection.TopK(3) };
    static readonly TrainConfig Config = new()
    {
        BatchRows = 16, Vectors = 16 * 40, LearningRate = 0.05f,
        Resampling = new(10, 2, DeadAfterSteps: 7, Inputs: 64, Protected: 0.3f)
    };

    /// <summary>Computes the expected log from the codes of every step.</summary>
    sealed class Counter(ITrainingObserver? also, CancellationTokenSource? stop = null, int stopAfter = int.MaxValue)
        : ITrainingObserver
    {
        public List<int[]> Firings { get; } = [];
        public List<string> Notes { get; } = [];

        public void Stepped(long step, IBackend backend)
        {
            var (code, counts) =
                (new SparseCode(backend.Config.BatchRows, backend.Spec.Active), new int[backend.Spec.Latents]);
            backend.ReadCode(code);
            for (var e = 0; e < code.Index.Length; e++)
                if (code.Value[e] != 0) counts[code.Index[e]]++;
            Firings.Add(counts);
            also?.Stepped(step, backend);
            if (step >= stopAfter) stop!.Cancel();
        }

        public void Note(string line) => Notes.Add(line);
        public void Report(StepMetrics metrics) { }
        public void Saved(string path) { }
    }

    static ActivationSource Data(TemporaryFolder folder)
    {
        var random = new Random(5);
        using (var stream = File.Create(folder["x.npy"]))
        {
            stream.Write(NpyFile.MakeHeader("<f4", 200, 24));
            for (var i = 0; i < 200 * 24; i++) stream.Write(BitConverter.GetBytes((float)(random.NextDouble() - 0.5)));
        }
        return ActivationSource.Open([folder["x.npy"]]);
    }

    static (byte[][] State, Counter Counter) Train(ActivationSource source, string? run, string? log,
        int stopAfter = int.MaxValue, bool resume = false)
    {
        using var backend = new CpuBackend(Spec, Config, source.Type);
        var start = new TrainingStart(source, source.Rows, Spec, Config);
        var from = default(CheckpointPosition);
        if (resume) from = Checkpoint.Restore(run!, backend, Schedules.DeadAfterSteps(Spec, Config));
        else
        {
            using var weights = start.Weights(Spec, Config);
            backend.SetParameters(weights);
        }
        using var density = log is null ? null : new DensityLog(log, Spec.Latents, Config, Every, from.Step);
        using var stop = new CancellationTokenSource();
        var counter = new Counter(density, stop, stopAfter);
        new Trainer(backend, source, source.Rows, start.Scale, run, counter).Run(from, stop.Token);
        return (States.Of(backend), counter);
    }

    [Fact]
    public void TheLogEqualsCountedCodesAndChangesNoBit()
    {
        using var folder = new TemporaryFolder();
        using var source = Data(folder);
        var (plain, _) = Train(source, null, null);
        var (logged, counter) = Train(source, null, folder["density.bin"]);
        States.AssertSame(plain, logged);
        var file = new DensityFile(folder["density.bin"]);
        Assert.Equal((200, 16, 7), (file.Latents, file.BatchRows, file.Count)); // 40 steps are six windows and a part
        for (var w = 0; w < file.Count; w++)
        {
            var (first, steps) = (w * Every, Math.Min(Every, 40 - w * Every));
            var window = file[w];
            Assert.Equal((first + steps, 16 * steps), (window.Step, window.Rows));
            for (var f = 0; f < 200; f++)
                Assert.Equal(counter.Firings.Skip(first).Take(steps).Sum(c => c[f]), (int)window.Firings[f]);
            Assert.Equal(200, window.Octaves.Sum());
            Assert.Equal(window.Firings.Count(c => c == 0), window.Octaves[0]);
            for (var j = 0; j < 12; j++)
                Assert.Equal(window.Firings.Count(c => (double)c / window.Rows is var density
                    && density <= Math.Pow(2, -j) && density > Math.Pow(2, -j - 1)),
                    window.Octaves[1 + j]);
        }
        Assert.Equal(2, counter.Notes.Count);                                                        // steps 10 and 20
        for (var time = 0; time < 2; time++)
        {
            var window = file[(10 * (time + 1) - 1) / Every];
            Assert.Contains($"step {10 * (time + 1)}: {window.Resampled.Count(r => r)} latents resampled, "
                + $"{window.Protected.Count(r => r)} dead ones protected",
                counter.Notes[time]);
            Assert.True(window.Resampled.Contains(true) && window.Protected.Contains(true));
        }
        Assert.All(Enumerable.Range(0, 7).Where(w => w is not 1 and not 3),
            w => Assert.DoesNotContain(true, file[w].Resampled));
    }

    [Fact]
    public void AResumedLogContinuesAtTheCheckpointAndIgnoresATruncatedEnd()
    {
        using var folder = new TemporaryFolder();
        using var source = Data(folder);
        Train(source, null, folder["whole.bin"]);
        Train(source, folder["run"], folder["density.bin"], stopAfter: 15); // the last window has 3 steps
        using (var later = new FileStream(folder["density.bin"], FileMode.Append)) later.Write(new byte[777]);
        Train(source, folder["run"], folder["density.bin"], resume: true);
        var (whole, resumed) = (new DensityFile(folder["whole.bin"]), new DensityFile(folder["density.bin"]));
        Assert.Equal([6, 12, 15, 18, 24, 30, 36, 40], Enumerable.Range(0, resumed.Count).Select(resumed.StepOf));
        for (var f = 0; f < 200; f++) Assert.Equal(whole[2].Firings[f], resumed[2].Firings[f] + resumed[3].Firings[f]);
        Assert.Equal(whole[6].Firings, resumed[7].Firings);
        var bytes = File.ReadAllBytes(folder["density.bin"]);
        File.WriteAllBytes(folder["density.bin"], bytes[..^5]);
        Assert.Equal(7, new DensityFile(folder["density.bin"]).Count);
    }

    [Fact]
    public void ARolledBackRunIsLoggedFromItsCheckpoint()
    {
        using var folder = new TemporaryFolder();
        using var source = Data(folder);
        using var backend = new CpuBackend(Spec, Config with { Resampling = null }, source.Type);
        using (var log = new DensityLog(folder["density.bin"], Spec.Latents, Config with { Resampling = null }, 3, 0))
            foreach (var step in new long[] { 1, 2, 3, 4, 5, 6, 7, 8, 5, 6, 7 }) log.Stepped(step, backend);
        var file = new DensityFile(folder["density.bin"]);
        Assert.Equal([(3, 48), (6, 32), (7, 16)],
            Enumerable.Range(0, file.Count).Select(w => (file[w].Step, file[w].Rows)));
    }

    [Fact]
    public void ChangedFilesAreReadOrRefusedInOneLine()
    {
        using var folder = new TemporaryFolder();
        using var source = Data(folder);
        Train(source, null, folder["density.bin"]);
        var (whole, random, refused) = (File.ReadAllBytes(folder["density.bin"]), new Random(3), 0);
        for (var round = 0; round < 300; round++)
        {
            var bytes = whole[..(round % 3 == 0 ? random.Next(whole.Length) : whole.Length)];
            for (var change = random.Next(4); change > 0 && bytes.Length > 0; change--)
                bytes[random.Next(round % 2 == 0 ? Math.Min(40, bytes.Length) : bytes.Length)] = (byte)random.Next(256);
            File.WriteAllBytes(folder[DensityFile.Name], bytes);
            try
            {
                foreach (var figure in DensityFigures.Chapter(Path.GetDirectoryName(folder[DensityFile.Name])!)?.Figures
                    ?? [])
                    Assert.NotEmpty(figure.Finding);
            }
            catch (SaeException e)
            {
                Assert.DoesNotContain('\n', e.Message);
                refused++;
            }
        }
        Assert.InRange(refused, 30, 290);
    }

    [Fact]
    public void WideRunsKeepASampleAndFilesOfOtherRunsAreRefused()
    {
        using var folder = new TemporaryFolder();
        var config = Config with { Vectors = 16 * 100_000 };
        new DensityLog(folder["density.bin"], 65_536, config, 10, 0).Dispose();
        var file = new DensityFile(folder["density.bin"]);
        Assert.Equal((65_536, DensityLog.Sample, 0), (file.Latents, file.Kept.Length, file.Count));
        Assert.Equal(4096, file.Kept.Distinct().Count());
        AssertOneLine("has 65536 latents, this run has 200",
            () => new DensityLog(folder["density.bin"], 200, config, 10, 5).Dispose());
        AssertOneLine("--density-every 0", () => new DensityLog(folder["other.bin"], 200, config, 0, 0).Dispose());
        var bytes = File.ReadAllBytes(folder["density.bin"]);
        for (var cut = 0; cut < 40; cut++)
        {
            File.WriteAllBytes(folder["cut.bin"], bytes[..cut]);
            AssertOneLine("not a log of densities|damaged", () => _ = new DensityFile(folder["cut.bin"]));
        }
        bytes[13] = 0xff;
        File.WriteAllBytes(folder["cut.bin"], bytes);
        AssertOneLine("damaged", () => _ = new DensityFile(folder["cut.bin"]));
    }

    [Fact]
    public void CommandsLogInspectAndRefuse()
    {
        using var folder = new TemporaryFolder();
        (int Code, string Output, string Error) Run(params string[] arguments) =>
            CliProgram.Run(CliProgram.Start(arguments));
        Assert.Equal(0, Run("synth", folder["x.npy"], "--features", "40", "--width", "16", "--rows", "600").Code);
        var trained = Run("train", folder["x.npy"], "--out", folder["run"], "--latents", "64", "--k", "4",
            "--batch-rows", "32", "--vectors", "1600", "--density-every", "8", "--backend", "cpu",
            "--set", "config.resampling={\"every\":20}");
        Assert.True(trained.Code == 0, trained.Error);
        var (code, output, error) = Run("inspect", folder["run"], "--backend", "cpu", "--against", folder["run"]);
        Assert.True(code == 0, error);
        Assert.Contains("MMCS is 1.0000", output);
        var chapters = Chapter.Load(folder["run"]);
        Assert.Equal(["density", "latents", "geometry", "ultralow", "against-run"], chapters.Select(s => s.Id));
        Assert.All(chapters.SelectMany(s => s.Figures),
            f => Assert.Contains(f.Finding, output.ReplaceLineEndings("\n")));
        var refused = Run("inspect", folder["run"], "--rows", "0");
        Assert.Equal((2, "cudasae: --rows 0: it must be a whole number, 1 or more; see cudasae inspect --help"),
            (refused.Code, refused.Error.Trim()));
        var report = Run("report", folder["run"], "--backend", "cpu", "--rows", "20");
        Assert.True(report.Code == 0, report.Error);
        // the file that inspect wrote
        Assert.Contains("fire on none of the 60 rows", report.Output.ReplaceLineEndings(" "));
    }
}
