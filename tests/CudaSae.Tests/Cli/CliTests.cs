using System.Diagnostics;
using System.Runtime.InteropServices;

namespace CudaSae.Tests;

/// <summary>The program as a user runs it: bad input gives one line on stderr and exit code 2.</summary>
[Trait("speed", "slow")]
public partial class CliTests
{
    static (int Code, string Output, string Error) Run(params string[] arguments) =>
        CliProgram.Run(CliProgram.Start(arguments));

    static string Data(TemporaryFolder folder, int rows = 300, int width = 16)
    {
        var random = new Random(1);
        var path = folder[$"x{width}.npy"];
        using var stream = File.Create(path);
        stream.Write(NpyFile.MakeHeader("<f4", rows, width));
        for (var i = 0; i < rows * width; i++) stream.Write(BitConverter.GetBytes((float)random.NextDouble()));
        return path;
    }

    [Fact]
    public void TrainEvalAndResume()
    {
        using var folder = new TemporaryFolder();
        var data = Data(folder);
        string[] small = ["--latents", "64", "--k", "4", "--aux-k", "8", "--batch-rows", "32", "--vectors", "3200",
            "--backend", "cpu"];
        var (code, output, error) = Run(["train", data, "--out", folder["run"], .. small]);
        Assert.True(code == 0, error);
        Assert.Contains("FVU", output);
        foreach (var file in new[] { "cfg.json", "sae_weights.safetensors", "train.json", "metrics.jsonl",
            "metrics.csv" })
            Assert.True(File.Exists(Path.Combine(folder["run"], file)), file);
        Assert.Equal(0, Run("eval", folder["run"]).Code);
        AssertRefused("cannot be changed", "train", "--resume", folder["run"], "--k", "5");
        AssertRefused("already holds a run", ["train", data, "--out", folder["run"], .. small]);
        File.WriteAllBytes(folder["run/sae_weights.safetensors"],
            File.ReadAllBytes(folder["run/sae_weights.safetensors"])[..1000]);
        AssertRefused("truncated|tail|claims", "eval", folder["run"]);
    }

    /// <summary>A signal in the middle of a run saves a checkpoint. The checkpoint is readable, and --resume ends with
    /// the weights of an uninterrupted run, byte for byte.</summary>
    [Fact]
    public void AnInterruptedRunIsReadableAndResumesToTheSameWeights()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "signals are sent with kill");
        using var folder = new TemporaryFolder();
        var data = Data(folder, 2000, 64);
        string[] settings = ["--latents", "512", "--k", "8", "--aux-k", "16", "--batch-rows", "128",
            "--vectors", "64000", "--backend", "cpu", "--log-every", "5"];
        Works(["train", data, "--out", folder["whole"], .. settings]);
        foreach (var (signal, code) in new[] { (2, 130), (15, 143), (1, 129) })
        {
            var cut = folder[$"cut{signal}"];
            var start = CliProgram.Start(["train", data, "--out", cut, .. settings]);
            using var process = Process.Start(Interruptible(start))!;
            WaitForStep(process);
            Assert.Equal(0, Kill(process.Id, signal));
            var rest = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            Assert.True(process.ExitCode == code, rest);
            Assert.Contains($"Resume it with: cudasae train --resume {cut}", rest.ReplaceLineEndings(" "));
            Assert.False(File.Exists(Path.Combine(cut, "sae_weights.safetensors")));
            Assert.False(File.Exists(Path.Combine(cut, "run.lock")));
        }
        var stopped = folder["cut15"];
        Assert.Contains("read from the checkpoint", Works("eval", stopped, "--backend", "cpu").ReplaceLineEndings(" "));
        Works("report", stopped, "--backend", "cpu");
        Works("convert", stopped, folder["converted"], "--to", "sparsify");
        Works("convert", Assert.Single(Directory.GetFiles(Path.Combine(stopped, "checkpoint"), "step-*")));
        Works("train", "--resume", stopped);
        Assert.Equal(File.ReadAllBytes(folder["whole/sae_weights.safetensors"]),
            File.ReadAllBytes(Path.Combine(stopped, "sae_weights.safetensors")));
    }

    /// <summary>The reader of standard output closes it: the run saves a checkpoint and ends without a
    /// message.</summary>
    [Fact]
    public void ARunWhoseOutputIsClosedSavesAndEnds()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "the console there does not report it");
        using var folder = new TemporaryFolder();
        using var process = Process.Start(CliProgram.Start(["train", Data(folder, 2000, 64), "--out", folder["run"],
            "--latents", "512", "--k", "8", "--aux-k", "16", "--batch-rows", "128",
            "--vectors", "25600000", "--backend", "cpu", "--log-every", "5"]))!;
        WaitForStep(process);
        process.StandardOutput.Close();
        Assert.Equal("", process.StandardError.ReadToEnd());
        process.WaitForExit();
        Assert.Equal(141, process.ExitCode);
        Works("eval", folder["run"], "--backend", "cpu");
    }

    [Theory, InlineData("0.1", "0.1 of these 300 rows is --held-out 30"), InlineData("10%", "--held-out 30"),
     InlineData("-5", "neither a number"), InlineData("", "is empty"), InlineData("1e3", "neither a number"),
     InlineData("300", "leaves no rows"), InlineData("99999999999999999999", "neither a number")]
    public void HeldOutAcceptsRowsOrAFile(string text, string expected)
    {
        using var folder = new TemporaryFolder();
        AssertRefused(expected, "train", Data(folder), "--latents", "64", "--k", "4", "--out", folder["run"],
            "--held-out", text);
        Assert.False(Directory.Exists(folder["run"]));
    }

    /// <summary>Output has no escape codes outside a terminal, or with NO_COLOR set.</summary>
    [Fact]
    public void OutputOutsideATerminalHasNoEscapeCodes()
    {
        foreach (var arguments in (string[][])[["presets"], ["devices"], ["train", "--help"], ["eval", "nosuch"]])
        {
            var start = CliProgram.Start(arguments);
            start.Environment["TERM"] = "xterm-256color";
            start.Environment.Remove("NO_COLOR");
            var (_, output, error) = CliProgram.Run(start);
            Assert.DoesNotContain('\u001b', output + error);
        }
    }

    static string Works(params string[] arguments)
    {
        var (code, output, error) = Run(arguments);
        Assert.True(code == 0, output + error);
        return output;
    }

    static void WaitForStep(Process process)
    {
        while (process.StandardOutput.ReadLine() is { } line && !line.StartsWith("step", StringComparison.Ordinal)) { }
    }

    /// <summary>A shell's background job inherits ignored interrupts, and passes them to its child processes.</summary>
    static ProcessStartInfo Interruptible(ProcessStartInfo start)
    {
        if (!OperatingSystem.IsLinux()) return start;
        start.ArgumentList.Insert(0, start.FileName);
        start.ArgumentList.Insert(0, "--default-signal=INT,HUP,TERM");
        start.FileName = "env";
        return start;
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int process, int signal);

    [Fact]
    public void ImpossibleRequestsAreRefused()
    {
        using var folder = new TemporaryFolder();
        var data = Data(folder);
        AssertRefused("K = 99", "train", data, "--latents", "64", "--k", "99", "--out", folder["a"]);
        AssertRefused("does not exist", "train", folder["none.npy"]);
        AssertRefused("is not a .npy", "train", Path.Combine(Repository.Root, "README.md"));
        AssertRefused("--lazy true", "train", data, "--lazy", "--out", folder["b"]);
        AssertRefused("nonsense", "train", data, "--nonsense", "1");
        AssertRefused("does not exist", "eval", folder["none"]);
        AssertRefused("needs .* free", "train", Data(folder, 20, 8192), "--latents", "60000000", "--out", folder["c"],
            "--backend", "cpu");
        AssertRefused("cannot write", "train", data, "--out", "/proc/nowhere", "--latents", "64", "--k", "4");
        if (!Targets.HasGpu(out _))
            AssertRefused("driver|kernels", "train", data, "--backend", "cuda", "--out", folder["d"]);
        AssertRefused("cpu, emulator", "train", data, "--backend", "gpu");
#if MANAGED_CUDA
        if (!Targets.HasGpu(out _))
            AssertRefused("driver|kernels", "train", data, "--backend", "managed-cuda", "--out", folder["e"]);
#else
        AssertRefused("-p:UseManagedCuda=true", "train", data, "--backend", "managed-cuda", "--out", folder["e"]);
        AssertRefused("-p:UseManagedCuda=true", "verify", "--backend", "managed-cuda");
#endif
        Assert.False(Directory.Exists(folder["a"]));
    }

    [Fact]
    public void VerifyAndDevicesPrintTheirResults()
    {
        Assert.Contains("cpu", Run("devices").Output);
        var (code, output, error) = Run("verify", "--backend", "cpu");
        Assert.True(code == 0, error);
        Assert.Contains("all equal within rounding", output);
    }

    static void AssertRefused(string expected, params string[] arguments)
    {
        var (code, _, error) = Run(arguments);
        Assert.Equal((2, 1), (code, error.Trim().Split('\n').Length));
        Assert.Matches(expected, error);
    }
}
