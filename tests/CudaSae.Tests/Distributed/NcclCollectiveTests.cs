using CudaSae.Distributed;
using CudaSae.Lab.Verification;

namespace CudaSae.Tests;

/// <summary>Ranks over NCCL, between emulated devices, against plain computations.</summary>
[Collection("emulator")]
public class NcclCollectiveTests
{
    /// <summary>Runs work on the ranks, whose collectives have pieces of a size.</summary>
    static void Run(int ranks, int piece, Action<NcclCollective> work, Action<int>? end = null)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        EmulatorRanks.Run(ranks, (8, 0), 5, rank =>
        {
            var device = rank.OpenDevice();
            using (var collective = new NcclCollective(device, () => rank.Connect(device), 0, piece,
                end ?? (code => Assert.Fail($"ends with {code}"))))
                work(collective);
            rank.Collective.Barrier();
            Assert.Equal((0ul, 0ul), (rank.Emulator.LiveAllocations, rank.Emulator.LiveHandles));
        });
    }

    [Theory]
    [InlineData(1, 64), InlineData(2, 64), InlineData(3, 96), InlineData(2, 1 << 16), InlineData(3, 1 << 16)]
    public void TheCollectivesAreRight(int ranks, int piece) => Run(ranks, piece, collective =>
    {
        foreach (var bytes in new[] { 0, 1, 77, 1003 }) CollectiveCheck.Run(collective, bytes);
        Assert.Equal(ranks, collective.LocalSize);      // counted by the name of the machine
        Assert.Equal($"{ranks} over NCCL, {ranks} on this machine", collective.Description);
        Assert.Null(collective.Fault());
    });

    [Fact]
    public void AnAbortEndsTheProcessAndIsFoundByOtherRanks()
    {
        var codes = new List<int>();
        Run(2, 4096, collective =>
        {
            collective.Barrier();
            if (collective.Rank == 0) collective.Abort(7);
            else
            {
                Assert.True(SpinWait.SpinUntil(() => collective.Fault() is not null, TimeSpan.FromSeconds(10)));
                Assert.Matches("NCCL error 6 .*rank 0 has aborted", collective.Fault());
            }
        }, codes.Add);
        Assert.Equal([7], codes);
    }

    /// <summary>The variable serves one group, so a later id is another one.</summary>
    [Fact]
    public void TheAddressIsRemovedAfterTheRanksHaveJoined()
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        EmulatorRanks.Run(1, (8, 0), 0, rank =>
        {
            var device = rank.OpenDevice();
            var address = $"127.0.0.1:{Random.Shared.Next(1024, 65536)}";
            using var collective = new NcclCollective(device, new RankEnvironment("torchrun", 0, 1, 0, 1), address);
            Assert.Equal(1, collective.LocalSize);
            Assert.NotEqual(device.NewNcclId(), device.NewNcclId());
        });
    }

    [Fact]
    public void AnAddressThatCannotBeUsedIsNamed()
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        EmulatorRanks.Run(1, (8, 0), 0, rank => Assert.Matches(
            "torchrun started 2 ranks, but they cannot be joined by NCCL at nowhere: .*HOST:PORT",
            Assert.Throws<SaeException>(() => new NcclCollective(rank.OpenDevice(),
                new RankEnvironment("torchrun", 0, 2, 0, 2), "nowhere")).Message));
    }
}
