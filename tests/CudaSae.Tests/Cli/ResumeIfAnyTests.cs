using System.Diagnostics;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Tests;

/// <summary>One command line with --resume-if-any begins a run, resumes it, and ends at once if it is
/// complete.</summary>
[Trait("speed", "slow")]
public class ResumeIfAnyTests
{
    static string[] Line(TemporaryFolder folder, string run, params string[] more) =>
    [
        "train", folder["x.npy"], "--out", folder[run], "--resume-if-any", "--latents", "64", "--k", "4", "--aux-k",
        "8", "--batch-rows", "32", "--vectors", "3200", "--held-out", "50", "--backend", "cpu", "--seed", "3",
        "--checkpoint-every", "10", "--preset", "topk", .. more,
    ];

    static (int Code, string Output, string Error) Run(params string[] arguments) =>
        CliProgram.Run(CliProgram.Start(arguments));

    static string Passed((int Code, string Output, string Error) result)
    {
        Assert.True(result.Code == 0, result.Error);
        return result.Output;
    }

    static byte[] Weights(TemporaryFolder folder, string run) =>
        File.ReadAllBytes(folder[$"{run}/sae_weights.safetensors"]);

    [Fact]
    public void TheSameLineBeginsResumesAndEnds()
    {
        using var folder = new TemporaryFolder();
        NpyRows.Write(folder["x.npy"], 600, 16);
        Passed(Run(Line(folder, "alone")));
        var written = File.GetLastWriteTimeUtc(folder["alone/sae_weights.safetensors"]);
        Assert.Contains("is complete: step 100 of 100", Passed(Run(Line(folder, "alone"))));
        Assert.Equal(written, File.GetLastWriteTimeUtc(folder["alone/sae_weights.safetensors"]));

        // A run that was killed before its first checkpoint holds its record only
        Directory.CreateDirectory(folder["early"]);
        File.Copy(folder["alone/train.json"], folder["early/train.json"]);
        Assert.Contains("starts from the beginning", Passed(Run(Line(folder, "early"))));
        Assert.Equal(Weights(folder, "alone"), Weights(folder, "early"));

        // A run that was killed after the last checkpoint and before its SAE was whole
        File.Delete(folder["early/cfg.json"]);
        Assert.Contains("Saved in", Passed(Run(Line(folder, "early"))));
        Assert.Equal(Weights(folder, "alone"), Weights(folder, "early"));
        Assert.Empty(RunRecord.Load(folder["early"]).Changes);

        // A longer run keeps its SAE
        Assert.Contains("from step 100: vectors 3200 → 4800",
            Passed(Run([.. Line(folder, "early").Select(word => word == "3200" ? "4800" : word)])));
        Assert.Single(RunRecord.Load(folder["early"]).Changes);
    }

    /// <summary>A run that is killed after a checkpoint ends with the weights of an uninterrupted run.</summary>
    [Fact]
    public void AKilledRunIsResumed()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "a killed process has another exit code there");
        using var folder = new TemporaryFolder();
        NpyRows.Write(folder["x.npy"], 600, 16);
        string[] Longer(string run) => [.. Line(folder, run).Select(word => word == "3200" ? "160000" : word)];
        Passed(Run(Longer("alone")));
        using (var process = Begin(folder, "killed", Longer("killed")))
        {
            process.Kill();
            process.WaitForExit();
            Assert.Equal(137, process.ExitCode);
        }
        Assert.Contains("Saved in", Passed(Run(Longer("killed"))));
        Assert.Equal(Weights(folder, "alone"), Weights(folder, "killed"));
        Assert.Empty(RunRecord.Load(folder["killed"]).Changes);
    }

    [Fact]
    public void SigUsr1SavesAndStops()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "the number of SIGUSR1 is that of Linux");
        using var folder = new TemporaryFolder();
        NpyRows.Write(folder["x.npy"], 600, 16);
        using var process = Begin(folder, "run",
            [.. Line(folder, "run").Select(word => word == "3200" ? "32000000" : word)]);
        for (var i = 0; i < 2; i++)         // a launcher may pass the signal on twice
            using (var kill = Process.Start("kill", ["-USR1", $"{process.Id}"])) kill.WaitForExit();
        Assert.True(process.WaitForExit(TimeSpan.FromMinutes(1)));
        Assert.Equal(128 + 10, process.ExitCode);
    }

    /// <summary>Starts a run and waits for its first checkpoint.</summary>
    static Process Begin(TemporaryFolder folder, string run, string[] line)
    {
        var process = Process.Start(CliProgram.Start(line))!;
        _ = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        bool Saved() => Directory.Exists(folder[$"{run}/checkpoint"])
            && Directory.GetFiles(folder[$"{run}/checkpoint"], "step-*.safetensors").Length > 0;
        for (var i = 0; i < 6000 && !Saved() && !process.HasExited; i++) Thread.Sleep(10);
        Assert.False(process.HasExited);
        return process;
    }

    [Fact]
    public void SettingsThatDifferAreRefusedByName()
    {
        using var folder = new TemporaryFolder();
        NpyRows.Write(folder["x.npy"], 600, 16);
        Passed(Run(Line(folder, "run")));
        foreach (var (from, to, why) in new[]
        {
            ("64", "128", "spec.latents = 64 and cannot be restored with 128"),
            ("4", "5", "spec.selection .*cannot be restored with"), ("8", "9", "spec.aux "),
            ("3", "4", "config.seed = 3 and cannot be restored with 4"), ("topk", "jumprelu", "--preset cannot be"),
            ("50", "60", "--held-out cannot be changed"), ("3200", "1600", "has done 100 steps"),
        })
        {
            var (code, output, error) = Run([.. Line(folder, "run").Select(word => word == from ? to : word)]);
            Assert.Equal(2, code);
            Assert.Matches(why, error);
            Assert.Single(error.TrimEnd().Split('\n'));
        }
        Assert.Contains("--tensor cannot be changed", Run(Line(folder, "run", "--tensor", "x")).Error);
        Assert.Contains("needs the folder", Run("train", "--resume-if-any").Error);
        Assert.Contains("exclude each other", Run(Line(folder, "run", "--resume", "x")).Error);
        Assert.Empty(RunRecord.Load(folder["run"]).Changes);
    }
}
