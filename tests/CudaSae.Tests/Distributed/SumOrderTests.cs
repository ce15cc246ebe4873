using System.Runtime.InteropServices;
using CudaSae.Distributed;
using CudaSae.Lab.Verification;

namespace CudaSae.Tests;

/// <summary>What each order of sums over ranks promises (<see cref="SumOrder"/>). <see cref="ShardedStepTests"/> holds
/// that <see cref="SumOrder.Chain"/> gives the bits of one process.</summary>
public class SumOrderTests
{
    /// <summary>Cases with each kind of sum: one reconstruction, nested ones, the gate's, that from dead latents, dense
    /// ones, and penalties.</summary>
    static readonly string[] Names =
    [
        "adam", "abs top-k", "batch top-k", "annealed k", "multi top-k", "hierarchical top-k", "matryoshka",
        "matryoshka, random prefixes, mean", "top-k, L1", "top-k, ghosts", "group max", "transcoder, skip, matryoshka",
        "relu, L1", "relu, L1, dense", "relu, aux, dense", "gated, live decoder, L1 by norm",
        "gated, matryoshka, live decoder, dense", "jumprelu, matryoshka, dense", "jumprelu, L0",
    ];

    public static TheoryData<string> Cases() => [.. Names];

    public static TheoryData<string> BoundedCases() =>
        [.. Names.Where(name => !Case(name).Spec.IsThresholded)];

    static VerifyCase Case(string name) => VerifyCase.All.Single(c => c.Name == name);

    static ShardedRun[] Run(string name, int ranks, SumOrder order, int machineSize = 0) =>
        RankThreads.Run(ranks, collective => ShardedRun.Of(Case(name).Divided(4), collective, order),
            machineSize);

    static void RequireEqual(ShardedRun one, ShardedRun other)
    {
        Assert.Equal(one.Steps, other.Steps);
        Assert.All(one.State, array => Assert.Equal(array.Value, other.State[array.Key]));
    }

    /// <summary>The weights of a case that trains, compared as a whole.</summary>
    static double Difference(ShardedRun one, ShardedRun other, string array)
    {
        var a = MemoryMarshal.Cast<byte, float>(one.State[array]);
        var b = MemoryMarshal.Cast<byte, float>(other.State[array]);
        double difference = 0, norm = 0;
        for (var i = 0; i < a.Length; i++)
        {
            difference += Math.Pow((double)a[i] - b[i], 2);
            norm += (double)a[i] * a[i];
        }
        return Math.Sqrt(difference / norm);
    }

    [Theory, MemberData(nameof(Cases))]
    public void OrderedBitsAreAFunctionOfRanksAndMachineSize(string name)
    {
        var first = Run(name, 4, SumOrder.Ordered, machineSize: 2);
        var again = Run(name, 4, SumOrder.Ordered, machineSize: 2);
        foreach (var rank in first.Concat(again)) RequireEqual(first[0], rank);
    }

    [Theory, MemberData(nameof(Cases))]
    public void OrderedDiffersFromOneProcessByRoundingOnly(string name)
    {
        var one = ShardedRun.Of(Case(name).Divided(4), null);
        var ordered = Run(name, 4, SumOrder.Ordered)[0];
        Assert.InRange(Difference(one, ordered, "w_dec"), 0, 1e-5);
        Assert.InRange(Difference(one, ordered, "b_dec"), 0, 1e-5);
    }

    [Theory, MemberData(nameof(BoundedCases))]
    public void FixedGivesTheSameBitsForEveryNumberOfRanks(string name)
    {
        var one = ShardedRun.Of(Case(name).Divided(4), new SingleCollective(), SumOrder.Fixed);
        foreach (var ranks in new[] { 2, 3, 4 })
            foreach (var rank in Run(name, ranks, SumOrder.Fixed)) RequireEqual(one, rank);
    }

    [Theory, MemberData(nameof(BoundedCases))]
    public void FixedDiffersFromOneProcessByRoundingOnly(string name)
    {
        var one = ShardedRun.Of(Case(name).Divided(4), null);
        var rounded = ShardedRun.Of(Case(name).Divided(4), new SingleCollective(), SumOrder.Fixed);
        Assert.InRange(Difference(one, rounded, "w_dec"), 0, 1e-5);
        Assert.InRange(Difference(one, rounded, "b_dec"), 0, 1e-5);
    }

    [Fact]
    public void FixedIsRefusedForThresholdedSelections()
    {
        var e = Assert.Throws<SaeException>(() => new ShardPlan(new SingleCollective(), Case("relu, L1").Spec,
            SumOrder.Fixed));
        Assert.Contains("fixed", e.Message);
        Assert.Contains("Relu", e.Message);
    }
}
