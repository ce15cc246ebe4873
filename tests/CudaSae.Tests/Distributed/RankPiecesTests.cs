using System.Globalization;
using CudaSae.Distributed;
using CudaSae.Lab.Insight.Density;
using CudaSae.Lab.Synthetic;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>Runs on several ranks that write the finished SAE in pieces, and runs that log densities: joined, the
/// pieces are the file of one process, and the log is that of one process.</summary>
public class RankPiecesTests
{
    static readonly TrainConfig Config = new()
    {
        BatchRows = 16, Vectors = 16 * 6, LearningRate = 0.01f, EmaDecay = 0.5f
    };

    static SaeSpec Spec(Selection selection, int latents = 100) => new()
    {
        InputWidth = 24, Latents = latents, Selection = selection, DecoderNorm = DecoderNorm.Free
    };

    static readonly Dictionary<string, SaeSpec> Specs = new()
    {
        ["topk"] = Spec(new Selection.TopK(4)),
        ["batchtopk"] = Spec(new Selection.BatchTopK(4)),
        ["jumprelu"] = Spec(new Selection.JumpRelu(), 1536),
        ["gated"] = Spec(new Selection.Gated(), 1536),
        ["matryoshka"] = Spec(new Selection.BatchTopK(4)) with { Nested = new Nesting.Prefixes([30, 70]) },
        ["skip transcoder"] = Spec(new Selection.TopK(4)) with
        {
            Transcoder = new(20, Skip: true),
            PreEncoderBias = false
        },
    };

    static RunData Data(TemporaryFolder folder, SaeSpec spec)
    {
        lock (folder)
            foreach (var (name, width) in new[] { ("x.npy", 24), ("y.npy", 20) })
                if (!File.Exists(folder[name]))
                    new Superposition(new() { Features = 40, Width = width, Rows = 512, L0 = 3, Seed = 5 })
                        .WriteRows(folder[name]);
        return RunData.Open(new([folder["x.npy"]], spec.Transcoder is null ? [] : [folder["y.npy"]], "64", null),
            _ => { });
    }

    /// <summary>Trains a run and saves its SAE twice, the second time over the first.</summary>
    static IReadOnlyList<string> Run(TemporaryFolder folder, string name, SaeSpec spec, ICollective? ranks)
    {
        using var data = Data(folder, spec);
        var config = Config with
        {
            FoldDecoderNorms = spec.Selection is Selection.JumpRelu,
            // Some latents are pruned, and not all.
            DecoderInitNorm = spec == Specs["topk"] ? 0.96f : 1,
            PruneBelow = spec.Selection is Selection.JumpRelu or Selection.Gated ? 0.94f : 1,
        };
        using var run = TrainingRun.New(data, spec, config, BackendKind.Cpu, folder[name], ranks: ranks);
        run.Open();
        run.Begin(_ => { });
        run.Runner.Train(folder[name], new RecordingObserver());
        run.Runner.Save(folder[name], limit: 0);
        return run.Runner.Save(folder[name], limit: 0);
    }

    [Theory]
    [InlineData("topk"), InlineData("batchtopk"), InlineData("jumprelu"), InlineData("gated"), InlineData("matryoshka")]
    [InlineData("skip transcoder")]
    public void JoinedPiecesAreTheFileOfOneProcess(string method)
    {
        using var folder = new TemporaryFolder();
        var spec = Specs[method];
        var notes = Run(folder, "single", spec, null);
        Assert.InRange(int.Parse(notes[0].Split(" latents of decoder norm")[0], CultureInfo.InvariantCulture), 1,
            spec.Latents - 1);
        var ofRanks = RankThreads.Run(3, ranks => Run(folder, "ranks", spec, ranks));
        Assert.Equal([notes, [], []], ofRanks);
        string[] places = method == "gated" ? ["", "average/", "jumprelu/", "average/jumprelu/"] : ["", "average/"];
        foreach (var place in places)
        {
            var (single, pieces) = (folder["single/" + place], folder["ranks/" + place]);
            Assert.Equal(
                [.. Enumerable.Range(1, 3).Select(i => SaePieceFolder.Piece(i, 3, "sae_weights-2")),
                    SaePieceFolder.IndexName],
                SaePieceFolder.Names(pieces).Where(name => name.StartsWith("sae_weights", StringComparison.Ordinal)));
            Assert.Equal(File.ReadAllBytes(single + "cfg.json"), File.ReadAllBytes(pieces + "cfg.json"));
            using (var sae = SaeModel.Load(pieces))
            {
                Assert.Empty(sae.Notes);
                sae.Save(folder["joined"]);
                sae.Save(pieces);       // in place: the one file replaces the pieces
            }
            var expected = File.ReadAllBytes(single + "sae_weights.safetensors");
            Assert.Equal(expected, File.ReadAllBytes(folder["joined/sae_weights.safetensors"]));
            Assert.Equal(expected, File.ReadAllBytes(pieces + "sae_weights.safetensors"));
            Assert.Equal(["sae_weights.safetensors"], SaePieceFolder.Names(pieces)
                .Where(name => name.StartsWith("sae_weights", StringComparison.Ordinal)));
        }
    }

    [Fact]
    public void TheCommandConvertJoinsPieces()
    {
        using var folder = new TemporaryFolder();
        using var model = SaePieceFolder.RandomSae(1);
        SaePieceFolder.Write(folder["pieces"], model, 3);
        model.Save(folder["one"]);
        var (code, output, error) = CliProgram.Run(CliProgram.Start("convert", folder["pieces"], folder["joined"]));
        Assert.True(code == 0, error);
        Assert.Contains("saelens", output);
        Assert.Equal(File.ReadAllBytes(folder["one/sae_weights.safetensors"]),
            File.ReadAllBytes(folder["joined/sae_weights.safetensors"]));
        File.Delete(folder["pieces/" + SaePieceFolder.Piece(3, 3)]);
        (code, _, error) = CliProgram.Run(CliProgram.Start("convert", folder["pieces"], folder["none"]));
        Assert.Equal(2, code);
        Assert.Matches(@"^cudasae: \S+00003-of-00003\.safetensors is damaged: it is missing$", error.Trim());
        Assert.False(Directory.Exists(folder["none"]));
    }

    /// <summary>Above the limit, rank 0 does not plan memory for the weights of all latents.</summary>
    [Theory, InlineData(3_000_000, true), InlineData(4_000_000, false)]
    public void ThePlanOfRank0HasAllWeightsOnlyForOneFile(int latents, bool inOneFile)
    {
        var spec = Spec(new Selection.TopK(4), latents) with { InputWidth = 2048 };
        var plans = RankThreads.Run(2, ranks =>
        {
            string[] parts = [];
            Assert.Throws<OperationCanceledException>(() => BackendFactory.Create(BackendKind.Cpu, spec, Config,
                InputType.Float32, (plan, _) =>
                {
                    parts = [.. plan.Parts.Select(part => part.Name)];
                    throw new OperationCanceledException();     // before anything is allocated
                }, out _, shard: new(ranks, spec)));
            return parts;
        });
        Assert.Equal([inOneFile, false], plans.Select(parts => parts.Contains("weights of all ranks, to save")));
    }

    /// <summary>The run resamples latents, which the log records too.</summary>
    [Fact]
    public void TheLogOfDensitiesIsThatOfOneProcess()
    {
        using var folder = new TemporaryFolder();
        var spec = Spec(new Selection.TopK(2));
        var config = Config with
        {
            Vectors = 16 * 40,
            LearningRate = 0.05f,
            EmaDecay = 0,
            Resampling = new(10, 2, DeadAfterSteps: 7, Inputs: 64, Protected: 0.3f),
        };
        Log(null);
        RankThreads.Run(3, Log);
        var one = File.ReadAllBytes(folder["1.bin"]);
        Assert.Equal(one, File.ReadAllBytes(folder["3.bin"]));
        var file = new DensityFile(folder["1.bin"]);
        Assert.Equal(7, file.Count);
        Assert.Contains(Enumerable.Range(0, 7), w => file[w].Resampled.Contains(true));

        void Log(ICollective? ranks)
        {
            using var data = Data(folder, spec);
            using var run = TrainingRun.New(data, spec, config, BackendKind.Cpu, ranks: ranks);
            run.Open();
            run.Begin(_ => { });
            using var log = new DensityLog(ranks is { Rank: > 0 } ? null : folder[$"{ranks?.Size ?? 1}.bin"],
                spec.Latents, config, 6, 0);
            run.Runner.Train(null, log);
        }
    }
}
