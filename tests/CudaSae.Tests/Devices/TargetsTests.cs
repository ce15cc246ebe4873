namespace CudaSae.Tests;

[Collection("emulator")]
public class TargetsTests
{
    [Fact]
    public void KernelsRunOnAGpu() =>
        Assert.SkipUnless(Targets.HasGpu(out var why), $"the kernels were not run on a GPU: {why}");

    [Fact]
    public void KernelsAreLaunchedByManagedCuda() =>
        Assert.SkipUnless(Targets.HasManagedCuda(out var why), $"the kernels were not launched by ManagedCuda: {why}");

    /// <summary>The other tests query the library. This test compares its results with its folder.</summary>
    [Fact]
    public void OnlyTheHardEmulatorContractsAndTruncates()
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built");
        var hard = Path.GetFileName(Path.GetDirectoryName(Path.GetFullPath(Targets.Emulator.Path))) == "hard";
        Assert.Equal((hard, hard), (Targets.Emulator.Contracts, Targets.Emulator.TensorCoresTruncate));
    }

    [Fact]
    public void KernelsRunOnTheEmulator() =>
        Assert.SkipUnless(Targets.HasEmulator,
            "the kernels were not run on the emulator: build/emulator.sh makes it, with g++");
}
