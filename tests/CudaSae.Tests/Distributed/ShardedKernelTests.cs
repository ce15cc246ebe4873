using CudaSae.Backends.Kernels;
using CudaSae.Distributed;
using CudaSae.Lab.Verification;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>The kernels on several ranks, each with an emulated device, against the double-precision reference: every
/// case that verify compares, and exact selections across ranks.</summary>
[Collection("emulator")]
public class ShardedKernelTests
{
    static readonly (int, int)[] Capabilities = [(8, 0), (9, 0)];

    static readonly VerifyCase[] Trained =
        [.. VerifyCase.All.Where(c => c.Config is { Screening: ScreeningKind.None, HotDensity: 0 })];

    public static TheoryData<string, int, int> Cases()
    {
        var data = new TheoryData<string, int, int>();
        foreach (var (i, c) in Trained.Index()) data.Add(c.Name, i % 7 == 3 ? 4 : 2, 8 + i / 2 % 2);
        return data;
    }

    [Theory, MemberData(nameof(Cases))]
    public void RanksAgreeWithTheReference(string name, int ranks, int major)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built");
        var c = Trained.Single(c => c.Name == name);
        foreach (var results in EmulatorRanks.Run(ranks, (major, 0), (ulong)name.Length, rank =>
            new Verifier((spec, config, type) => Create(rank, spec, config), Rounding.BFloat16).Run(c)))
            Assert.All(results, result => Assert.True(result.Passed, result.ToString()));
    }

    static KernelBackend Create(EmulatedRank rank, SaeSpec spec, TrainConfig config) =>
        new(rank.OpenDevice(), spec, config, InputType.Float32, ownsDevice: true,
            shard: new(rank.Collective, spec, SumOrder.Ordered));
}
