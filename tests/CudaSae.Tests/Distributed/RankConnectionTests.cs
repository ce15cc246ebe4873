using CudaSae.Devices;
using CudaSae.Distributed;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>How ranks are connected, which device each of them takes, and what is refused.</summary>
public class RankConnectionTests
{
    [Theory]
    [InlineData("mpirun", "", true)]
    [InlineData("mpiexec", "", true)]
    [InlineData("torchrun", "PMI_RANK=0", false)]
    [InlineData("Kubernetes", "", false)]
    [InlineData("srun", "", false)]                     // without a PMI
    [InlineData("srun", "PMI_RANK=0", true)]
    [InlineData("srun", "PMIX_RANK=0", true)]
    [InlineData("srun", "CUDASAE_MPI=/opt/libmpi.so", true)]
    public void TheLauncherChoosesBetweenMpiAndNccl(string launcher, string variable, bool mpi)
    {
        var variables = variable.Length == 0 ? [] : new Dictionary<string, string> { [variable.Split('=')[0]] = "0" };
        Assert.Equal(mpi, RankConnection.UsesMpi(new(launcher, 0, 2, 0, 2), variables));
    }

    [Theory]
    [InlineData("1 1 2 2", "10 11 10 11", null)]
    [InlineData("1 1 1", "10 11 10", "3 ranks of a machine would share 2 GPUs: start 2 there")]
    [InlineData("1 2 2", "10 11 11", "2 ranks of a machine would share 1 GPU: start 1 there")]
    [InlineData("1 1 2", "10 -1 10", null)]             // a rank without a GPU shares none
    public void RanksThatShareAGpuAreRefused(string machines, string locations, string? message)
    {
        static long[] Numbers(string text) => [.. text.Split(' ').Select(long.Parse)];
        var shared = RankDevice.Sharing(Numbers(machines), Numbers(locations));
        if (message is null) Assert.Null(shared);
        else Assert.StartsWith(message, shared!.Message);
    }

    [Theory]
    [InlineData(6, "ncclAllGather", true)]              // a remote error
    [InlineData(6, "ncclCommInitRank", true)]
    [InlineData(2, "ncclRecv", true)]                   // a system error
    [InlineData(2, "ncclCommInitRank", false)]          // of the configuration
    [InlineData(4, "ncclRecv", false)]                  // an invalid argument
    public void AnErrorOfAnotherRankIsDistinguished(int result, string call, bool ofOtherRank) =>
        Assert.Equal(ofOtherRank, CudaException.OfNccl(result, "", call).OfOtherRank);

    [Fact]
    public void AutoIsTheCpuIfARankHasNoGpu()
    {
        Assert.SkipWhen(Targets.HasGpu(out _), "this machine has a GPU");
        RankThreads.Run(2, ranks =>
        {
            Assert.Equal(BackendKind.Cpu, RankDevice.Agreed(BackendKind.Auto, ranks, out var why));
            Assert.StartsWith("no GPU on rank 0: ", why);
            Assert.Equal(BackendKind.Emulator, RankDevice.Agreed(BackendKind.Emulator, ranks, out why));
        });
    }

    [Fact]
    public void ManagedCudaIsRefusedOnRanks() => RankThreads.Run(2, ranks => Assert.Matches(
        "several ranks need the engine's own launcher",
        Assert.Throws<SaeException>(() => RankDevice.Open(BackendKind.ManagedCuda, ranks)).Message));
}

/// <summary>Refusals of the kernels on ranks.</summary>
[Collection("emulator")]
public class KernelRankRefusalTests
{
    static readonly SaeSpec Spec = new() { InputWidth = 24, Latents = 96, Selection = new Selection.TopK(4) };

    static string Refusal(SumOrder order, TrainConfig config, SaeSpec? spec = null)
    {
        spec ??= Spec;
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        return RankThreads.Run(2, ranks => Assert.Throws<SaeException>(() => BackendFactory.Create(
            BackendKind.Emulator, spec, config, InputType.Float32, (_, _) => { }, out _,
            shard: new(ranks, spec, order))).Message)[1];
    }

    [Theory, InlineData("Chain"), InlineData("Fixed")]
    public void KernelsAddInTheOrderOfTheRanksOnly(string order) => Assert.Matches(
        $"kernels on 2 ranks add in the order of the ranks, not as {order}",
        Refusal(Enum.Parse<SumOrder>(order), new() { BatchRows = 16 }));

    [Fact]
    public void OneProcessWithFixedSumsTrainsOnTheCpu() => Assert.Matches(
        "Backend = Emulator: an SAE with the order of sums Fixed trains on the CPU only",
        Assert.Throws<SaeException>(() => BackendFactory.Create(BackendKind.Emulator, Spec, new() { BatchRows = 16 },
            InputType.Float32, (_, _) => { }, out _, shard: new(new SingleCollective(), Spec, SumOrder.Fixed)))
            .Message);

    [Fact]
    public void APlanThatDoesNotFitIsRefusedOnAllRanks() => Assert.Matches(
        "this run needs .* on CudaSae emulator, .* are free", Refusal(SumOrder.Ordered,
            new() { BatchRows = 1 << 20, Vectors = 1 << 20 }, Spec with { InputWidth = 2048 }));
}
