using System.Net;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.RegularExpressions;
using CudaSae.Lab.Insight;
using CudaSae.Lab.Insight.Contexts;
using CudaSae.Lab.Report;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>Pages of a small SAE over rows with texts: the blob's contents compared with the SAE row by row, and with
/// numpy.</summary>
public sealed class LatentPageTests : IDisposable
{
    const int D = 12, N = 40, Rows = 900, Sentence = 9;
    internal static readonly string[] Words = ["▁the", "▁cat", "s", "▁<b>", "\u202e", "▁sat", "\n"];

    readonly TemporaryFolder folder = new();
    readonly Sae sae;

    public LatentPageTests()
    {
        var spec = new SaeSpec { InputWidth = D, Latents = N, Selection = new Selection.TopK(4) };
        var (parameters, random) = (new SaeParameters(spec), new Random(3));
        for (var i = 0; i < N; i++)
            for (var c = 0; c < D; c++)
                parameters.WEnc[i][c] =
                    2 * (parameters.WDec[i][c] = random.NextSingle() - 0.5f) + 0.2f * random.NextSingle();
        parameters.BEnc[7] = -100;      // never fires
        sae = new(new SaeModel(spec, parameters), BackendKind.Cpu, 64);
        var rows = new float[Rows * D];
        foreach (ref var x in rows.AsSpan()) x = 4 * (random.NextSingle() - 0.5f);
        File.WriteAllBytes(folder["x.npy"],
            [.. NpyFile.MakeHeader("<f4", Rows, D), .. MemoryMarshal.AsBytes<float>(rows)]);
        using var lines = new StreamWriter(folder["x.jsonl"]);
        for (var row = 0; row < Rows; row += Sentence)
        {
            var words = Enumerable.Range(row, Sentence).Select(r => JsonSerializer.Serialize(Word(r)));
            lines.WriteLine($$"""{"row":{{row}},"tokens":[{{string.Join(",", words)}}]}""");
        }
    }

    static string Word(int row) => Words[row * row % 31 % Words.Length];

    public void Dispose()
    {
        sae.Dispose();
        folder.Dispose();
    }

    RunSource Source(int first = 0, int rows = Rows) =>
        new(folder["sae"], null, sae.Model, new(ActivationSource.Open([folder["x.npy"]]), first, rows));

    byte[] Collect(LatentPageOptions options, int first = 0, int rows = Rows) =>
        LatentPages.Collect(sae, Source(first, rows), options);

    /// <summary>Returns the code [rows, n] from the SAE.</summary>
    float[,] Codes(int first, int rows)
    {
        using var data = ActivationSource.Open([folder["x.npy"]]);
        var (x, codes, dense) = (new float[rows * D], new SparseRows(), new float[rows, N]);
        for (var r = 0; r < rows; r++) data.ReadRow(first + r, x.AsSpan(r * D, D));
        sae.Encode(x, codes);
        for (var r = 0; r < rows; r++)
            for (var j = 0; j < codes.Indices(r).Length; j++) dense[r, codes.Indices(r)[j]] = codes.Values(r)[j];
        return dense;
    }

    [Theory]
    [InlineData(0, 900, 10)]
    [InlineData(13, 700, 3)]
    [InlineData(5, 3, 100)]
    public void BlobHoldsTheContextsOfEveryLatent(int first, int rows, int window)
    {
        var blob = new LatentBlobReader(Collect(new() { Window = window }, first, rows));
        var codes = Codes(first, rows);
        Assert.Equal((rows, first, window, rows, "the sentences beside the data"),
            (blob.Rows, blob.FirstRow, blob.Window, blob.CountedRows, blob.Origin));
        for (var i = 0; i < N; i++)
        {
            var fired = Enumerable.Range(0, rows).Where(r => codes[r, i] != 0).ToArray();
            Assert.Equal((uint)fired.Length, blob.Count[i]);
            Assert.Equal(Matrix.Norm(sae.Model.Parameters.WDec[i]), blob.Norm[i], 1e-6);
            if (fired.Length == 0) Assert.Null(blob.Entries[i]);
            if (blob.Entries[i] is not { } entry) continue;
            Assert.Equal(fired.Length, entry.Histogram.Sum());
            Assert.Equal(fired.OrderByDescending(r => codes[r, i]).Take(8),
                entry.Contexts.Where(c => c.Bucket == 0).Select(c => c.Row));
            Assert.Equal(entry.Contexts.Length, entry.Contexts.Select(c => c.Row).Distinct().Count());
            foreach (var context in entry.Contexts) AssertContext(context, i, first, rows, window, codes, blob);
        }
    }

    static void AssertContext(LatentContext context, int latent, int first, int rows, int window, float[,] codes,
        LatentBlobReader blob)
    {
        int sentence = (first + context.Row) / Sentence * Sentence
            - first, from = Math.Max(Math.Max(0, sentence), context.Row - window),
                end = Math.Min(Math.Min(rows, sentence + Sentence), context.Row + window + 1);
        Assert.Equal((from, end - from), (context.First, context.Levels.Length));
        Assert.Equal(codes[context.Row, latent], context.Value);
        for (var row = from; row < end; row++)
        {
            Assert.Equal(Word(first + row).Replace('▁', ' '), blob.Tokens[row]);
            if (row == context.Row) continue;
            Assert.Equal(codes[row, latent] == 0, context.Levels[row - from] == 0);
            Assert.Equal(codes[row, latent], context.Levels[row - from] / 127.0 * blob.Max[latent],
                blob.Max[latent] * 0.51 / 127
                    + (codes[row, latent] < blob.Max[latent] / 100 ? blob.Max[latent] / 127 : 0));
        }
    }

    /// <summary>Windows that are encoded a second time equal the codes that were kept.</summary>
    [Fact]
    public void ASmallCodeBudgetChangesOnlyTheSampleForPairs()
    {
        var (all, few) =
            (new LatentBlobReader(Collect(new())), new LatentBlobReader(Collect(new() { CodeBytes = 8 * 4 * 100 })));
        Assert.InRange(few.CountedRows, 20, 100);
        for (var i = 0; i < N; i++)
            Assert.Equal(JsonSerializer.Serialize(all.Entries[i]?.Contexts),
                JsonSerializer.Serialize(few.Entries[i]?.Contexts));
    }

    [Fact]
    public void NumbersMatchNumpy()
    {
        Assert.SkipWhen(Python.WithTorch is null, Python.Missing);
        var blob = new LatentBlobReader(Collect(new() { Partners = 6 }));
        var codes = Codes(0, Rows);
        File.WriteAllBytes(folder["codes.npy"],
            [.. NpyFile.MakeHeader("<f4", Rows, N),
                .. MemoryMarshal.AsBytes(MemoryMarshal.CreateSpan(ref codes[0, 0], codes.Length))]);
        foreach (var (name, matrix) in new[] { ("encoder.npy", sae.Model.Parameters.WEnc),
            ("decoder.npy", sae.Model.Parameters.WDec) })
            File.WriteAllBytes(folder[name],
                [.. NpyFile.MakeHeader("<f4", N, D),
                    .. Enumerable.Range(0, N).SelectMany(i => MemoryMarshal.AsBytes(matrix[i]).ToArray())]);
        using var expected = JsonDocument.Parse(Python.Run("latents.py", folder["codes.npy"], folder["encoder.npy"],
            folder["decoder.npy"]));
        double[] Numbers(string name) =>
            [.. expected.RootElement.GetProperty(name).EnumerateArray().Select(v => v.GetDouble())];
        double At(string name, int i, int j) => expected.RootElement.GetProperty(name)[i][j].GetDouble();
        foreach (var (name, ours) in new[] { ("max", blob.Max), ("mean", blob.Mean), ("cosine", blob.Cosine),
            ("norm", blob.Norm) })
            foreach (var (a, b) in Numbers(name).Zip(ours)) Assert.Equal(a, b, 1e-5 * Math.Abs(a));
        Assert.Equal(Numbers("count"), blob.Count.Select(c => (double)c));
        for (var i = 0; i < N; i++)
        {
            if (blob.Entries[i] is not { } entry) continue;
            Assert.All(entry.Together,
                p =>
                    Assert.Equal((At("joint", i, p.Latent), At("jaccard", i, p.Latent)), (p.Joint, p.Jaccard),
                        (a, b) => a.Item1 == b.Item1 && Math.Abs(a.Item2 - b.Item2) <= 1e-5 * a.Item2));
            Assert.All(entry.Similar, p => Assert.Equal(At("cosines", i, p.Latent), p.Cosine, 1e-5));
            Assert.Equal(Enumerable.Range(0, N).Where(j => j != i && blob.Count[j] > 0).Select(j => At("cosines", i, j))
                .OrderDescending().Take(6).Min(),
                entry.Similar[^1].Cosine, 1e-5);
        }
    }

    [Fact]
    public void TooManyLatentsOrContextsAreRefused()
    {
        AssertOneLine("101 contexts", () => Collect(new() { Contexts = 101 }));
        AssertOneLine("-1 tokens on either side", () => Collect(new() { Window = -1 }));
    }

    /// <summary>A script after the page's scripts performs a reader's actions: lists, sorts, searches, follows
    /// links.</summary>
    [Fact]
    public void ABrowserSortsSearchesAndOpensLatents()
    {
        Assert.SkipUnless(Browser.IsHere, Browser.Missing);
        var bytes = Collect(new());
        var blob = new LatentBlobReader(bytes);
        Chapter geometry = new("geometry", "Geometry", 100,
            [new ScatterFigure("s", "s", [new("curl", [.. Enumerable.Range(0, N).Select(i => (float)(i * 17 % N))])],
                "curl", "curl")]);
        ReportPage.Write(folder["page.html"], "t", [geometry], new Dictionary<string, byte[]> { ["latents"] = bytes });
        // The page's policy allows only the page's script.
        var html = Regex.Replace(File.ReadAllText(folder["page.html"]),
            "<meta http-equiv=\"Content-Security-Policy\"[^>]*>", "");
        File.WriteAllText(folder["page.html"],
            html.Replace("</body>",
                "<script>" + File.ReadAllText(Path.Combine(Repository.Root, "tests", "pages", "latents.js"))
                    + "</script>\n</body>"));
        var dom = Browser.Dom(folder["page.html"]);
        Assert.Null(Browser.Said(dom, "errors"));
        bool Has(LatentContext c, string text) =>
            string.Concat(Enumerable.Range(c.First, c.Levels.Length)
                .Select(r => blob.Tokens[r])).Contains(text, StringComparison.OrdinalIgnoreCase);
        int fired = blob.Count.Count(c => c > 0),
            found = blob.Entries.Count(e => e?.Contexts.Any(c => c.Bucket == 0 && Has(c, "CATs")) == true);
        string[] expected =
        [
            $"shown {fired}", "errors none", "columns latent ↑,strongest on,density,max,mean,cos(e, d),‖d‖,curl",
            $"by max {Array.IndexOf(blob.Max, blob.Max.Max())}",
            $"by curl {Enumerable.Range(0, N).Where(i => blob.Count[i] > 0).MaxBy(i => i * 17 % N)}", "linked Latent 3",
            $"contexts {blob.Entries[3]!.Contexts.Length}", "scripts 0", "moves escaped true",
            $"found {found}", "number 5", "opened Latent 9 #latent=9", $"silent {N}", "dense 0", "refreshed 1",
        ];
        Assert.Equal(expected, WebUtility.HtmlDecode(Browser.Said(dom, "seen"))!.Split('\n'));
    }
}
