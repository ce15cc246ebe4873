using System.Reflection;
using System.Text;
using CudaSae.Activations.Stores;
using CudaSae.Cli;
using CudaSae.Lab.Harvest;
using CudaSae.Lab.Report;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Tests;

/// <summary>Hostile files: a short run of the fuzzer (tests/CudaSae.Testing/Fuzz) over every parser, and a test for
/// each finding of the long runs.</summary>
[Trait("speed", "slow")]
public sealed class FuzzTests : IDisposable
{
    readonly FuzzTargets targets = new();

    public void Dispose() => targets.Dispose();

    [Theory]
    [InlineData("safetensors"), InlineData("npy"), InlineData("npz"), InlineData("pt"), InlineData("arrow"),
        InlineData("arrow-state"), InlineData("checkpoint"), InlineData("checkpoint-file"),
        InlineData("checkpoint-index"), InlineData("sae-pieces"), InlineData("train.json"),
        InlineData("trainer-settings"), InlineData("tokenizer")]
    [InlineData("tfjs"), InlineData("saev"), InlineData("sae-saelens"), InlineData("sae-sparsify"),
        InlineData("sae-gemma-scope"), InlineData("sae-gemma-scope-2"), InlineData("sae-openmoss"),
        InlineData("sae-dictionary_learning")]
    [InlineData("sae-openai"), InlineData("sae-llama-scope"), InlineData("http")]
    [InlineData("labels-csv"), InlineData("labels-npy"), InlineData("llama2-tokenizer"), InlineData("llama2"),
        InlineData("sentences"), InlineData("vocabulary"), InlineData("idx")]
    [InlineData("sweep.json"), InlineData("outcome.json"), InlineData("metrics.jsonl"), InlineData("figures"),
        InlineData("density.bin"), InlineData("tokens.jsonl"), InlineData("site.json")]
    [InlineData("command-line"), InlineData("train-options")]
    public void AnyInputIsReadOrRefusedInOneLine(string parser)
    {
        var target = targets.All.Single(t => t.Name == parser);
        var result = FuzzRun.Of(target, seed: 0, inputs: 2000);
        Assert.True(result.Findings.Count == 0,
            string.Join('\n', result.Findings.Select(f => $"input {f.Number}: {f.What}")));
        Assert.InRange(result.Accepted, target.Cases.Length, 1999);
        foreach (var valid in target.Cases) valid.Read(valid.Valid);         // the first inputs were all read
    }

    [Fact]
    public void EveryParserIsInTheShortRun() => Assert.Equal(targets.All.Select(t => t.Name).Order(),
        typeof(FuzzTests)
            .GetMethod(nameof(AnyInputIsReadOrRefusedInOneLine))!.GetCustomAttributes<InlineDataAttribute>()
            .SelectMany(a => a.Data).Cast<string>().Order());

    /// <summary>The oracle reports each kind of violation.</summary>
    [Fact]
    public void TheOracleDetectsEachKindOfFinding()
    {
        static string? Finding(Action<byte[]> read) => FuzzOracle.Judge(new([], null, read), [1]).Finding;
        Assert.Null(Finding(_ => throw new SaeException("refused")));
        Assert.Contains("NullReference", Finding(_ => throw new NullReferenceException()));
        Assert.Contains("allocates", Finding(_ => GC.KeepAlive(new byte[FuzzOracle.Floor + 1000])));
        Assert.Contains("2 s", Finding(_ => Thread.Sleep(2010)));
        var target = targets.All[0];
        Assert.Equal(target.Input(7, 12345).Bytes, target.Input(7, 12345).Bytes);
        Assert.NotEqual(target.Input(7, 12345).Bytes, target.Input(8, 12345).Bytes);
    }

    [Fact]
    public void AMessageIsOneLineForAnyNameInAFile()
    {
        Assert.Equal("a; b; c?d", new SaeException("a\nb\u2028c\u001bd").Message);
        var message = new SaeException(new string('x', 1_000_000) + "; do this").Message;
        Assert.InRange(message.Length, 1000, 2100);
        Assert.EndsWith("; do this", message);
    }

    static byte[] Repeated(string start, string part, int count, string end) =>
        Encoding.UTF8.GetBytes(start + string.Concat(Enumerable.Repeat(part, count)) + end);

    static void RefusedCheaply(string expected, byte[] content, Action<byte[]> read)
    {
        Assert.Null(FuzzOracle.Judge(new(content, null, read), content).Finding);
        AssertOneLine(expected, () => read(content));
    }

    [Fact]
    public void JsonThatExpandsIsRefusedBeforeExpansion()
    {
        using var folder = new TemporaryFolder();
        var arrays = Repeated("{\"a\":[", "[],", 300_000, "0]}");
        RefusedCheaply("unfolds to more than four times", arrays, bytes => RunRecord.Parse("x", bytes));
        RefusedCheaply("unfolds to more than four times", arrays, bytes => new UseLiteTokenizer("x", bytes));
        RefusedCheaply("unfolds to more than four times", arrays[..900_000], bytes =>
        {
            File.WriteAllBytes(folder["c"], bytes);
            ConfigFile.Read(folder["c"]);
        });
        RefusedCheaply("unfolds to more than four times", [.. BitConverter.GetBytes((long)arrays.Length), .. arrays],
            bytes => new SafetensorsFile(new MappedFile("x", bytes)).Dispose());
        RefusedCheaply("more than 1 MiB", Repeated("{\"a\":\"", "x", 2_000_000, "\"}"), bytes =>
        {
            File.WriteAllBytes(folder["c"], bytes);
            ConfigFile.Read(folder["c"]);
        });
        RefusedCheaply("65536 are possible", Repeated("{\"a\":\"", "x", 70_000, "\"}"),
            bytes => TrainerSettings.Parse(Encoding.UTF8.GetString(bytes)));
    }

    /// <summary>A few packed bytes claim the largest size that a reader accepts.</summary>
    [Fact]
    public void APackedImageWithAnImpossibleSizeIsRefused()
    {
        var packed = IdxBytes.Packed([0, 0, 8, 2, 0, 0, 0x10, 0, 0, 0, 0x10, 0]);
        RefusedCheaply("too many to hold", packed, bytes => new IdxFile(new MappedFile("x", bytes)).Dispose());
    }

    [Fact]
    public void AnArrayOfManyAxesIsRefused()
    {
        var header = NpyFile.MakeHeader("<f4", [.. Enumerable.Repeat(1L, 1000)]);
        RefusedCheaply("numpy allows 64", [.. header, 0, 0, 0, 0],
            bytes => new NpyShard(new MappedFile("x", bytes)).Dispose());
    }

    /// <summary>A name of two megabytes becomes a text of four at each access.</summary>
    [Fact]
    public void ATensorWithALongNameIsRefused()
    {
        var header = Repeated("{\"", "enco", 500_000, "\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}");
        RefusedCheaply("2000000 characters", [.. BitConverter.GetBytes((long)header.Length), .. header],
            bytes => new SafetensorsFile(new MappedFile("x", bytes)).Dispose());
    }

    /// <summary>Many columns may refer to one long name, and each would copy it.</summary>
    [Fact]
    public void AColumnWithALongNameIsRefused()
    {
        var bytes = new ArrowBytes().Write();
        var at = bytes.AsSpan().IndexOf("token_ids"u8) - 4;
        Assert.Equal(9, BitConverter.ToInt32(bytes, at));
        BitConverter.GetBytes(1001).CopyTo(bytes, at);
        RefusedCheaply("1001", bytes, b => new ArrowShard(new MappedFile("x", b), null).Dispose());
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("""{"spec": null}""")]
    [InlineData("""{"spec": {"input_width": 6, "latents": 24, "selection": null}}""")]
    [InlineData("""{"spec": {"input_width": 6, "latents": 24, "selection": {}}}""")]
    [InlineData("""{"data": ["\ud800"]}""")]
    public void ARunRecordWithNullsIsRefused(string json) =>
        AssertOneLine("not a run's record", () => RunRecord.Parse("x", Encoding.UTF8.GetBytes(json)));

    /// <summary>The log has a step whose dense is neither 0 nor 1, texts with invalid Unicode, and a step that is not a
    /// number.</summary>
    [Fact]
    public void OddLogLinesBecomeCurvesOrDamage()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder["run"]);
        File.WriteAllText(folder["run/metrics.jsonl"],
            """
            {"step":10,"dense":0.5}
            {"step":20,"\ud800":1}
            {"step":"NaN"}
            {"step":30,"l0":"\ud800"}

            """.ReplaceLineEndings("\n"));
        Assert.Contains(TrainingCurves.Of(folder["run"])!.Figures, figure =>
            figure.Finding.Contains("the last one at step 10", StringComparison.Ordinal));
        MetricsLog.CutBack(folder["run/metrics.jsonl"], 15);
        Assert.Single(File.ReadAllLines(folder["run/metrics.jsonl"]));
    }

    [Fact]
    public void AFigureWithoutColumnsIsAnEmptyFile()
    {
        using var folder = new TemporaryFolder();
        FigureCsv.Write(folder["csv"],
            [new("s", "S", 1, [new TableFigure("t", "T", [])])]);
        Assert.Equal(0, new FileInfo(folder["csv/s-t.csv"]).Length);
        AssertOneLine("differ in length", () =>
            Chapter.Parse("x", """
                {"id":"s","title":"S","order":1,"figures":[{"kind":"images","id":"i","title":"I","width":65536,
                "height":65536,"pixels":"","captions":[]}]}
                """u8.ToArray()));
    }

    [Theory]
    [InlineData("""{"input_width": 6, "latents": 24, "k": 4, "spec": {"tying": "tied", "tying": "tied"}}""")]
    [InlineData("""{"input_width": 6, "latents": 24, "k": 4, "spec": {"tying": "\ud800"}}""")]
    [InlineData("""{"input_width": 6, "latents": 24, "k": 4, "spec": {"selection": null}}""")]
    [InlineData("""{"input_width": 6, "latents": 24, "k": 4, "spec": {"nested": {"kind": "prefixes"}}}""")]
    public void SettingsWithNullsAreRefused(string json) =>
        AssertOneLine(".", () => TrainerSettings.Parse(json).Records());

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("[3]")]
    [InlineData("[[]]")]
    [InlineData("[[null, 1]]")]
    [InlineData("""[["\ud800", 1]]""")]
    public void AnInvalidVocabularyIsRefused(string json) =>
        AssertOneLine("not a vocabulary", () => new UseLiteTokenizer("x", Encoding.UTF8.GetBytes(json)));

    [Theory]
    [InlineData("""[{"paths": ["s"], "weights": [{"name": "a", "shape": [65536, 65536], "dtype": "float32"}]}]""",
        "claims an extent")]
    [InlineData("""[{"paths": ["s"], "weights": [{"name": "a", "shape": [2000000000], "dtype": "float32"}]}]""",
        "claims an extent")]
    [InlineData("""[{"paths": ["s"], "weights": [{"name": "a", "shape": [-1, -2], "dtype": "float32"}]}]""",
        "claims an extent")]
    [InlineData("""[{"paths": ["s", "s"], "weights": []}]""", "names a shard twice")]
    [InlineData("""[{"paths": ["s"], "weights": [{"name": null, "shape": [2], "dtype": "float32"}]}]""",
        "without a name")]
    [InlineData("""[{"paths": ["s"], "weights": [{"name": "a", "shape": [1], "dtype": "float32"},"""
        + """ {"name": "a", "shape": [1], "dtype": "float32"}]}]""", "twice")]
    [InlineData("[]", "does not hold the encoder")]
    [InlineData("3", "does not hold the encoder")]
    public void WeightsWithFalseExtentsAreRefused(string manifest, string expected)
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder["w"]);
        File.WriteAllBytes(folder["w/s"], new byte[8]);
        File.WriteAllText(folder["w/model.json"], $$"""{"weightsManifest": {{manifest}}}""");
        AssertOneLine(expected, () => new UseLiteWeights(folder["w"]).Dispose());
    }

    [Theory]
    [InlineData("""[{"name": "\ud800", "n_examples": 1}]""")]
    [InlineData("""[{"name": "a", "n_examples": "\ud800"}]""")]
    public void SaevMetadataWithInvalidUnicodeAreRefused(string shards)
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder["s"]);
        File.WriteAllText(folder["s/shards.json"], shards);
        AssertOneLine("not UTF-8", () => SaevMetadata.Load(folder["s"]));
    }
}
