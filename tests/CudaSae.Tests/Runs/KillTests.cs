using System.Diagnostics;

namespace CudaSae.Tests;

/// <summary>A training process that SIGKILL ends repeatedly. bench/kill.sh kills it 200 times.</summary>
[Trait("speed", "slow")]
public class KillTests
{
    const int Kills = 8;

    /// <summary>A run that is killed at random moments and resumed until it ends has the weights of an undisturbed run,
    /// byte for byte.</summary>
    [Fact]
    public void KilledRunsResumeToTheSameWeights()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "a killed process has another exit code there");
        using var folder = new TemporaryFolder();
        var random = new Random(20261121);
        var data = NpyRows.Write(folder["x.npy"], 1000, 32);
        string[] settings = ["--latents", "256", "--k", "8", "--aux-k", "16", "--batch-rows", "64", "--vectors", "9600",
            "--backend", "cpu"];
        var clock = Stopwatch.StartNew();
        var (code, _, error) = CliProgram.Run(CliProgram.Start(["train", data, "--out", folder["alone"], .. settings,
            "--checkpoint-every", "2"]));
        Assert.True(code == 0, error);
        var whole = (int)clock.ElapsedMilliseconds;
        var alone = File.ReadAllBytes(folder["alone/sae_weights.safetensors"]);

        int killed = 0, resumed = 0, finished = 0;
        for (var run = 0; killed < Kills; run++)
        {
            var here = folder[$"run{run}"];
            string[] begin = ["train", data, "--out", here, .. settings, "--checkpoint-every", $"{run % 5 + 1}"];
            for (var ended = false; !ended;)
            {
                var go = File.Exists(Path.Combine(here, "train.json"));
                if (go && Newest(here) is not null) resumed++;
                ended = Life(CliProgram.Start(go ? ["train", "--resume", here] : begin),
                    killed < Kills ? random.Next(whole / 5, whole) : null, killed % 2 == 0 ? null : () => Newest(here));
                if (!ended) killed++;
            }
            finished++;
            Assert.Equal(alone, File.ReadAllBytes(Path.Combine(here, "sae_weights.safetensors")));
        }
        TestContext.Current.TestOutputHelper!.WriteLine($"{killed} kills, {resumed} resumes,  {finished} "
            + "runs");
        Assert.True(resumed > 0, "no kill came after a checkpoint");
    }

    static string? Newest(string run) =>
        Directory.Exists(Path.Combine(run, "checkpoint"))
            ? Directory.GetFiles(Path.Combine(run, "checkpoint"), "step-*.safetensors").Max(StringComparer.Ordinal)
            : null;

    /// <summary>Runs one process; returns false when it was killed.</summary>
    /// <param name="killAfterMs">Null to let the process finish.</param>
    /// <param name="saved">Kills the process as soon as this file changes instead: at steps and checkpoints, on a
    /// machine of any speed.</param>
    static bool Life(ProcessStartInfo start, int? killAfterMs, Func<string?>? saved)
    {
        var before = saved?.Invoke();
        using var process = Process.Start(start)!;
        var (output, problem) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        if (killAfterMs is { } pause)
        {
            while (saved is not null && saved() == before && !process.HasExited) Thread.Sleep(1);
            if (!process.WaitForExit(saved is null ? pause : pause % 30)) process.Kill();
        }
        process.WaitForExit();
        Assert.True(process.ExitCode is 0 or 137, $"exit code {process.ExitCode}: {problem.Result}{output.Result}");
        return process.ExitCode == 0;
    }
}
