using System.Buffers.Binary;
using System.Globalization;
using CudaSae.Backends.Cpu;
using CudaSae.Lab.Synthetic;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Tests;

/// <summary>Checkpoints during a run: whole or refused, saved in the background or not, and the last good one is never
/// deleted.</summary>
public class CheckpointTests
{
    static readonly SaeSpec Spec = new()
    {
        InputWidth = 24, Latents = 64, Selection = new Selection.TopK(4), Aux = new(8, 0.1f, 64)
    };
    static readonly TrainConfig Config = new()
    {
        BatchRows = 16, Vectors = 16 * 40, LogEvery = 1, CheckpointEvery = 5, LearningRate = 0.02f
    };

    static ActivationSource Data(TemporaryFolder folder)
    {
        new Superposition(new()
        {
            Features = 40, Width = 24, Rows = 512, L0 = 3,
            Seed = 5
        }).WriteRows(folder["x.npy"]);
        return ActivationSource.Open([folder["x.npy"]]);
    }

    /// <summary>Trains from the start, or from the run's newest checkpoint.</summary>
    static byte[][] Train(ActivationSource source, TrainConfig config, string run, RecordingObserver watch,
        CancellationTokenSource? stop = null, bool resume = false)
    {
        using var backend = new CpuBackend(Spec, config, source.Type, 1);
        var start = new TrainingStart(source, source.Rows, Spec, config);
        var from = default(CheckpointPosition);
        if (resume) from = Checkpoint.Restore(run, backend, Schedules.DeadAfterSteps(Spec, config), watch.Note);
        else
        {
            using var parameters = start.Weights(Spec, config);
            backend.SetParameters(parameters);
        }
        new Trainer(backend, source, source.Rows, start.Scale, run,
            watch).Run(from, stop?.Token ?? CancellationToken.None);
        return States.Of(backend);
    }

    static string[] Names(string run) => [.. Directory.GetFiles(Path.Combine(run, "checkpoint"))
        .Select(path => Path.GetFileName(path)!).Order(StringComparer.Ordinal)];

    static string Step(string run, int step) => Path.Combine(run, "checkpoint", $"step-{step:D9}.safetensors");

    [Theory, InlineData(true), InlineData(false)]
    public void ResumedRunEqualsTheWholeOneBitForBit(bool background)
    {
        using var folder = new TemporaryFolder();
        using var source = Data(folder);
        var config = Config with { AsyncCheckpoints = background };
        var whole = Train(source, config, folder["whole"], new());
        using var stop = new CancellationTokenSource();
        var watch = RecordingObserver.CancelsAtReport(stop, 17);
        Train(source, config, folder["cut"], watch, stop);
        Assert.Equal(background, watch.Notes.Any(note => note.Contains("in the background, from a copy")));
        Assert.Equal([Step(folder["cut"], 5), Step(folder["cut"], 10), Step(folder["cut"], 15),
            Step(folder["cut"], 18)],
            watch.Paths);
        States.AssertSame(whole, Train(source, config, folder["cut"], new(), resume: true));
    }

    /// <summary>A checkpoint in the background holds the state of its own step, byte for byte, although training
    /// continued meanwhile.</summary>
    [Fact]
    public void BackgroundSavingWritesTheSameFiles()
    {
        using var folder = new TemporaryFolder();
        using var source = Data(folder);
        foreach (var background in new[] { false, true })
            Train(source, Config with { AsyncCheckpoints = background, KeepCheckpoints = 99 }, folder[$"{background}"],
                new());
        Assert.Equal([5, 10, 15, 20, 25, 30, 35, 40],
            Names(folder["True"]).Where(n => n.StartsWith("step", StringComparison.Ordinal))
                .Select(n => int.Parse(n[5..14], CultureInfo.InvariantCulture)));
        foreach (var name in Names(folder["False"]))
            Assert.Equal(File.ReadAllBytes(folder[$"False/checkpoint/{name}"]),
                File.ReadAllBytes(folder[$"True/checkpoint/{name}"]));
    }

    [Fact]
    public void AnyDamagedByteIsDetectedBeforeStateIsWritten()
    {
        using var folder = new TemporaryFolder();
        using var source = Data(folder);
        Train(source, Config, folder["run"], new());
        var (newest, older) = (Step(folder["run"], 40), Step(folder["run"], 35));
        var good = File.ReadAllBytes(newest);
        using var backend = new CpuBackend(Spec, Config, source.Type, 1);
        using (var parameters = new SaeParameters(Spec)) backend.SetParameters(parameters);
        var untouched = States.Of(backend);
        var places = new List<(string Expected, long Place)>();
        var headerBytes = 8 + (int)BinaryPrimitives.ReadUInt64LittleEndian(good);
        using (var file = new SafetensorsFile(newest))
            foreach (var tensor in file.Tensors.Values)
                places.AddRange([($"tensor {tensor.Name} differs", tensor.Offset),
                    ($"tensor {tensor.Name} differs", tensor.Offset + tensor.Bytes - 1)]);
        for (var i = 0; i < headerBytes; i += i < 8 ? 1 : 7) places.Add(("", i));
        foreach (var (expected, place) in places)
        {
            var bad = (byte[])good.Clone();
            bad[place] ^= 1;
            File.WriteAllBytes(newest, bad);
            AssertOneLine($"step-000000040.safetensors is damaged: .*{expected}.*step-000000035.safetensors is whole",
                () => Checkpoint.Restore(folder["run"], backend, 4));
        }
        File.WriteAllBytes(newest, good[..^1]);
        AssertOneLine("is damaged: .*(truncated|claims)", () => Checkpoint.Restore(folder["run"], backend, 4));
        States.AssertSame(untouched, States.Of(backend));
        File.WriteAllBytes(older, good[..100]);
        File.Delete(folder["run/checkpoint/best.safetensors"]);
        AssertOneLine("000040.* is damaged.*no older checkpoint is whole",
            () => Checkpoint.Restore(folder["run"], backend, 4, _ => { }));
        Assert.Equal(2, Names(folder["run"]).Length);
    }

    /// <summary>A resume falls back to the older checkpoint with a note, renames the damaged one, and ends like the
    /// whole run.</summary>
    [Fact]
    public void ResumeFallsBackToTheOlderCheckpointWithANote()
    {
        using var folder = new TemporaryFolder();
        using var source = Data(folder);
        var whole = Train(source, Config, folder["run"], new());
        string[] names;
        using (var file = new SafetensorsFile(Step(folder["run"], 40))) names = [.. file.Tensors.Keys];
        foreach (var name in names)
        {
            var bytes = File.ReadAllBytes(Step(folder["run"], 40));
            using (var file = new SafetensorsFile(Step(folder["run"], 40)))
                bytes[file.Tensors[name].Offset + file.Tensors[name].Bytes / 2] ^= 0x40;
            File.Delete(Step(folder["run"], 40));       // it may also be the best one, under a second name
            File.WriteAllBytes(Step(folder["run"], 40), bytes);
            var watch = new RecordingObserver();
            States.AssertSame(whole, Train(source, Config, folder["run"], watch, resume: true));
            Assert.Contains(watch.Notes,
                note =>
                    note.Contains($"tensor {name} differs")
                        && note.Contains("resumes from step-000000035.safetensors, step 35"));
            Assert.True(File.Exists(Step(folder["run"], 40) + ".damaged"));
        }
    }

    [Fact]
    public void TheLastFallbackIsTheBestCheckpoint()
    {
        using var folder = new TemporaryFolder();
        using var source = Data(folder);
        var whole = Train(source, Config, folder["run"], new());
        File.Copy(folder["run/checkpoint/best.safetensors"], folder["best"]);       // without the second name
        File.Move(folder["best"], folder["run/checkpoint/best.safetensors"], overwrite: true);
        foreach (var step in new[] { 35, 40 }) File.WriteAllBytes(Step(folder["run"], step), [1, 2, 3]);
        var watch = new RecordingObserver();
        States.AssertSame(whole, Train(source, Config, folder["run"], watch, resume: true));
        Assert.Equal(2, watch.Notes.Count(note => note.Contains("resumes from best.safetensors")));
    }

    [Fact]
    public void TheLastCheckpointsAndTheBestAreKept()
    {
        using var folder = new TemporaryFolder();
        using var source = Data(folder);
        var watch = new RecordingObserver();
        Train(source, Config with { KeepCheckpoints = 3 }, folder["run"], watch);
        Assert.Equal(["best.safetensors", "step-000000030.safetensors", "step-000000035.safetensors",
            "step-000000040.safetensors"],
            Names(folder["run"]));
        var (step, fvu) = watch.Reports.Where(m => m.Step % 5 == 0)
            .Select(m => (m.Step, m.Fvu!.Value)).MinBy(m => m.Value);
        using var best = new SafetensorsFile(folder["run/checkpoint/best.safetensors"]);
        Assert.Equal(($"{step}", fvu),
            (best.Metadata["step"], double.Parse(best.Metadata["fvu"], CultureInfo.InvariantCulture)));
        Train(source, Config with { KeepCheckpoints = 1, KeepBest = false }, folder["other"], new());
        Assert.Equal(["step-000000040.safetensors"], Names(folder["other"]));
    }

    /// <summary>The disk is full at step 10: one line is printed, and step 5 remains, although only one checkpoint is
    /// kept.</summary>
    [Theory, InlineData(true), InlineData(false)]
    public void AFailedWriteLosesNothing(bool background)
    {
        Assert.SkipUnless(File.Exists("/dev/full"), "no /dev/full here");
        using var folder = new TemporaryFolder();
        using var source = Data(folder);
        var config = Config with { AsyncCheckpoints = background, KeepCheckpoints = 1 };
        var watch = new RecordingObserver
        {
            OnSaved = _ => File.CreateSymbolicLink(Step(folder["run"], 10) + ".tmp", "/dev/full"),
        };
        AssertOneLine("cannot write .*step-000000010.safetensors: ", () => Train(source, config, folder["run"], watch));
        Assert.Equal(["best.safetensors", "step-000000005.safetensors"], Names(folder["run"]));
        var whole = Train(source, config, folder["whole"], new());
        States.AssertSame(whole, Train(source, config, folder["run"], new(), resume: true));
    }

    /// <summary>Absent fields of older records keep their defaults, and older checkpoints without checksums are
    /// read.</summary>
    [Fact]
    public void RunsOfTheFirstVersionResume()
    {
        using var folder = new TemporaryFolder();
        using var source = Data(folder);
        var node = SaeRecords.Write(Config).AsObject();
        foreach (var field in new[] { "keep_checkpoints", "keep_best", "async_checkpoints", "device_pool",
            "shuffle_window" })
            Assert.True(node.Remove(field));
        Assert.Equal(Config, SaeRecords.ReadConfig(node));

        var whole = Train(source, Config, folder["run"], new());
        OlderCheckpoint.Write(Step(folder["run"], 35), Step(folder["first"], 35));
        var watch = new RecordingObserver();
        States.AssertSame(whole, Train(source, Config, folder["first"], watch, resume: true));
        Assert.Contains(watch.Notes, note => note.Contains("version 1, without checksums"));
    }
}
