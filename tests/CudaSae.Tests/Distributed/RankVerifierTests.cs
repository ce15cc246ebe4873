using CudaSae.Backends.Cpu;
using CudaSae.Distributed;
using CudaSae.Lab.Verification;

namespace CudaSae.Tests;

/// <summary>The comparison with the reference on several ranks.</summary>
public class RankVerifierTests
{
    static IReadOnlyList<VerifyResult> Run(VerifyCase c, ICollective ranks, Rounding rounding) =>
        new Verifier((spec, config, type) => new CpuBackend(spec, config, type, 2, new ShardPlan(ranks, spec)),
            rounding).Run(c.Divided(ranks.Size));

    static VerifyCase Case(string name) => VerifyCase.All.Single(c => c.Name == name);

    [Theory]
    [InlineData("adam", 2), InlineData("batch top-k", 3), InlineData("relu, L1, dense", 2)]
    [InlineData("gated, matryoshka, live decoder", 2), InlineData("transcoder, skip, gated", 3)]
    public void RanksEqualTheReference(string name, int ranks) =>
        Assert.All(RankThreads.Run(ranks, collective => Run(Case(name), collective, Rounding.None)),
            results => Assert.All(results, r => Assert.True(r.Passed, r.ToString())));

    [Fact]
    public void ADifferenceOnOneRankIsFoundOnAll()
    {
        var results = RankThreads.Run(2, collective => Run(Case("adam"), collective,
            collective.Rank == 0 ? Rounding.None : Rounding.BFloat16));
        Assert.Equal(results[0].Select(r => r.Difference), results[1].Select(r => r.Difference));
        Assert.Contains(results[0], r => !r.Passed);
    }
}
