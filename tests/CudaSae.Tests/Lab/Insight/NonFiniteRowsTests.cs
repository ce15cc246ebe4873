using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using CudaSae.Backends.Cpu;
using CudaSae.Lab.Insight;
using CudaSae.Lab.Insight.Contexts;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>Rows with NaN or infinity in the data that an SAE is evaluated on are skipped and counted. The results
/// equal those without these rows.</summary>
[Trait("speed", "slow")]
public class NonFiniteRowsTests
{
    const int D = InsightProblem.D, Rows = 300;
    static readonly int[] Bad = [0, 7, 8, 256, Rows - 1]; // at both ends, side by side, and where a batch of 256 begins

    static ActivationSource Source(Func<int, bool> isThere, Func<int, bool> isBad)
    {
        var random = new Random(8);
        var rows = Enumerable.Range(0, Rows)
            .Select(_ => Enumerable.Range(0, D).Select(_ => random.NextSingle() - 0.3f).ToArray()).ToArray();
        for (var b = 0; b < Rows; b++)
            if (isBad(b)) rows[b][b % D] = b % 2 == 0 ? float.NaN : float.NegativeInfinity;
        return ActivationSource.Of(MemoryMarshal.AsBytes<float>(rows.Where((_, b) => isThere(b)).SelectMany(r => r)
            .ToArray())
            .ToArray(),
            D, InputType.Float32);
    }

    static ActivationSource WithBadRows() => Source(_ => true, b => Bad.Contains(b));
    static ActivationSource WithoutThem() => Source(b => !Bad.Contains(b), _ => false);

    [Fact]
    public void MeasuresSkipNonFiniteRows()
    {
        using var folder = new TemporaryFolder();
        using var p = new InsightProblem(folder, "topk");
        using ActivationSource bad = WithBadRows(), good = WithoutThem();
        var expected = Evaluator.Run(p.Sae, new(good, 0, good.Rows));
        AssertSame(expected, Evaluator.Run(p.Sae, new(bad, 0, Rows)));
        var config = new TrainConfig { BatchRows = 64, Vectors = 64 };
        using var backend = new CpuBackend(p.Sae.Spec, config, InputType.Float32);
        backend.SetParameters(p.Weights);
        AssertSame(Evaluator.Run(backend, new(good, 0, good.Rows), new(1, 1)),
            Evaluator.Run(backend, new(bad, 0, Rows), new(1, 1)));

        var (seen, others) = (new LatentStatistics(p.Sae.Model), new LatentStatistics(p.Sae.Model));
        Assert.Equal((Bad.Length, 0),
            (CodePass.Run(p.Sae, new(bad, 0, Rows), seen), CodePass.Run(p.Sae, new(good, 0, good.Rows), others)));
        Assert.Equal((others.Rows, others.L0), (seen.Rows, seen.L0));
        Assert.Equal(others.Firings, seen.Firings);
        Assert.Contains($"of the {good.Rows} rows",
            Diagnostics.Chapters(p.Sae,
                new(folder["run"], null, p.Sae.Model, new(bad, 0, Rows))).First().Figures[0].Finding);
    }

    /// <summary>The baseline of sweeps, with double sums in another order.</summary>
    [Fact]
    public void PrincipalComponentsSkipNonFiniteRows()
    {
        using ActivationSource bad = WithBadRows(), good = WithoutThem();
        Pca expected = new(good, good.Rows, 0, D), actual = new(bad, Rows, 0, D);
        Assert.Equal(expected.Rows, actual.Rows);
        Assert.All(expected.Mean.Zip(actual.Mean), p => Assert.Equal(p.First, p.Second, 1e-12));
        var (components, largest) = expected.Unexplained(new(good, 0, good.Rows), 0);
        var (alsoComponents, alsoLargest) = actual.Unexplained(new(bad, 0, Rows), 0);
        Assert.All(components.Concat(largest).Zip(alsoComponents.Concat(alsoLargest)),
            p => Assert.Equal(p.First, p.Second, 1e-9));
    }

    static void AssertSame(Evaluation expected, Evaluation actual)
    {
        Assert.Equal((expected.Rows, 0, Bad.Length), (actual.Rows, expected.LeftOut, actual.LeftOut));
        Assert.Equal((expected.L0, expected.SilentPercent), (actual.L0, actual.SilentPercent));
        // float32 sums of 24 products, in tiles with other borders
        foreach (var (a, b) in new[] { (expected.Fvu!.Value, actual.Fvu!.Value), (expected.Cosine, actual.Cosine),
            (expected.Shrinkage!.Value, actual.Shrinkage!.Value) }) Assert.Equal(a, b, 1e-6);
    }

    /// <summary>Rows keep their numbers, whether codes are kept or windows are encoded again.</summary>
    [Theory, InlineData(1 << 20), InlineData(8 * 7 * 40)]
    public void LatentPagesKeepTheRowNumbersOfTheData(long codeBytes)
    {
        using var folder = new TemporaryFolder();
        using var p = new InsightProblem(folder, "topk");
        using ActivationSource bad = WithBadRows(), good = WithoutThem();
        // The file has token ids, so that windows show neighbours, including neighbours that are not finite.
        var file = new byte[Rows * D * sizeof(float)];
        bad.ReadRows(0, file);
        File.WriteAllBytes(folder["bad.npy"], [.. NpyFile.MakeHeader("<f4", Rows, D), .. file]);
        File.WriteAllBytes(folder["bad.tokens.npy"],
            [.. NpyFile.MakeHeader("<i4", Rows), .. new byte[Rows * sizeof(int)]]);
        using var withTokens = ActivationSource.Open([folder["bad.npy"]]);

        int[] numbers = [.. Enumerable.Range(0, Rows).Except(Bad)];
        var (expected, actual) = (Collect(good, new()), Collect(withTokens, new() { ContextLength = 30 }));
        Assert.Equal((Rows, "token ids; 5 rows with NaN or infinity were left out"), (actual.Rows, actual.Origin));
        Assert.InRange(actual.CountedRows, codeBytes > 10_000 ? Rows : 1, codeBytes > 10_000 ? Rows : Rows / 2);
        Assert.Contains(actual.Tokens.Keys, row => Bad.Contains(row));
        Assert.Equal(expected.Count, actual.Count);
        for (var i = 0; i < InsightProblem.N; i++)
            Assert.Equal(expected.Entries[i]?.Contexts.Where(c => c.Bucket == 0).Select(c => (numbers[c.Row], c.Value)),
                actual.Entries[i]?.Contexts.Where(c => c.Bucket == 0).Select(c => (c.Row, c.Value)));

        LatentBlobReader Collect(ActivationSource source, TextOptions texts) =>
            new(LatentPages.Collect(p.Sae, new(folder["run"], null, p.Sae.Model, RowSlice.All(source)),
                new() { CodeBytes = codeBytes, Texts = texts }));
    }

    sealed class Labelled : ICodeVisitor
    {
        public bool NeedsEveryRow => true;
        public void Visit(in CodeBatch batch) { }
    }

    [Fact]
    public void OperationsThatNeedEveryRowNameTheBadOnes()
    {
        using var folder = new TemporaryFolder();
        using var p = new InsightProblem(folder, "topk");
        using ActivationSource bad = WithBadRows(), none = Source(_ => true, _ => true);
        AssertOneLine("row 7 ",
            () => CodePass.Run(p.Sae, new(bad, 1, 20), new LatentStatistics(p.Sae.Model), new Labelled()));
        CodePass.Run(p.Sae, new(bad, 9, 20), new Labelled());
        AssertOneLine("all of the 20 rows", () => Evaluator.Run(p.Sae, new(none, 5, 20)));
    }

    [Fact]
    public void TrainEvalAndReportSkipARowAndReportIt()
    {
        using var folder = new TemporaryFolder();
        var (data, run) = (NpyRows.Write(folder["x.npy"], 300, 16), folder["run"]);
        using (var file = File.OpenWrite(data))
        {
            file.Position = file.Length - 16 * sizeof(float) * 5;       // the fifth row from the end
            file.Write(BitConverter.GetBytes(float.NaN));
        }
        var lines = new[] { new[] { "train", data, "--out", run, "--held-out", "60", "--latents", "32", "--k", "4",
            "--batch-rows", "32", "--vectors", "960" },
            ["eval", run], ["report", run, "--json", folder["r.json"]] }.Select(arguments =>
        {
            var (code, output, error) = CliProgram.Run(CliProgram.Start([.. arguments, "--backend", "cpu"]));
            Assert.True(code == 0, error);
            return output.ReplaceLineEndings(" ");
        }).ToArray();
        foreach (var output in lines[..2]) Assert.Matches(@"rows\W+59 .*left out\W+1 ", output);
        Assert.Contains("1 row with NaN or infinity was left out.", lines[2]);
        var chapters = JsonNode.Parse(File.ReadAllText(folder["r.json"]))!.AsArray();
        var measures = chapters.Single(c => (string?)c!["id"] == "held-out")!["figures"]![0]!["columns"]!;
        Assert.Equal(["rows", "left out"], measures[0]!["values"]!.AsArray().Select(v => (string)v!).TakeLast(2));
        Assert.Equal([59, 1], measures[1]!["values"]!.AsArray().Select(v => (double)v!).TakeLast(2));
        Assert.EndsWith(" left out.",
            (string)chapters.Single(c => (string?)c!["id"] == "latents")!["figures"]![0]!["finding"]!);
    }
}
