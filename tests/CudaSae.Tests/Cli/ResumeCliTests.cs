using CudaSae.Training.Checkpoints;

namespace CudaSae.Tests;

/// <summary>Settings beside train --resume are applied and recorded, or refused by name.</summary>
[Trait("speed", "slow")]
public class ResumeCliTests
{
    static (int Code, string Output, string Error) Run(params string[] arguments) =>
        CliProgram.Run(CliProgram.Start(arguments));

    [Fact]
    public void SettingsBesideResumeAreAppliedOrRefusedByName()
    {
        using var folder = new TemporaryFolder();
        Assert.Equal(0, Run("synth", folder["x.npy"], "--features", "40", "--width", "16", "--rows", "600").Code);
        Assert.Equal(0,
            Run("train", folder["x.npy"], "--out", folder["run"], "--latents", "64", "--k", "4", "--aux-k", "8",
                "--batch-rows", "32", "--vectors", "3200", "--backend", "cpu").Code);
        foreach (var (option, value, why) in new[]
        {
            ("--k", "5", "part of the SAE"), ("--preset", "relu", "begins with it"),
            ("--out", folder["other"], "its folder"), ("--held-out", "10", "cut as they were"),
            ("--seed", "2", "order of rows"),
            ("--beta1", "0.5", "optimizer's state"), ("--ema-decay", "0.9", "arrays"),
            ("--encoder-init-norm", "1", "were drawn"), ("--set", "spec.aux=null", "part of the SAE"),
            ("--set", "config.trainable=Decoder", "made with it"),
        })
            AssertRefused($"{option}.* cannot be changed when a run is resumed: .*{why}", "train", "--resume",
                folder["run"], option, value);
        AssertRefused("cannot be opened: .*nowhere", "train", folder["nowhere.npy"], "--resume", folder["run"]);
        AssertRefused("config.nonsense", "train", "--resume", folder["run"], "--set", "config.nonsense=1");
        AssertRefused("done 100 steps; set --vectors 3200 or more", "train", "--resume", folder["run"], "--vectors",
            "1600");
        AssertRefused("--keep-checkpoints 0: it must be a whole number from 1", "train", "--resume", folder["run"],
            "--keep-checkpoints", "0");
        Assert.Empty(RunRecord.Load(folder["run"]).Changes);

        var (code, output, error) = Run("train", "--resume", folder["run"], "--vectors", "6400", "--log-every", "20",
            "--checkpoint-every", "25", "--keep-checkpoints", "3", "--learning-rate", "0.001", "--set",
            "config.clip=PerRow", "--backend", "cpu");
        Assert.True(code == 0, error);
        string[] expected = ["vectors 3200 → 6400, and the schedules", "log_every 10 → 20", "checkpoint_every 0 → 25",
            "keep_checkpoints 2 → 3", "learning_rate 0.005 → 0.001", "clip None → PerRow", "backend Cpu → Cpu"];
        var record = RunRecord.Load(folder["run"]);
        foreach (var line in expected)
        {
            Assert.Contains($"from step 100: {line}", output);
            Assert.Contains(record.Changes,
                change => change.StartsWith($"from step 100: {line}", StringComparison.Ordinal));
        }
        Assert.Equal((6400, 20, 25, 3, 0.001f, ClipKind.PerRow, "Cpu"),
            (record.Config.Vectors, record.Config.LogEvery, record.Config.CheckpointEvery,
                record.Config.KeepCheckpoints, record.Config.LearningRate, record.Config.Clip, record.Backend));
        Assert.Equal(4, Directory.GetFiles(folder["run/checkpoint"]).Length); // steps 150, 175 and 200, and the best
        Assert.Contains("\"step\":200,", File.ReadAllText(folder["run/metrics.jsonl"]));
    }

    [Fact]
    public void ADamagedCheckpointIsReportedAndTheOlderOneIsUsed()
    {
        using var folder = new TemporaryFolder();
        Assert.Equal(0, Run("synth", folder["x.npy"], "--features", "40", "--width", "16", "--rows", "600").Code);
        Assert.Equal(0,
            Run("train", folder["x.npy"], "--out", folder["run"], "--latents", "64", "--k", "4", "--aux-k", "8",
                "--batch-rows", "32", "--vectors", "3200", "--backend", "cpu", "--checkpoint-every", "40").Code);
        var weights = File.ReadAllBytes(folder["run/sae_weights.safetensors"]);
        var newest = folder["run/checkpoint/step-000000100.safetensors"];
        var bytes = File.ReadAllBytes(newest);
        bytes[^5] ^= 8;
        File.Delete(newest);
        File.WriteAllBytes(newest, bytes);
        var (code, output, error) = Run("train", "--resume", folder["run"]);
        Assert.True(code == 0, error);
        Assert.Contains(output.Split('\n'),
            line =>
                line.Contains("is damaged: tensor w_enc differs")
                    && line.Contains("resumes from step-000000080.safetensors, step 80"));
        Assert.Equal(weights, File.ReadAllBytes(folder["run/sae_weights.safetensors"]));
    }

    [Fact]
    public void AnnealedPenaltyKeepsItsLength()
    {
        var spec = Preset.Named("p-anneal").Make(16, 64, 4).Spec;
        Assert.IsType<SparsityPenalty.Lp>(spec.Penalty);
        var config = new TrainConfig();
        Assert.Contains("annealed",
            Assert.Throws<SaeException>(() =>
                ResumeRules.Describe(spec, config, config with { Vectors = 2 * config.Vectors }, ["vectors"])).Message);
        Assert.Equal(["log_every 10 → 5", "seed stays 1"],
            ResumeRules.Describe(spec, config, config with { LogEvery = 5 }, ["log_every", "seed"]));
    }

    static void AssertRefused(string expected, params string[] arguments)
    {
        var (code, _, error) = Run(arguments);
        Assert.Equal((2, 1), (code, error.Trim().Split('\n').Length));
        Assert.Matches(expected, error);
    }
}
