using CudaSae.Distributed;
using CudaSae.Lab.Synthetic;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Tests;

/// <summary>The start, the checkpoint and the finished SAE of a run on several ranks.</summary>
public class RankRunTests
{
    static readonly TrainConfig Config = new()
    {
        BatchRows = 16, Vectors = 16 * 4, EmaDecay = 0.5f, InitialFiringRate = 0.2f, PruneBelow = 0.01f
    };

    static readonly SaeSpec[] Specs =
    [
        new() { InputWidth = 24, Latents = 100, Selection = new Selection.BatchTopK(4) },
        new() { InputWidth = 24, Latents = 100, Selection = new Selection.TopK(4), Tying = Tying.Scaled },
        new() { InputWidth = 24, Latents = 1536, Selection = new Selection.JumpRelu() },
        new() { InputWidth = 24, Latents = 1536, Selection = new Selection.Gated() },
    ];

    public static TheoryData<int> Methods => [0, 1, 2, 3];

    static RunData Data(TemporaryFolder folder)
    {
        if (!File.Exists(folder["x.npy"]))
            new Superposition(new() { Features = 40, Width = 24, Rows = 512, L0 = 3, Seed = 5 })
                .WriteRows(folder["x.npy"]);
        return RunData.Open(new([folder["x.npy"]], [], "64", null), _ => { });
    }

    /// <summary>Begins a run, saves a checkpoint and the SAE, and returns the weights that all ranks get.</summary>
    static float[] Run(TemporaryFolder folder, string name, SaeSpec spec, ICollective? ranks,
        SaeParameters? finetuned = null)
    {
        using var data = Data(folder);
        using var run = TrainingRun.New(data, spec, Config, BackendKind.Cpu, folder[name],
            finetuned is null ? null : new(Weights: finetuned), ranks: ranks);
        run.Open();
        run.Begin(_ => { });
        Checkpoint.Save(folder[name], run.Runner.Backend, new(0, default,
            new Dictionary<string, string>(run.Runner.Scale.Save())));
        Assert.Equal(ranks is { Rank: > 0 }, run.Runner.Save(folder[name]).Count == 0);
        using var model = run.Runner.Model();
        Assert.Equal(ranks is { Rank: > 0 }, model is null);
        run.Runner.Prune();
        using var all = ShardWeights.GatherToAll(run.Runner.Backend);
        return
        [
            .. Enumerable.Range(0, spec.Latents).SelectMany(f => (float[])[.. all.WEnc[f], .. all.WDec[f]]),
            .. OwnLatents.Vectors(all).SelectMany(vector => vector), .. all.BDec, all.BatchThreshold,
        ];
    }

    static string[] Files(string run) =>
    [
        .. Directory.GetFiles(run, "*", SearchOption.AllDirectories).Select(path => Path.GetRelativePath(run, path))
            .Where(path => !path.StartsWith("checkpoint", StringComparison.Ordinal)).Order(StringComparer.Ordinal),
    ];

    [Theory, MemberData(nameof(Methods))]
    public void TheStartAndTheFinishedSaeAreThoseOfOneProcess(int method)
    {
        using var folder = new TemporaryFolder();
        var spec = Specs[method];
        var single = Run(folder, "single", spec, null);
        foreach (var ranks in new[] { 2, 3 })
        {
            foreach (var weights in RankThreads.Run(ranks, own => Run(folder, $"{ranks}", spec, own)))
                Assert.Equal(single, weights);
            Assert.Equal(Files(folder["single"]), Files(folder[$"{ranks}"]));
            foreach (var file in Files(folder["single"]).Where(file => file != RunRecord.FileName))
                Assert.Equal(File.ReadAllBytes(folder[$"single/{file}"]), File.ReadAllBytes(folder[$"{ranks}/{file}"]));
        }
    }

    [Fact]
    public void FineTuningStartsFromTheSameWeights()
    {
        using var folder = new TemporaryFolder();
        var single = Run(folder, "single", Specs[0], null, Random(Specs[0]));
        foreach (var weights in RankThreads.Run(3, own => Run(folder, "ranks", Specs[0], own, Random(Specs[0]))))
            Assert.Equal(single, weights);
    }

    static SaeParameters Random(SaeSpec spec)
    {
        var random = new Random(3);
        var p = new SaeParameters(spec);
        for (var f = 0; f < spec.Latents; f++)
            for (var i = 0; i < spec.InputWidth; i++)
                (p.WEnc[f][i], p.WDec[f][i]) = (random.NextSingle(), random.NextSingle());
        for (var f = 0; f < spec.Latents; f++) p.BEnc[f] = random.NextSingle();
        return p;
    }

    /// <summary>An SAE is read from a checkpoint of ranks as from one of a single process. The file of one rank is
    /// refused, and names the index.</summary>
    [Fact]
    public void ACheckpointOfRanksIsReadAsAnSae()
    {
        using var folder = new TemporaryFolder();
        var spec = Specs[0];
        Run(folder, "single", spec, null);
        RankThreads.Run(3, own => Run(folder, "ranks", spec, own));
        var index = folder["ranks/checkpoint/step-000000000.index.json"];
        foreach (var file in Files(folder["single"]).Where(file => file != RunRecord.FileName))
            foreach (var run in new[] { "single", "ranks" }) File.Delete(folder[$"{run}/{file}"]);
        using var expected = SaeFormats.Of(folder["single"]).Read(folder["single"]);
        foreach (var path in new[] { folder["ranks"], index })
        {
            using var model = SaeFormats.Of(path).Read(path);
            Assert.Contains("step-000000000.index.json, step 0", Assert.Single(model.Notes));
            for (var f = 0; f < spec.Latents; f++)
                Assert.True(expected.Parameters.WDec[f].SequenceEqual(model.Parameters.WDec[f]));
        }
        var part = folder["ranks/checkpoint/step-000000000/rank-00001-of-00003.safetensors"];
        AssertOneLine("holds the latents of one rank only; name the index", () => SaeFormats.Of(part).Read(part));
    }

    [Fact]
    public void AnErrorOfOneRankIsAnErrorOfAll()
    {
        var messages = RankThreads.Run(3, ranks => Assert.Throws<SaeException>(() => RankAgreement.Do(ranks, () =>
        {
            if (ranks.Rank > 0) throw new SaeException($"disk {ranks.Rank}", kind: SaeErrorKind.Files);
        })));
        Assert.Equal(["rank 1: disk 1", "disk 1", "disk 2"], messages.Select(e => e.Message));
        Assert.All(messages, e => Assert.Equal(SaeErrorKind.Files, e.Kind));
    }
}
