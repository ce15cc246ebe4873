using CudaSae.Training.Checkpoints;

namespace CudaSae.Tests;

/// <summary>Checkpoints of the kernels' state on several ranks.</summary>
[Collection("emulator")]
public class RankKernelCheckpointTests
{
    [Theory]
    [InlineData(1, 3), InlineData(3, 1), InlineData(2, 3), InlineData(4, 2)]
    public void AnyNumberOfRanksReadsTheStateOfAnyOther(int saved, int restored)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        using var folder = new TemporaryFolder();
        EmulatorRanks.Run(saved, (8, 0), 0, rank =>
        {
            using var backend = EmulatedBackends.Create(rank, RankCheckpoints.Spec, RankCheckpoints.Config);
            RankCheckpoints.Fill(backend, seed: 7);
            Checkpoint.Save(folder["run"], backend, new(7, new(1, 2), null, null));
        });
        EmulatorRanks.Run(restored, (8, 0), 0, rank =>
        {
            using var backend = EmulatedBackends.Create(rank, RankCheckpoints.Spec, RankCheckpoints.Config);
            Assert.Equal(7, Checkpoint.Restore(folder["run"], backend, 4, _ => { }).Step);
            RankCheckpoints.AssertFilled(backend, seed: 7);
        });
    }
}
