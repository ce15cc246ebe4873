using CudaSae.Backends.Cpu;
using CudaSae.Backends.Kernels;
using CudaSae.Distributed;
using CudaSae.Lab.Verification;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>The exchange of a chunk of rows beside the encoding of the next: the bits of a step do not depend on the
/// chunks.</summary>
[Collection("emulator")]
[Trait("speed", "slow")]
public class OverlapTests
{
    const uint Steps = 3;

    static VerifyCase Case(string name) => VerifyCase.All.Single(c => c.Name == name);

    public static TheoryData<string, int, int> Cases => new()
    {
        { "adam", 2, 2048 }, { "adam", 3, 64 }, { "abs top-k", 4, 2048 }, { "annealed k", 2, 2048 },
        { "hierarchical top-k", 3, 2048 }, { "matryoshka, random prefixes, mean", 3, 2048 },
        { "top-k, ghosts", 2, 2048 }, { "aux, chosen of the dead", 3, 64 }, { "clip by the global norm", 2, 2048 },
        { "transcoder, skip, matryoshka", 3, 2048 },
    };

    static EmulatedBackends.Outcome[] Run(VerifyCase c, int major, ulong seed, bool replay, int capacity, int chunks) =>
        EmulatorRanks.Run(2, (major, 0), seed, rank =>
            EmulatedBackends.Run(rank, c, Steps, replay, capacity, chunks));

    [Theory, MemberData(nameof(Cases))]
    public void ChunksOfRowsDoNotChangeTheBits(string name, int chunks, int capacity)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        var (c, major) = (Case(name), 8 + chunks % 2);
        var serial = Run(c, major, 0, replay: false, capacity, chunks: 1);
        foreach (var (seed, replay) in ((ulong, bool)[])[(5, false), (23, true)])
            EmulatedBackends.RequireSame(serial, Run(c, major, seed, replay, capacity, chunks));
    }

    /// <summary>Pre-activations ascend with the latent, so each row has more candidates than its capacity.</summary>
    [Fact]
    public void RowsOverCapacityAreCountedInAllChunks()
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        var problem = new SmallProblem(rows: 16, width: 16, latents: 512, active: 4);
        for (var f = 0; f < 512; f++) problem.Parameters.BEnc[f] = f;
        var (batch, scalars) = (problem.Batch(), problem.Scalars(1));
        int[] counts = [.. ((int[])[1, 3]).Select(chunks => EmulatorRanks.Run(2, (8, 0), 0, rank =>
        {
            using var backend = EmulatedBackends.Create(rank, problem.Spec, problem.Config, capacity: 64, chunks);
            using var own = OwnLatents.Rows(problem.Parameters, backend.Shard!);
            backend.SetParameters(own);
            SmallProblem.Feed(backend, 0, batch);
            new SaeStep(backend).Evaluate(0, scalars);
            return (int)backend.ReadSums().Overflows;
        })[0])];
        Assert.Equal([2 * 16, 2 * 16], counts);
    }

    [Fact]
    public void ChunksAreAsEqualAsWholeTilesAllow()
    {
        Assert.Equal([new(0, 6), new(6, 6), new(12, 4)], RowRange.Divide(16, 3));
        Assert.Equal([new(0, 384), new(384, 384), new(768, 232)], RowRange.Divide(1000, 3));
        Assert.Equal([new(0, 7)], RowRange.Divide(7, 1));
        Assert.Equal(7, RowRange.Divide(7, 7).Length);
    }

    [Fact]
    public void SelectionsThatNeedAllRowsAreRefusedByName()
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        SaeSpec topK = new() { InputWidth = 16, Latents = 128, Selection = new Selection.TopK(4) };
        TrainConfig config = new() { BatchRows = 16, Vectors = 160 };
        foreach (var (spec, refused, chunks, sentence) in new (SaeSpec, TrainConfig, int, string)[]
        {
            (topK with { Selection = new Selection.BatchTopK(4) }, config, 2, "2 chunks of rows: a row of BatchTopK"),
            (topK with { Selection = new Selection.GroupMax(4) }, config, 2, "a row of GroupMax is not selected"),
            (topK, config with { Screening = ScreeningKind.Int8 }, 2, "8-bit screening encodes all rows at once"),
            (topK, config, 17, "17 chunks of rows: a batch of 16 rows has 1 to 16 chunks"),
        })
        {
            var e = Assert.Throws<SaeException>(() => EmulatorRanks.Run(2, (8, 0), 0, rank =>
                new KernelBackend(rank.OpenDevice(), spec, refused, InputType.Float32, ownsDevice: true,
                    shard: new(rank.Collective, spec, SumOrder.Ordered) { RowChunks = chunks }).Dispose()));
            Assert.Contains(sentence, e.Message);
        }
        using var alone = new SingleCollective();
        Assert.Contains("use 1 chunk, or Backend = Cuda", Assert.Throws<SaeException>(() =>
            new CpuBackend(topK, config, InputType.Float32, shard: new(alone, topK) { RowChunks = 2 })).Message);
    }
}
