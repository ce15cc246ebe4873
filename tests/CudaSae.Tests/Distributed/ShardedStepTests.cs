using CudaSae.Lab.Verification;

namespace CudaSae.Tests;

/// <summary>Several ranks on the CPU give the bits of one process: weights, moments, counters, sums, codes and firings,
/// for every case that verify compares with the reference.</summary>
public class ShardedStepTests
{
    public static TheoryData<string, int> Cases()
    {
        var data = new TheoryData<string, int>();
        foreach (var (i, c) in VerifyCase.All.Index()) data.Add(c.Name, 2 + i % 2);
        return data;
    }

    [Theory, MemberData(nameof(Cases))]
    public void RanksGiveTheBitsOfOneProcess(string name, int ranks)
    {
        var c = VerifyCase.All.Single(c => c.Name == name).Divided(ranks);
        ShardedRun.RequireBitsOfOneProcess(c, ranks);
    }

    /// <summary>A problem of TopK on the given shapes.</summary>
    static VerifyCase TopK(int latents, int k, Action<SmallProblem>? prepare = null, int rows = 40) =>
        new("ranks", new() { InputWidth = 24, Latents = latents, Selection = new Selection.TopK(k) },
            new() { Epsilon = 0.1f }, Steps: 4, Rows: rows)
        { Prepare = prepare };

    [Theory, InlineData(5), InlineData(8), InlineData(64)]
    public void ManyRanksGiveTheBitsOfOneProcess(int ranks) =>
        ShardedRun.RequireBitsOfOneProcess(TopK(200, 7), ranks);

    [Fact]
    public void ARowMayTakeMoreEntriesThanARankHasLatents() =>
        ShardedRun.RequireBitsOfOneProcess(TopK(64, 40), 4);

    [Fact]
    public void EqualPreActivationsGoToTheLowestLatentsOfAllRanks() =>
        ShardedRun.RequireBitsOfOneProcess(TopK(96, 6, problem =>
        {
            for (var f = 1; f < 96; f++)
            {
                problem.Parameters.WEnc[0].CopyTo(problem.Parameters.WEnc[f]);
                problem.Parameters.BEnc[f] = problem.Parameters.BEnc[0];
            }
        }), 3);

    [Fact]
    public void ARankMayHaveNoEntryInABatch() =>
        ShardedRun.RequireBitsOfOneProcess(TopK(96, 6, problem =>
            problem.Parameters.BEnc.AsSpan(32, 32).Fill(-100)), 3);

    [Fact]
    public void ABatchMayHaveFewerRowsThanRanks() =>
        ShardedRun.RequireBitsOfOneProcess(TopK(96, 6, rows: 3), 8);

    [Fact]
    public void ARowWithoutRoomOnAllRanksTogetherSendsTheBatchDownTheDensePath()
    {
        var c = new VerifyCase("room", new()
        {
            InputWidth = 24, Latents = 1024, Selection = new Selection.Relu(Room: 600),
            Penalty = new SparsityPenalty.L1 { Coefficient = 0.1f, WarmupFraction = 0 },
        }, new() { Epsilon = 0.1f }, Steps: 3, Rows: 40)
        { Prepare = problem => problem.Parameters.BEnc.AsSpan().Fill(1) };
        ShardedRun.RequireBitsOfOneProcess(c, 2);
        var sums = RankThreads.Run(2, ranks => ShardedRun.Of(c, ranks).Sums);
        Assert.All(sums, steps => Assert.All(steps, step => Assert.Equal((1, true), (step.Dense, step.Overflows > 0))));
    }
}
