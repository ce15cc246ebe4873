using CudaSae.Backends.Cpu;
using CudaSae.Numerics;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Tests;

/// <summary>A run is resumed on the rows that it began with, or not at all. A finished SAE survives a refused
/// resume.</summary>
[Trait("speed", "slow")]
public class ResumeDataTests
{
    static readonly string[] Shape =
        ["--latents", "32", "--k", "4", "--aux-k", "0", "--batch-rows", "32", "--backend", "cpu"];
    static readonly string[] Small = [.. Shape, "--vectors", "960"];

    static (int Code, string Output, string Error) Run(params string[] arguments) =>
        CliProgram.Run(CliProgram.Start(arguments));

    static string Works(params string[] arguments)
    {
        var (code, output, error) = Run(arguments);
        Assert.True(code == 0, output + error);
        return output.ReplaceLineEndings(" ");
    }

    static void Refused(string expected, params string[] arguments)
    {
        var (code, output, error) = Run(arguments);
        Assert.True(code == 2, output + error);
        Assert.Matches(expected, Assert.Single(error.TrimEnd().Split('\n')));
    }

    /// <summary>Makes rows of numbers that depend on row, column and seed alone.</summary>
    static void Write(string path, int rows, int width, int seed = 1, string type = "<f4")
    {
        using var stream = File.Create(path);
        stream.Write(NpyFile.MakeHeader(type, rows, width));
        for (var row = 0; row < rows; row++)
        {
            var random = new Random(1000 * seed + row);
            for (var i = 0; i < width; i++)
                if (type == "<f4") stream.Write(BitConverter.GetBytes((float)random.NextDouble()));
                else stream.Write(BitConverter.GetBytes((Half)random.NextDouble()));
        }
    }

    [Fact]
    public void OtherRowsAreRefusedAndTheFinishedSaeIsKept()
    {
        using var folder = new TemporaryFolder();
        var data = folder["x.npy"];
        Write(data, 300, 16);
        Works(["train", data, "--out", folder["run"], "--held-out", "60", .. Small]);
        Works(["sweep", data, "--out", folder["sweep"], "--presets", "topk", "--held-out", "60", .. Small]);
        string[] kept =
        [
            "run/sae_weights.safetensors", "run/train.json", "run/metrics.jsonl",
            "run/checkpoint/step-000000030.safetensors", "sweep/topk-n32-k4/sae_weights.safetensors",
            "sweep/sweep.json",
        ];
        var before = kept.Select(name => File.ReadAllBytes(folder[name])).ToArray();
        foreach (var (expected, change) in new (string, Action)[]
        {
            ("they were 16 wide and are now 15", () => Write(data, 300, 15)),
            ("they were Float32 and are now Float16", () => Write(data, 300, 16, type: "<f2")),
            ("there were 300 rows and there are now 280", () => Write(data, 280, 16)),
            (@"the training rows have changed \(their values differ\)", () => Write(data, 300, 16, seed: 2)),
            (@"the held-out rows have changed \(their values differ\)", () => ChangeByte(data, 290)),
            (@"the training rows have changed \(their values differ\)", () => ChangeByte(data, 0)),
            (@"the training rows have changed \(their values differ\)", () => ChangeByte(data, 239)),
        })
        {
            Write(data, 300, 16);
            change();
            Refused($"the data of .*run .*{expected}.*; ", "train", "--resume", folder["run"], "--vectors", "1920");
            if (!expected.Contains("wide")) continue;       // all commands make the same comparison
            Refused($"the data of .*sweep .*{expected}.*; ", "sweep", "--resume", folder["sweep"]);
            Refused($"the data of .*run .*{expected}.*; ", "eval", folder["run"]);
            Refused($"the data of .*run .*{expected}.*; ", "train", data, "--resume", folder["run"]);
        }
        Assert.Equal(before, kept.Select(name => File.ReadAllBytes(folder[name])));
        Write(data, 300, 16);
        Works("train", "--resume", folder["run"]);
        Works("sweep", "--resume", folder["sweep"]);
    }

    static void ChangeByte(string path, int row)
    {
        var bytes = File.ReadAllBytes(path);
        bytes[bytes.Length - (300 - row) * 64] ^= 1;
        File.WriteAllBytes(path, bytes);
    }

    /// <summary>Another path and rows after the end are allowed and recorded, and change no bit.</summary>
    [Fact]
    public void MovedAndGrownDataAreListedAndChangeNoBit()
    {
        using var folder = new TemporaryFolder();
        string data = folder["x.npy"], moved = folder["moved.npy"];
        Write(data, 300, 16);
        Works(["train", data, "--out", folder["whole"], "--held-out", "60", .. Shape, "--vectors", "1920"]);
        Works(["train", data, "--out", folder["run"], "--held-out", "60", .. Shape, "--vectors", "1920",
            "--checkpoint-every", "10", "--set", "config.keep_checkpoints=9"]);
        var checkpoints = Directory.GetFiles(folder["run/checkpoint"]);
        foreach (var later in checkpoints.Where(path => !path.Contains("-000000010"))) File.Delete(later);
        File.Delete(data);
        Write(moved, 340, 16);
        Refused("cannot be opened: .*x.npy", "train", "--resume", folder["run"]);
        var output = Works("train", moved, "--resume", folder["run"]);
        Assert.Contains("40 rows that follow those of the run are left out", output);
        var record = RunRecord.Load(folder["run"]);
        Assert.Equal([moved], record.Data);
        Assert.Equal(240, record.TrainRows);
        Assert.Contains(record.Changes, line => line.Contains($"data {data} → {moved}"));
        Assert.Equal(File.ReadAllBytes(folder["whole/sae_weights.safetensors"]),
            File.ReadAllBytes(folder["run/sae_weights.safetensors"]));
        Assert.Contains(" 60 ", Works("eval", folder["run"], "--backend", "cpu"));
        Refused("--held-out cannot be changed", "train", "--resume", folder["run"], "--held-out", "30");
        Refused("--beside names 1 files or folders, .* began with 0", "train", "--resume", folder["run"],
            "--beside", moved);
    }

    /// <summary>A transcoder's target is compared like its input.</summary>
    [Fact]
    public void TargetRowsAreCompared()
    {
        using var folder = new TemporaryFolder();
        Write(folder["x.npy"], 300, 16);
        Write(folder["y.npy"], 300, 12, seed: 2);
        Works(["train", folder["x.npy"], "--beside", folder["y.npy"], "--preset", "transcoder",
            "--out", folder["run"], .. Small]);
        Write(folder["y.npy"], 300, 12, seed: 3);
        Refused("their values differ", "train", "--resume", folder["run"]);
        Write(folder["y.npy"], 300, 10, seed: 2);
        Refused("they were 16 beside 12 wide and are now 16 beside 10", "train", "--resume", folder["run"]);
        Write(folder["z.npy"], 300, 12, seed: 2);
        Works("train", "--resume", folder["run"], "--beside", folder["z.npy"]);
    }

    /// <summary>A member without a checkpoint is trained again, but never replaces a finished SAE.</summary>
    [Fact]
    public void ASweepDeletesNoFinishedSae()
    {
        using var folder = new TemporaryFolder();
        Write(folder["x.npy"], 300, 16);
        Works(["sweep", folder["x.npy"], "--out", folder["sweep"], "--presets", "topk", .. Small]);
        var member = folder["sweep/topk-n32-k4"];
        Directory.Delete(Path.Combine(member, "checkpoint"), recursive: true);
        File.Delete(Path.Combine(member, "outcome.json"));
        var (code, output, _) = Run("sweep", "--resume", folder["sweep"]);
        Assert.Equal(1, code);
        Assert.Contains("holds a finished SAE but no checkpoint", output.ReplaceLineEndings(" "));
        Assert.True(File.Exists(Path.Combine(member, "sae_weights.safetensors")));
    }

    static readonly SaeSpec Spec = new() { InputWidth = 16, Latents = 32, Selection = new Selection.TopK(4) };
    static readonly TrainConfig Config = new() { BatchRows = 32, Vectors = 960 };

    static Runner Open(ActivationSource source, SaeSpec spec, TrainConfig config) =>
        new(new CpuBackend(spec, config, source.Type, 1), source, source.Rows,
            new TrainingStart(source, source.Rows, spec, config).Scale);

    /// <summary>The library compares rows, spec and config with those of the checkpoint.</summary>
    [Fact]
    public void TheLibraryRefusesAnotherRun()
    {
        using var folder = new TemporaryFolder();
        Write(folder["x.npy"], 300, 16);
        Write(folder["y.npy"], 300, 16, seed: 2);
        using var source = ActivationSource.Open([folder["x.npy"]]);
        using var other = ActivationSource.Open([folder["y.npy"]]);
        using (var runner = Open(source, Spec, Config))
        {
            runner.Begin(new TrainingStart(source, source.Rows, Spec, Config));
            runner.Train(folder["run"], new RecordingObserver(), TestContext.Current.CancellationToken);
        }
        void Refused(string expected, ActivationSource rows, SaeSpec spec, TrainConfig config)
        {
            using var runner = Open(rows, spec, config);
            Assert.Matches(expected, Assert.Throws<SaeException>(() => runner.Resume(folder["run"], null)).Message);
        }
        Refused("their values differ", other, Spec, Config);
        Refused("spec.selection = .*4.* cannot be restored with .*5", source,
            Spec with { Selection = new Selection.TopK(5) }, Config);
        Refused("config.seed = 1 and cannot be restored with 2", source, Spec, Config with { Seed = 2 });
        using var same = Open(source, Spec, Config with { Vectors = 1920, KeepCheckpoints = 3 });
        same.Resume(folder["run"], null);
        Assert.Equal(30, same.From.Step);
    }

    [Fact]
    public void ATrainerOfOtherRowsIsRefused()
    {
        using var folder = new TemporaryFolder();
        var rows = new float[32 * 16];
        for (var i = 0; i < rows.Length; i++) rows[i] = i % 37 - 18;
        using (var trainer = new SaeTrainer(Spec, Config, CudaSae.Backends.BackendKind.Cpu))
        {
            trainer.Step(rows);
            trainer.Save(folder["run"]);
        }
        using var half = new SaeTrainer(Spec, Config, CudaSae.Backends.BackendKind.Cpu, InputType.Float16);
        Assert.Contains("took Float32, but this one takes Float16",
            Assert.Throws<SaeException>(() => half.Restore(folder["run"])).Message);
        using var wider = new SaeTrainer(Spec with { Selection = new Selection.TopK(5) }, Config,
            BackendKind.Cpu);
        Assert.Contains("spec.selection", Assert.Throws<SaeException>(() => wider.Restore(folder["run"])).Message);
        // A trainer's checkpoint is an SAE too.
        using var sae = Sae.Load(folder["run"], CudaSae.Backends.BackendKind.Cpu);
        Assert.Equal(32, sae.Latents);
    }
}
