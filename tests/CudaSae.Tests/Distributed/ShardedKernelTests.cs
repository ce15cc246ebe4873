using CudaSae.Distributed;
using CudaSae.Lab.Verification;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>The kernels on several ranks, each with an emulated device, against the double-precision reference. Ranks
/// repeat their bits under any schedule, and in recorded steps.</summary>
[Collection("emulator")]
[Trait("speed", "slow")]
public class ShardedKernelTests
{
    const uint Steps = 4;

    static readonly VerifyCase[] Trained =
        [.. VerifyCase.All.Where(c => c.Config.HotDensity == 0)];

    /// <summary>Returns whether a case has nothing for ranks that another case does not have: the recipe of a preset,
    /// or another function of a latent near its threshold.</summary>
    static bool IsCovered(VerifyCase c) => c.Name.StartsWith("preset ") ||
        c.Spec.Selection is Selection.JumpRelu { Kernel: not (SmoothingKernel.Rectangle or SmoothingKernel.Gaussian) };

    static VerifyCase Case(string name) => Trained.Single(c => c.Name == name);

    public static TheoryData<string, int, int> Cases()
    {
        var data = new TheoryData<string, int, int>();
        foreach (var (i, c) in Trained.Where(c => !IsCovered(c)).Index())
            data.Add(c.Name, i % 4 == 3 ? 4 : 2, 8 + i / 2 % 2);
        return data;
    }

    [Theory, MemberData(nameof(Cases))]
    public void RanksAgreeWithTheReference(string name, int ranks, int major)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        var c = Case(name);
        foreach (var results in EmulatorRanks.Run(ranks, (major, 0), (ulong)name.Length, rank =>
            new Verifier((spec, config, _) => EmulatedBackends.Create(rank, spec, config), Rounding.BFloat16).Run(c)))
            Assert.All(results, result => Assert.True(result.Passed, result.ToString()));
    }

    /// <summary>Cases with each kind of exchange.</summary>
    public static TheoryData<string> Exchanges =>
    [
        "adam", "abs top-k", "batch top-k", "annealed k", "hierarchical top-k", "matryoshka, random prefixes, mean",
        "top-k, ghosts", "group max", "aux, chosen of the dead", "clip by the global norm",
        "transcoder, skip, matryoshka", "relu, L1, dense", "gated, live decoder, L1 by norm",
        "gated, matryoshka, live decoder, dense", "jumprelu, pre-activation loss of the dead",
    ];

    static EmulatedBackends.Outcome[] Run(VerifyCase c, ulong seed, bool replay, int ranks = 4, int machineSize = 2) =>
        EmulatorRanks.Run(ranks, (9, 0), seed, rank => EmulatedBackends.Run(rank, c, Steps, replay), machineSize);

    [Theory, MemberData(nameof(Exchanges))]
    public void RecordedStepsUnderAnotherScheduleGiveTheSameBits(string name)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        EmulatedBackends.RequireSame(Run(Case(name), 0, replay: false), Run(Case(name), 11, replay: true));
    }

    /// <summary>A recorded batch without room on all ranks together ends on the dense path of all ranks, although each
    /// rank alone has room.</summary>
    [Fact]
    public void AnOverfullBatchTakesTheDensePathOnAllRanks()
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        var c = Case("relu, L1 by decoder norm");
        var fullest = EmulatorRanks.Run(2, (8, 0), 0, rank => Fullest(rank, c))[0];
        var half = c with
        {
            Spec = c.Spec with { Selection = ((Selection.Relu)c.Spec.Selection) with { Room = fullest[1] } },
        };
        var launched = Run(half, 0, replay: false, ranks: 2);
        Assert.Contains(true, launched[0].Dense);
        Assert.Contains(false, launched[0].Dense);
        EmulatedBackends.RequireSame(launched, Run(half, 5, replay: true, ranks: 2));
    }

    /// <summary>Returns the entries of the fullest row of each step, ascending.</summary>
    static int[] Fullest(EmulatedRank rank, VerifyCase c)
    {
        var problem = c.Problem();
        using var backend = EmulatedBackends.Create(rank, problem.Spec, problem.Config);
        using var own = OwnLatents.Rows(problem.Parameters, backend.Shard!);
        backend.Dense = false;
        backend.SetParameters(own);
        var step = new SaeStep(backend);
        return [.. Enumerable.Range(1, (int)Steps).Select(t =>
        {
            SmallProblem.Feed(backend, t & 1, problem.Batch());
            step.Run(t & 1, problem.Scalars((uint)t, c.LearningRate, c.DeadAfterSteps));
            return backend.ReadSums().MaxRow;
        }).Order()];
    }

    [Fact]
    public void OtherOrdersAndSettingsOfOneProcessAreRefusedByName()
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        SaeSpec spec = new() { InputWidth = 16, Latents = 128, Selection = new Selection.TopK(4) };
        TrainConfig config = new() { BatchRows = 16, Vectors = 160 };
        foreach (var (order, refused, sentence) in new[]
        {
            (SumOrder.Chain, config, "add in the order of the ranks, not as Chain"),
            (SumOrder.Fixed, config, "add in the order of the ranks, not as Fixed"),
            (SumOrder.Ordered, config with { HotDensity = 0.1f }, "HotDensity = 0.1"),
            (SumOrder.Ordered, config with { ValidateEvery = 10 }, "leave ValidateEvery = 0"),
        })
        {
            var e = Assert.Throws<SaeException>(() => EmulatorRanks.Run(2, (8, 0), 0, rank =>
                new Backends.Kernels.KernelBackend(rank.OpenDevice(), spec, refused, InputType.Float32,
                    ownsDevice: true, shard: new(rank.Collective, spec, order)).Dispose()));
            Assert.Contains(sentence, e.Message);
        }
    }
}
