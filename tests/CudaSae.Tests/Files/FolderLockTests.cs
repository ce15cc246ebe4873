using System.Diagnostics;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Tests;

/// <summary>A folder is written by one process at a time.</summary>
[Trait("speed", "slow")]
public class FolderLockTests
{
    static readonly string[] Small =
        ["--latents", "32", "--k", "4", "--aux-k", "0", "--batch-rows", "32", "--vectors", "960", "--backend", "cpu"];

    static (int Code, string Output, string Error) Run(params string[] arguments) =>
        CliProgram.Run(CliProgram.Start(arguments));

    [Fact]
    public void ASecondLockIsRefusedUntilTheFirstIsReleased()
    {
        using var folder = new TemporaryFolder();
        var own = $"{folder["run"]} is in use by process {Environment.ProcessId} on {Environment.MachineName}, "
            + "which began at ";
        using (FolderLock.Take(folder["run"], "wait"))
        {
            Assert.StartsWith(own, Assert.Throws<SaeException>(() => FolderLock.Take(folder["run"], "wait")).Message);
            Assert.Throws<SaeException>(() => FolderLock.RequireFree(folder["run"], "wait"));
            Assert.Null(FolderLock.Try(folder["run"]));
            using var other = FolderLock.Take(folder["other"], "wait");
        }
        Assert.False(Directory.Exists(folder["run"]));      // the folder was made for the lock, and nothing was written
        Directory.CreateDirectory(folder["run"]);
        using (var again = FolderLock.Take(folder["run"], "wait")) Assert.Null(again.TakenOver);
        Assert.Empty(Directory.GetFileSystemEntries(folder["run"]));
        FolderLock.RequireFree(folder["run"], "wait");
    }

    /// <summary>A process that ended without deleting its lock does not hold it, whether it ran on this host or on
    /// another.</summary>
    [Theory, InlineData("{dead} {host} 1700000000 1"), InlineData("{self} {host} 1700000000 1"),
     InlineData("1 another-host 1700000000 1"), InlineData("garbage"), InlineData("{self} {host} ")]
    public void AnAbandonedLockIsTakenOver(string line)
    {
        using var folder = new TemporaryFolder();
        int dead;
        using (var ended = Process.Start(CliProgram.Start("--version"))!)
        {
            ended.StandardOutput.ReadToEnd();
            ended.WaitForExit();
            dead = ended.Id;
        }
        var left = line.Replace("{dead}", $"{dead}").Replace("{self}", $"{Environment.ProcessId}")
            .Replace("{host}", Environment.MachineName);
        File.WriteAllText(folder[FolderLock.FileName], left);
        using var taken = FolderLock.Take(folder[""], "wait");
        Assert.Contains("left its lock", taken.TakenOver);
    }

    /// <summary>A link in place of the lock is not followed, because its target would be overwritten.</summary>
    [Fact]
    public void ALinkIsNotFollowed()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "links need a privilege there");
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["x.npy"], "rows");
        File.CreateSymbolicLink(folder[FolderLock.FileName], folder["x.npy"]);
        Assert.Contains("is a link", Assert.Throws<SaeException>(() => FolderLock.Take(folder[""], "wait")).Message);
        Assert.Equal("rows", File.ReadAllText(folder["x.npy"]));
    }

    /// <summary>Threads take and free one lock as fast as they can. Two never hold it together, although the file is
    /// deleted each time.</summary>
    [Fact]
    public void OnlyOneThreadHoldsTheLock()
    {
        using var folder = new TemporaryFolder();
        int inside = 0, taken = 0;
        Parallel.For(0, 4, _ =>
        {
            for (var i = 0; i < 300; i++)
            {
                using var mine = FolderLock.Try(folder[""]);
                if (mine is null) continue;
                Assert.Equal(1, Interlocked.Increment(ref inside));
                Interlocked.Increment(ref taken);
                Interlocked.Decrement(ref inside);
            }
        });
        Assert.InRange(taken, 1, 1200);
        Assert.False(File.Exists(folder[FolderLock.FileName]));
    }

    /// <summary>Runs that begin at the same moment without --out get separate folders, each with its own
    /// record.</summary>
    [Fact]
    public void SimultaneousRunsUseSeparateFolders()
    {
        using var folder = new TemporaryFolder();
        var data = NpyRows.Write(folder["x.npy"], 300, 16);
        var processes = Enumerable.Range(1, 3).Select(seed =>
        {
            var start = CliProgram.Start(["train", data, "--seed", $"{seed}", .. Small]);
            start.WorkingDirectory = folder[""];
            return Process.Start(start)!;
        }).ToArray();
        foreach (var process in processes)
        {
            var output = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            Assert.True(process.ExitCode == 0, output);
            process.Dispose();
        }
        var runs = Directory.GetDirectories(folder["runs"]);
        Assert.Equal([1, 2, 3], runs.Select(run => (int)RunRecord.Load(run).Config.Seed).Order());
        Assert.All(runs, run => Assert.True(File.Exists(Path.Combine(run, "sae_weights.safetensors"))));
    }

    /// <summary>Every command that writes into a folder refuses one that a live process holds, in one line that names
    /// the process. Commands that only read do not refuse it.</summary>
    [Fact]
    public void CommandsRefuseAFolderInUse()
    {
        using var folder = new TemporaryFolder();
        var (data, run) = (NpyRows.Write(folder["x.npy"], 300, 16), folder["run"]);
        var (code, output, error) = Run(["train", data, "--out", run, "--held-out", "60", .. Small]);
        Assert.True(code == 0, output + error);
        var before = File.ReadAllBytes(folder["run/sae_weights.safetensors"]);
        using (FolderLock.Take(run, "wait"))
        {
            string[][] writers =
            [
                ["train", "--resume", run, "--vectors", "1920"], ["train", data, "--out", run, .. Small],
                ["report", run], ["inspect", run], ["sweep", data, "--out", run, "--presets", "topk", .. Small],
                ["toy", "--out", run], ["convert", run, folder["run/again"], "--to", "openai"],
            ];
            foreach (var arguments in writers)
            {
                (code, _, error) = Run(arguments);
                Assert.True(code == 2, string.Join(' ', arguments));
                var message = Assert.Single(error.TrimEnd().Split('\n'));
                Assert.Contains($"is in use by process {Environment.ProcessId} on", message);
            }
            Assert.Equal(0, Run("eval", run, "--backend", "cpu").Code);
            Assert.Equal(0, Run("report", run, "--backend", "cpu", "--out", folder["page.html"]).Code);
        }
        Assert.Equal(before, File.ReadAllBytes(folder["run/sae_weights.safetensors"]));
        Assert.Equal(960, RunRecord.Load(run).Config.Vectors);
    }

    [Fact]
    public void ASweepAndARunCannotShareAFolder()
    {
        using var folder = new TemporaryFolder();
        var data = NpyRows.Write(folder["x.npy"], 300, 16);
        string[] grid = ["--presets", "topk", .. Small];
        Assert.Equal(0, Run(["sweep", data, "--out", folder["sweep"], "--held-out", "60", .. grid]).Code);
        Assert.Contains("already holds a sweep", Run(["train", data, "--out", folder["sweep"], .. Small]).Error);
        Assert.Equal(0, Run(["train", data, "--out", folder["run"], .. Small]).Code);
        Assert.Contains("already holds a run", Run(["sweep", data, "--out", folder["run"], .. grid]).Error);
    }
}
