using System.Diagnostics;
using System.Runtime.InteropServices;
using CudaSae.Data;
using Xunit;

namespace CudaSae.Tests;

/// <summary>The program as a user runs it: bad input is one line on stderr and exit code 2.</summary>
public partial class CliTests
{
    static (int Code, string Output, string Error) Run(params string[] arguments) => CliProgram.Run(CliProgram.Start(arguments));

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
        string[] small = ["--latents", "64", "--k", "4", "--aux-k", "8", "--batch-rows", "32", "--vectors", "3200", "--backend", "cpu"];
        var (code, output, error) = Run(["train", data, "--out", folder["run"], .. small]);
        Assert.True(code == 0, error);
        Assert.Contains("FVU", output);
        foreach (var file in new[] { "cfg.json", "sae_weights.safetensors", "train.json", "metrics.jsonl", "metrics.csv" }) Assert.True(File.Exists(Path.Combine(folder["run"], file)), file);
        Assert.Equal(0, Run("eval", folder["run"]).Code);
        AssertRefused("cannot be changed", "train", "--resume", folder["run"], "--k", "5");
        AssertRefused("already holds a run", ["train", data, "--out", folder["run"], .. small]);
        File.WriteAllBytes(folder["run/sae_weights.safetensors"], File.ReadAllBytes(folder["run/sae_weights.safetensors"])[..1000]);
        AssertRefused("truncated|tail|claims", "eval", folder["run"]);
    }

    /// <summary>Ctrl-C in the middle of a run, then --resume: the weights are those of a run that was left alone, byte for byte.</summary>
    [Fact]
    public void InterruptedRunResumesToTheSameWeights()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "the interrupt is sent with kill");
        using var folder = new TemporaryFolder();
        var data = Data(folder, 2000, 64);
        string[] settings = ["--latents", "512", "--k", "8", "--aux-k", "16", "--batch-rows", "128", "--vectors", "256000", "--backend", "cpu", "--log-every", "5"];
        Assert.Equal(0, Run(["train", data, "--out", folder["whole"], .. settings]).Code);

        using var process = Process.Start(Interruptible(CliProgram.Start(["train", data, "--out", folder["cut"], .. settings])))!;
        while (process.StandardOutput.ReadLine() is { } line && !line.StartsWith("step", StringComparison.Ordinal)) { }
        Assert.Equal(0, Kill(process.Id, Interrupt));
        var rest = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 130, rest);
        Assert.Contains("Go on with", rest);
        Assert.False(File.Exists(folder["cut/sae_weights.safetensors"]));

        var (code, _, error) = Run("train", "--resume", folder["cut"]);
        Assert.True(code == 0, error);
        Assert.Equal(File.ReadAllBytes(folder["whole/sae_weights.safetensors"]), File.ReadAllBytes(folder["cut/sae_weights.safetensors"]));
    }

    const int Interrupt = 2;        // SIGINT

    /// <summary>A shell's background job inherits interrupts that are ignored, and so would all that it starts.</summary>
    static ProcessStartInfo Interruptible(ProcessStartInfo start)
    {
        if (!OperatingSystem.IsLinux()) return start;
        start.ArgumentList.Insert(0, start.FileName);
        start.ArgumentList.Insert(0, "--default-signal=INT");
        start.FileName = "env";
        return start;
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int process, int signal);

    [Fact]
    public void WhatCannotWorkIsRefused()
    {
        using var folder = new TemporaryFolder();
        var data = Data(folder);
        AssertRefused("K = 99", "train", data, "--latents", "64", "--k", "99", "--out", folder["a"]);
        AssertRefused("does not exist", "train", folder["none.npy"]);
        AssertRefused("neither", "train", Path.Combine(Repository.Root, "README.md"));
        AssertRefused("Lazy", "train", data, "--lazy", "--out", folder["b"]);
        AssertRefused("nonsense", "train", data, "--nonsense", "1");
        AssertRefused("does not exist", "eval", folder["none"]);
        AssertRefused("needs .* free", "train", Data(folder, 20, 8192), "--latents", "60000000", "--out", folder["c"], "--backend", "cpu");
        AssertRefused("cannot write", "train", data, "--out", "/proc/nowhere", "--latents", "64", "--k", "4");
        if (!Targets.HasGpu(out _)) AssertRefused("driver|kernels", "train", data, "--backend", "cuda", "--out", folder["d"]);
        AssertRefused("cpu, emulator", "train", data, "--backend", "gpu");
#if MANAGED_CUDA
        if (!Targets.HasGpu(out _)) AssertRefused("driver|kernels", "train", data, "--backend", "managed-cuda", "--out", folder["e"]);
#else
        AssertRefused("-p:UseManagedCuda=true", "train", data, "--backend", "managed-cuda", "--out", folder["e"]);
        AssertRefused("-p:UseManagedCuda=true", "verify", "--backend", "managed-cuda");
#endif
        Assert.False(Directory.Exists(folder["a"]));
    }

    [Fact]
    public void VerifyAndDevicesAnswer()
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
