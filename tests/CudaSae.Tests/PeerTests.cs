using Xunit;

namespace CudaSae.Tests;

/// <summary>The peers of bench/peers compute the step that CudaSae computes: PyTorch's dense autograd, and the sparse trainer as plain torch and as its kernels' source.</summary>
public class PeerTests
{
    [Fact]
    public void PeersAndEngineHaveTheGradientsOfAutograd()
    {
        Assert.SkipUnless(Python.WithTorch is not null, Python.Missing);
        var output = Python.Run("../../bench/peers/check_peers.py", "--device", "cpu", "--program", CliProgram.Start().FileName, "--backend", Targets.HasEmulator ? "emulator" : "cpu");
        Assert.Contains("all peers compute the same step", output);
        Assert.Equal(7, output.Split('\n').Count(line => line.EndsWith(" ok", StringComparison.Ordinal)));
    }
}
