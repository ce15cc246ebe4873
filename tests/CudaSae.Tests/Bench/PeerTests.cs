using System.Diagnostics;

namespace CudaSae.Tests;

/// <summary>The peers of bench/peers compute the same step as CudaSae: PyTorch's dense autograd, and the sparse trainer
/// as plain torch and as the source of its kernels.</summary>
[Trait("speed", "slow")]
public class PeerTests
{
    [Fact]
    public void PeersAndEngineMatchTheGradientsOfAutograd()
    {
        Assert.SkipUnless(Python.WithTorch is not null, Python.Missing);
        var output = Python.Run("../../bench/peers/check_peers.py", "--device", "cpu",
            "--program", CliProgram.StartBench().FileName, "--backend", Targets.HasEmulator ? "emulator" : "cpu");
        Assert.Contains("all peers compute the same step", output);
        Assert.Equal(7, output.Split('\n').Count(line => line.EndsWith(" ok", StringComparison.Ordinal)));
    }

    const string Race = "../../bench/peers/gpu_peers.py";

    [Fact]
    public void AHangingContestantFailsAlone()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "the program that hangs is a shell script");
        Assert.SkipUnless(Python.WithTorch is not null, Python.Missing);
        using var folder = new TemporaryFolder();
        var program = folder["hangs"];
        File.WriteAllText(program, "#!/bin/sh\nsleep 600\n");
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(program, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        var clock = Stopwatch.StartNew();
        var (code, output) = Python.Try(Race, "--dry", "--program", program, "--bench", program,
            "--only", "torch fp32,cudasae", "--rounds", "1", "--seconds", "0.1", "--budget", "24",
            "--out", folder["out"]);
        // The budget is 24 s and the hang takes 600 s, which leaves a margin for a busy machine.
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(120), $"took {clock.Elapsed}: {output}");
        Assert.Equal(1, code);
        Assert.Contains("cudasae has no time: not compared: took more than", output);
        var table = File.ReadAllLines(folder["out/peers-64-64-512-8.csv"]);
        Assert.Contains(table, line => line.StartsWith("64,64,512,8,torch fp32,1,", StringComparison.Ordinal));
        Assert.Contains(table, line => line.StartsWith("64,64,512,8,cudasae,0,", StringComparison.Ordinal));
    }

    [Fact]
    public void TheRaceRunsOnlyTheRequestedContestants()
    {
        Assert.SkipUnless(Python.WithTorch is not null, Python.Missing);
        using var folder = new TemporaryFolder();
        var (code, output) = Python.Try(Race, "--dry", "--program", CliProgram.Start().FileName,
            "--only", "sparse bf16,cudasae", "--seconds", "0.1", "--shapes", "32x64x256x4", "--out", folder["out"]);
        Assert.True(code == 0, output);
        string[] Names(string file, int column) =>
            [.. File.ReadLines(folder["out/" + file]).Skip(1).Select(line => line.Split(',')[column])];
        Assert.Equal(["sparse bf16", "cudasae"], Names("peers-32-64-256-4.csv", 4));
        Assert.Equal(["2", "2"], Names("peers-32-64-256-4.csv", 5));
        Assert.Equal(["cudasae", "sparse bf16"], Names("peers-agreement.csv", 0));
        Assert.Contains("torch ", File.ReadAllText(folder["out/peers-versions.txt"]));
    }

    [Theory]
    [InlineData(Race, "--dry")]
    [InlineData("../../bench/peers/check_peers.py", "--device=cpu")]
    public void AnUnknownContestantIsRefusedInOneLine(string script, string option)
    {
        Assert.SkipUnless(Python.WithTorch is not null, Python.Missing);
        var (code, output) = Python.Try(script, option, "--program", "cudasae", "--only", "torch fp8");
        Assert.Equal(2, code);
        var line = Assert.Single(output.Trim().Split('\n'));
        Assert.Contains("there is no torch fp8; the contestants are", line);
    }
}
