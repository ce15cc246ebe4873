using System.Text.Json;
using CudaSae.Lab.Downstream;
using CudaSae.Lab.Harvest;
using CudaSae.Lab.Report;

namespace CudaSae.Tests;

/// <summary>SAEs spliced into networks: every metric compared with numpy, and the controls that a correct splice must
/// pass bit for bit.</summary>
[Trait("speed", "slow")]
public class DownstreamTests
{
    const int Latents = 96, Tokens = 40;

    static readonly int[][] Ids = [.. Enumerable.Range(0, 6)
        .Select(s =>
            (int[])[1, .. Enumerable.Range(0, Tokens - 1).Select(t => (5 * t * t + 11 * s * t + 7 * s + 3) % 40)])];

    static readonly TokenSequence[] Sequences = [.. Ids.Select(ids => new TokenSequence(ids, ""))];

    static Llama2 Model() => new(new Llama2Weights(new MappedFile("x", new Llama2Bytes().Write())), null, "");

    /// <summary>Makes random latents with equal encoder and decoder directions, so that the reconstruction has the
    /// activations' order of magnitude.</summary>
    static SaeModel RandomSae(Selection selection, int width)
    {
        var spec = new SaeSpec
        {
            InputWidth = width, Latents = Latents, Selection = selection, DecoderNorm = DecoderNorm.Free
        };
        var random = new Random(8);
        var p = new SaeParameters(spec);
        for (var f = 0; f < Latents; f++)
        {
            for (var i = 0; i < width; i++)
                p.WDec[f][i] = p.WEnc[f][i] = (float)((random.NextDouble() - 0.5) * 1.2 / Math.Sqrt(width) * 2);
            p.BEnc[f] = (float)(random.NextDouble() * 0.2 - 0.1);
            if (p.Threshold.Length > 0) p.Threshold[f] = 0.6f;
        }
        for (var i = 0; i < width; i++) p.BDec[i] = (float)(random.NextDouble() * 0.2 - 0.1);
        return new(spec, p);
    }

    static Selection SelectionOf(string kind) =>
        kind == "topk" ? new Selection.TopK(12)
            : new Selection.JumpRelu(InitialThreshold: 0, Form: ThresholdForm.Direct, Room: Latents);

    [Theory]
    [InlineData("topk", "resid_post0", false)]
    [InlineData("topk", "mlp_hidden1", true)]
    [InlineData("jumprelu", "resid_mid1", true)]
    public void EveryMetricMatchesNumpy(string kind, string site, bool excludeBos)
    {
        Assert.SkipWhen(Python.WithTorch is null, Python.Missing);
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder["m.bin"], new Llama2Bytes().Write());
        Llama2Tests.WriteIds(folder["ids.npy"], Ids);
        using var host = new Llama2(folder["m.bin"]);
        using (var random = RandomSae(SelectionOf(kind), host.Site(site).Width)) random.Save(folder["sae"]);
        using var sae = Sae.Load(folder["sae"], BackendKind.Cpu);
        var result = LanguageModelEval.Run(host, sae, "sae", site,
            [.. TokenSequence.Read(folder["ids.npy"], host, host.Vocabulary)], excludeBos);
        AssertEqual(Python.Run("downstream.py",
            [folder["m.bin"], folder["ids.npy"], folder["sae"], site, .. excludeBos ? (string[])["exclude-bos"] : []]),
            result);
        AssertControls(result);
    }

    /// <summary>Requires every number that Python computed within 1e-5, and every metric except the controls among
    /// them.</summary>
    static void AssertEqual(string python, DownstreamResult result)
    {
        using var json = JsonDocument.Parse(python);
        var expected = json.RootElement.EnumerateObject().ToDictionary(p => p.Name, p => p.Value.GetDouble());
        var metrics = result.Metrics.Where(m => m.Group != "controls").ToArray();
        Assert.Equal(expected.Keys.Order(), metrics.Select(m => m.Name).Order());
        Assert.All(metrics,
            m =>
                Assert.True(Math.Abs(expected[m.Name] - m.Value) <= 1e-5 * Math.Abs(expected[m.Name]),
                    $"{m.Name} is {m.Value}, numpy says {expected[m.Name]}"));
    }

    static void AssertControls(DownstreamResult result)
    {
        Assert.Equal(0, result["identity_changed_logits"]);
        Assert.Equal(1, result["identity_ce_loss_score"]);
        Assert.Equal(0, result["ablation_ce_loss_score"]);
    }

    /// <summary>Latents for x and −x reconstruct x bit for bit, so no metric loses anything.</summary>
    [Fact]
    public void APerfectSaeLosesNothing()
    {
        using var host = Model();
        foreach (var (site, width) in host.Sites)
        {
            var spec = new SaeSpec
            {
                InputWidth = width, Latents = 2 * width, Selection = new Selection.Relu(2 * width),
                DecoderNorm = DecoderNorm.Free
            };
            var p = new SaeParameters(spec);
            for (var i = 0; i < width; i++)
                (p.WEnc[i][i], p.WDec[i][i], p.WEnc[width + i][i], p.WDec[width + i][i]) = (1, 1, -1, -1);
            using var sae = new Sae(new SaeModel(spec, p), BackendKind.Cpu);
            var result = LanguageModelEval.Run(host, sae, "perfect", site, Sequences);
            Assert.Equal(result["ce_loss_without_sae"], result["ce_loss_with_sae"]);
            Assert.Equal((1, 1, 0), (result["ce_loss_score"], result["kl_div_score"], result["mse"]));
            Assert.Equal((1, 1), (result["explained_variance"], result["explained_variance_legacy"]));
            AssertControls(result);
            // nothing is left to predict from
            if (site == "resid_post1") Assert.Equal(Math.Log(40), result["ce_loss_with_ablation"], 1e-12);
        }
    }

    [Fact]
    public void TheSectionDescribesTheMeasurements()
    {
        using var folder = new TemporaryFolder();
        using var host = Model();
        DownstreamResult Run(int k, string site)
        {
            using var sae = new Sae(RandomSae(new Selection.TopK(k), 24), BackendKind.Cpu);
            return LanguageModelEval.Run(host, sae, $"runs/k{k}", site, Sequences);
        }
        DownstreamResult[] results = [Run(4, "resid_post0"), Run(12, "resid_post0"), Run(12, "resid_post1")];
        DownstreamComparison.Of(results[1]).Save(folder["one"]);
        DownstreamComparison.Of(results).Save(folder["all"]);

        var one = Assert.Single(Chapter.Load(folder["one"]));
        Assert.Equal(("downstream", 300), (one.Id, one.Order));
        Assert.All(one.Figures, f => Assert.NotEmpty(f.Finding));
        var table = Assert.IsType<TableFigure>(one.Figures[0]);
        Assert.Equal(results[1].Metrics.Select(m => (double?)m.Value), table.Columns[1].Numbers!);
        var places = Assert.IsType<LinesFigure>(one.Figures[1]).Series;
        // 39 predictions at two positions together
        Assert.All(places, s => Assert.Equal((20, 0.5f, 38f), (s.Y.Length, s.X[0], s.X[^1])));
        Assert.Equal(results[1]["ce_loss_with_sae"], (2 * places[1].Y[..^1].Sum() + places[1].Y[^1]) / 39, 1e-5);
        Assert.Equal(6 * (Tokens - 1), Assert.IsType<HistogramFigure>(one.Figures[2]).Series[0].Counts.Sum());

        var all = Assert.Single(Chapter.Load(folder["all"]));
        Assert.Equal(["scores", "score-against-l0", "score-against-block"], all.Figures.Select(f => f.Id));
        var byL0 = Assert.Single(Assert.IsType<LinesFigure>(all.Figures[1]).Series);
        Assert.Equal(results[..2].Select(r => (float)r["l0"]), byL0.X);
        Assert.Equal(["k4", "k12"], byL0.Labels);
        Assert.Equal([0f, 1f], Assert.Single(Assert.IsType<LinesFigure>(all.Figures[2]).Series).X);

        DownstreamResult.Write(folder["r.json"], results);
        using var json = JsonDocument.Parse(File.ReadAllText(folder["r.json"]));
        Assert.Equal(results[2]["ce_loss_score"],
            json.RootElement[2].GetProperty("model_performance_preservation").GetProperty("ce_loss_score").GetDouble());
    }

    [Fact]
    public void MismatchedInputIsRefused()
    {
        using var host = Model();
        using var sae = new Sae(RandomSae(new Selection.TopK(4), 24), BackendKind.Cpu);
        AssertOneLine("mlp_hidden0 is 20 wide, the SAE takes 24",
            () => LanguageModelEval.Run(host, sae, "", "mlp_hidden0", Sequences));
        AssertOneLine("there is no site resid_post2",
            () => LanguageModelEval.Run(host, sae, "", "resid_post2", Sequences));
        AssertOneLine("next token to predict",
            () => LanguageModelEval.Run(host, sae, "", "resid_post0", [new([1], "")]));
        AssertOneLine("next token to predict",
            () => LanguageModelEval.Run(host, sae, "", "resid_post0", [new([1, 2], "")], excludeBos: true));
    }

    static string Refusal(params string[] arguments)
    {
        var (code, _, error) = CliProgram.Run(CliProgram.Start(arguments));
        Assert.Equal(2, code);
        return Assert.Single(error.TrimEnd().Split('\n'));
    }

    [Fact]
    public void TheCommandsHarvestAndEvaluate()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder["m.bin"], new Llama2Bytes { Vocabulary = 274 }.Write());
        File.WriteAllBytes(folder["t.bin"],
            Llama2Bytes.Pieces([" ", "a", "b", "c", "\n", "é", "ab", "bc", " a", "abc", "ca", "aa", " ab", "b ",
                "é a"]));
        File.WriteAllText(folder["t.txt"], "abc abé a cab\n<|endoftext|>\nbca b abc ca a\n");
        using (var random = RandomSae(new Selection.TopK(4), 24)) random.Save(folder["sae"]);
        var (code, output, error) = CliProgram.Run(CliProgram.Start("harvest", "llama2", "--model", folder["m.bin"],
            "--tokenizer", folder["t.bin"], "--text", folder["t.txt"], "--site", "resid_post1", "--out",
            folder["x.npy"]));
        Assert.True(code == 0, error);
        Assert.Contains("rows of 24", output);
        Assert.StartsWith("""{"row":0,"text":"abc abé a cab","tokens":["\n<s>\n"," ","abc",""",
            File.ReadAllText(folder["x.jsonl"]));
        (code, output, error) = CliProgram.Run(CliProgram.Start("eval", "--model", folder["m.bin"], "--tokenizer",
            folder["t.bin"], "--text", folder["t.txt"], "--site", "resid_post1", "--sae", folder["sae"], "--backend",
            "cpu", "--json", folder["r.json"]));
        Assert.True(code == 0, error);
        Assert.Contains("ce_loss_score", output);
        Assert.StartsWith("cudasae eval --model", Assert.Single(Chapter.Load(folder["sae"])).Command);
        Assert.Contains("\"kl_div_score\"", File.ReadAllText(folder["r.json"]));
        (code, output, error) = CliProgram.Run(CliProgram.Start("eval", "--model", folder["m.bin"], "--tokenizer",
            folder["t.bin"], "--text", folder["x.jsonl"], "--site", "resid_post1", "--sae", folder["sae"],
            folder["sae"], "--backend", "cpu", "--json", folder["again.json"], "--out", folder["both"]));
        Assert.True(code == 0, error);
        using (JsonDocument once = JsonDocument.Parse(File.ReadAllText(folder["r.json"])),
            again = JsonDocument.Parse(File.ReadAllText(folder["again.json"])))
            Assert.All(again.RootElement.EnumerateArray(),
                result => Assert.Equal(once.RootElement[0].ToString(), result.ToString()));
        Assert.Equal("downstream-comparison", Assert.Single(Chapter.Load(folder["both"])).Id);
        Assert.Contains("needs --model", Refusal("eval", folder["sae"], "--site", "resid_post1"));
        Assert.Contains("one of the two",
            Refusal("eval", folder["sae"], "--site", "resid_post1", "--model", folder["m.bin"]));
        Assert.Contains("no SAE is named", Refusal("eval"));
        Assert.Contains("no SAE is named",
            Refusal("eval", "--model", folder["m.bin"], "--site", "resid_post1", "--text", folder["t.txt"],
                "--tokenizer", folder["t.bin"]));
    }

    static readonly string Encoder = Path.Combine(Repository.Root, "artifacts", "use-lite");

    [Theory]
    [InlineData("resid_post0")]
    [InlineData("mlp_out1")]
    public void ASentenceEncodersEmbeddingIsMeasured(string site)
    {
        Assert.SkipUnless(File.Exists(Path.Combine(Encoder, "vocab.json")),
            "the encoder's weights are not here; build/fetch-use-lite.sh fetches them");
        Assert.SkipWhen(Python.WithTorch is null, Python.Missing);
        using var folder = new TemporaryFolder();
        using var host = new UseLite(Encoder);
        const string text =
            "a small domesticated carnivore\nthe act of returning to a place\na large body of salt water\n";
        File.WriteAllText(folder["t.txt"], text);
        using (var random = RandomSae(new Selection.TopK(12), 512)) random.Save(folder["sae"]);
        using var sae = Sae.Load(folder["sae"], BackendKind.Cpu);
        var sequences = host.Sequences(text).ToArray();
        Assert.Equal(["a small domesticated carnivore", "the act of returning to a place",
            "a large body of salt water"],
            sequences.Select(s => host.Decode(s.Ids)));
        var result = SentenceEncoderEval.Run(host, sae, "sae", site, sequences);
        Assert.Equal(0, result["identity_changed_numbers"]);
        File.WriteAllText(folder["ids.json"], JsonSerializer.Serialize(sequences.Select(s => s.Ids)));
        AssertEqual(Python.Run("use_lite.py", Encoder, folder["ids.json"], folder["sae"], site), result);
        Assert.Equal("embedding_cosine_score", result.Score.Name);
    }

    /// <summary>On the real model, with an SAE that its user may or may not have trained, the spliced activations
    /// change no bit at any site.</summary>
    [Fact]
    public void TheRealModelPassesTheControlsAtEverySite()
    {
        Assert.SkipWhen(Repository.Shared("stories260K.bin") is null, "stories260K.bin is not beside the repository");
        using var host = new Llama2(Repository.Shared("stories260K.bin")!, Repository.Shared("tok512.bin"));
        var sequence = host.Sequences(File.ReadAllText(Repository.Shared("tinystories_sample.txt")!)).First();
        sequence = sequence with { Ids = sequence.Ids[..60] };
        foreach (var (site, width) in host.Sites)
        {
            using var sae = new Sae(RandomSae(new Selection.TopK(12), width), BackendKind.Cpu);
            AssertControls(LanguageModelEval.Run(host, sae, "random", site, [sequence]));
        }
    }
}
