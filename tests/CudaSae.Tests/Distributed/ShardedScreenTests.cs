using CudaSae.Lab.Verification;

namespace CudaSae.Tests;

/// <summary>8-bit screening on several ranks.</summary>
[Collection("emulator")]
public class ShardedScreenTests
{
    static readonly SaeSpec Spec = new() { InputWidth = 40, Latents = 600, Selection = new Selection.TopK(5) };
    static readonly TrainConfig Screened = new() { Screening = ScreeningKind.Int8, ScreeningAudit = 2, Epsilon = 0.1f };

    /// <summary>Trains with 64 candidates a row, so that most columns of a rank are screened.</summary>
    static (StepSums[] Sums, byte[] Weights, byte[] Scale)[] Train(TrainConfig config, float margin, bool hopper) =>
        EmulatorRanks.Run(2, hopper ? (9, 0) : (8, 0), 2, rank =>
        {
            var problem = new SmallProblem(Spec, 8, config);
            using var backend = EmulatedBackends.Create(rank, Spec, problem.Config, capacity: 64);
            using var own = OwnLatents.Rows(problem.Parameters, backend.Shard!);
            backend.SetParameters(own);
            if (backend.Screen is { } screen) screen.MarginFactor = margin;
            var step = new SaeStep(backend);
            var sums = new StepSums[4];
            for (uint t = 1; t <= 4; t++)
            {
                SmallProblem.Feed(backend, (int)(t & 1), problem.Batch());
                step.Run((int)(t & 1), problem.Scalars(t));
                sums[t - 1] = backend.ReadSums();
            }
            byte[] Bytes(string name) => backend.State.Where(array => array.Name == name)
                .SelectMany(array => States.Of(backend, array)).ToArray();
            return (sums, Bytes("w_enc_hi").Concat(Bytes("w_dec_hi")).ToArray(), Bytes("screen_scale"));
        });

    [Theory, InlineData(false), InlineData(true)]
    public void ScreeningChangesNoWeight(bool hopper)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        var exact = Train(Screened with { Screening = ScreeningKind.None }, 1, hopper: false);
        var screened = Train(Screened, 1, hopper);
        foreach (var (one, other) in exact.Zip(screened)) Assert.Equal(one.Weights, other.Weights);
        Assert.Equal(screened[0].Scale, screened[1].Scale);
        Assert.All(screened, rank => Assert.Equal((2, 0),
            (rank.Sums[^1].ScreeningAudits, rank.Sums[^1].ScreeningMisses)));
    }

    /// <summary>Without its margin each rank loses entries, and every rank reports those of all ranks.</summary>
    [Fact]
    public void AnAuditCountsTheMissesOfAllRanks()
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        var ranks = Train(Screened, -2, hopper: false);
        Assert.Equal(ranks[0].Sums.Select(Audit), ranks[1].Sums.Select(Audit));
        Assert.Equal([0, 1, 1, 2], ranks[0].Sums.Select(sums => sums.ScreeningAudits));
        var (first, second) = (ranks[0].Sums[1].ScreeningMisses, ranks[0].Sums[3].ScreeningMisses);
        Assert.True(first > 0 && second > first, $"{first} misses after one audit, {second} after two");
        Assert.True(ranks[0].Sums[1].ScreeningShortfall > 0);
    }

    static (int, int, float) Audit(StepSums sums) =>
        (sums.ScreeningAudits, sums.ScreeningMisses, sums.ScreeningShortfall);
}
