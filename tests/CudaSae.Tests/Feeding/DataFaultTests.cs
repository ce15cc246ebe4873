using CudaSae.Backends.Cpu;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Tests;

/// <summary>Data that change during a run: deleted, shortened, or with rows that are not finite.</summary>
public class DataFaultTests
{
    const int Width = 16, Rows = 20_000;
    static readonly SaeSpec spec = new() { InputWidth = Width, Latents = 64, Selection = new Selection.TopK(4) };
    static readonly TrainConfig config = new() { BatchRows = 16, Vectors = 16 * 60, LogEvery = 1, CheckpointEvery = 1 };

    /// <summary>Runs an action on the data at a step's report, while the feeder has filled both slots and
    /// waits.</summary>
    sealed class At(long step, Action happens) : ITrainingObserver
    {
        public void Report(StepMetrics metrics)
        {
            if (metrics.Step != step) return;
            Thread.Sleep(50);
            happens();
            Thread.Sleep(50);
        }

        public void Saved(string path) { }
    }

    [Fact]
    public void ADeletedFileIsReadToTheEnd()
    {
        using var folder = new TemporaryFolder();
        var path = NpyRows.Write(folder["x.npy"], Rows, Width);
        using var source = ActivationSource.Open([path]);
        var (trainer, backend) = Make(source, null, new At(10, () => File.Delete(path)));
        using (backend) Assert.True(Run(trainer));
        Assert.False(File.Exists(path));
    }

    [Fact]
    public void AShortenedFileIsReportedInOneLine()
    {
        using var folder = new TemporaryFolder();
        var path = NpyRows.Write(folder["x.npy"], Rows, Width);
        var length = new FileInfo(path).Length;
        using var source = ActivationSource.Open([path]);
        var (trainer, backend) = Make(source, folder["run"], new At(10, () =>
        {
            using var writer = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
            writer.SetLength(4096);
        }));
        using (backend)
        {
            var failure = Assert.Throws<SaeException>(() => Run(trainer));
            Assert.Equal(($"{path} was shortened from {length} to 4096 bytes while it is read; put the old file back, "
                + "and resume a run that was under way",
                SaeErrorKind.Files),
                (failure.Message, failure.Kind));
        }
        Assert.NotEmpty(Directory.GetFiles(folder["run/checkpoint"]));
    }

    /// <summary>A file is shortened while a thread copies rows as fast as it can. The result is always the error line,
    /// and never a signal.</summary>
    [Fact]
    public async Task AFileShortenedDuringACopyIsReportedInOneLine()
    {
        using var folder = new TemporaryFolder();
        for (var round = 0; round < 40; round++)
        {
            var path = NpyRows.Write(folder[$"{round}.npy"], Rows, Width);
            using var source = ActivationSource.Open([path]);
            var reading = new TaskCompletionSource();
            var reader = Task.Run(() => ReadForEver(source, reading), TestContext.Current.CancellationToken);
            await reading.Task;
            using (var writer = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
                writer.SetLength(0);
            Assert.Contains("was shortened from", (await Assert.ThrowsAsync<SaeException>(() => reader)).Message);
        }

        static void ReadForEver(ActivationSource source, TaskCompletionSource reading)
        {
            var row = new byte[source.RowBytes];
            for (long i = 0; ; i = (i + 37) % Rows)
            {
                source.Read(i, row);
                reading.TrySetResult();
            }
        }
    }

    /// <summary>A run that stops at a row with NaN or infinity has not changed its weights by it: they are those of the
    /// last good step, in memory and in the checkpoint.</summary>
    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void ABadRowChangesNoWeight(float value)
    {
        using var folder = new TemporaryFolder();
        var path = NpyRows.Write(folder["x.npy"], Rows, Width);
        using (var stream = File.OpenWrite(path))
            for (var row = 50; row < Rows; row += 100)
            {
                stream.Position = stream.Length - (row * Width + 3) * sizeof(float);
                stream.Write(BitConverter.GetBytes(value));
            }
        using var source = ActivationSource.Open([path]);
        var (trainer, backend) = Make(source, folder["run"], new At(-1, () => { }));
        using (backend)
        {
            Assert.Contains("holds NaN or infinity", Assert.Throws<SaeException>(() => Run(trainer)).Message);
            Assert.InRange(trainer.Step, 1, config.Steps - 1);
            using var restored = new CpuBackend(spec, config, source.Type, 1);
            Assert.Equal(trainer.Step,
                Checkpoint.Restore(folder["run"], restored, Schedules.DeadAfterSteps(spec, config)).Step);
            foreach (var array in backend.State) Assert.Equal(States.Of(restored, array), States.Of(backend, array));
        }
    }

    static bool Run(Trainer trainer) => trainer.Run(default, CancellationToken.None);

    static (Trainer, CpuBackend) Make(ActivationSource source, string? run, ITrainingObserver observer)
    {
        var backend = new CpuBackend(spec, config, source.Type, 1);
        var statistics = new DataStatistics(source, source.Rows, config.Seed);
        var scale = Scaling.Measure(statistics, config);
        using var parameters = new SaeParameters(spec);
        Initialization.Fill(parameters, spec, config, statistics, scale);
        backend.SetParameters(parameters);
        return (new(backend, source, source.Rows, scale, run, observer), backend);
    }
}
