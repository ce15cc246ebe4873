using System.Diagnostics;

namespace CudaSae.Tests;

/// <summary>Full disks and read-only folders while a real process trains: one line, exit code 2, and the last good
/// checkpoint remains.</summary>
[Trait("speed", "slow")]
public class DiskFaultTests
{
    /// <summary>The run has one line of metrics. With more lines, the log instead of a checkpoint may exceed the
    /// space.</summary>
    static readonly string[] settings = ["--latents", "256", "--k", "8", "--aux-k", "16", "--batch-rows", "64",
        "--vectors", "6400", "--backend", "cpu", "--checkpoint-every", "5", "--log-every", "100"];

    /// <summary>ulimit -f: the write that exceeds the limit fails, and SIGXFSZ does not end the process.</summary>
    [Theory]
    [InlineData(20)]        // KiB: the first checkpoint does not fit
    [InlineData(1)]         // the record of the run does not fit either
    public void AFileSizeLimitIsReportedInOneLine(int kibibytes)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "ulimit -f is set by bash");
        using var folder = new TemporaryFolder();
        var error = Refused(["-c", $"ulimit -f {kibibytes}; exec \"$0\" \"$@\"", CliProgram.Start().FileName,
            "train", NpyRows.Write(folder["x.npy"], 500, 32), "--out", folder["run"], .. settings]);
        Assert.Matches("cannot write .*free some space", error);
        Assert.Empty(Directory.GetFiles(folder[""], "*.tmp", SearchOption.AllDirectories));
    }

    /// <summary>The disk has space for some checkpoints; with more space, the run resumes.</summary>
    [Fact]
    public void AFullDiskIsReportedInOneLineAndTheRunResumesLater()
    {
        using var folder = new TemporaryFolder();
        var disk = Mount(folder, "-t", "tmpfs", "-o", "size=460k", "none");
        try
        {
            var data = NpyRows.Write(folder["x.npy"], 500, 32);
            var error = Refused(["-c", "exec \"$0\" \"$@\"", CliProgram.Start().FileName, "train", data, "--out",
                Path.Combine(disk, "run"), .. settings]);
            Assert.Matches("cannot write .*checkpoint.*No space left.*free some space", error);
            var left = Directory.GetFiles(Path.Combine(disk, "run", "checkpoint"));
            Assert.NotEmpty(left);
            Assert.All(left, file => Assert.EndsWith(".safetensors", file));
            Shell("mount", "-o", "remount,size=4m", disk);
            var (code, _, problem) = CliProgram.Run(CliProgram.Start("train", "--resume", Path.Combine(disk, "run")));
            Assert.True(code == 0, problem);
            Assert.Equal(0,
                CliProgram.Run(CliProgram.Start(["train", data, "--out", folder["alone"], .. settings])).Code);
            Assert.Equal(File.ReadAllBytes(folder["alone/sae_weights.safetensors"]),
                File.ReadAllBytes(Path.Combine(disk, "run", "sae_weights.safetensors")));
        }
        finally { Shell("umount", disk); }
    }

    [Fact]
    public void AReadOnlyDiskIsReportedInOneLine()
    {
        using var folder = new TemporaryFolder();
        var disk = Mount(folder, "-t", "tmpfs", "-o", "ro", "none");
        try
        {
            var error = Refused(["-c", "exec \"$0\" \"$@\"", CliProgram.Start().FileName,
                "train", NpyRows.Write(folder["x.npy"], 500, 32), "--out", Path.Combine(disk, "run"), .. settings]);
            Assert.Matches("cannot write .*Read-only file system", error);
        }
        finally { Shell("umount", disk); }
    }

    static string Mount(TemporaryFolder folder, params string[] how)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && Environment.IsPrivilegedProcess,
            "no disk can be mounted: the tests do not run as root on Linux");
        var disk = Directory.CreateDirectory(folder["disk"]).FullName;
        Assert.SkipUnless(Shell("mount", [.. how, disk]) == 0, "no disk can be mounted here");
        return disk;
    }

    static int Shell(string program, params string[] arguments) =>
        CliProgram.Run(new(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true }).Code;

    /// <summary>Runs bash with these arguments and returns the one line on stderr. By default .NET maps its compiled
    /// code from a file, and a limit on file sizes would end it before the program begins.</summary>
    static string Refused(string[] arguments)
    {
        var (code, output, error) =
            CliProgram.Run(new ProcessStartInfo("bash", arguments)
            {
                RedirectStandardOutput = true,
                RedirectStandardError = true, Environment = { ["DOTNET_EnableWriteXorExecute"] = "0" }
            });
        Assert.True((code, error.Trim().Split('\n').Length) == (2, 1), $"exit code {code}: {error}{output}");
        return error;
    }
}
