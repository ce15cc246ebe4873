using System.Text.Json.Nodes;
using CudaSae.Lab.Report;

namespace CudaSae.Tests;

/// <summary>A run's log and record as curves, and the report command on the files of a run.</summary>
[Trait("speed", "slow")]
public class TrainingCurvesTests
{
    static string Line(int step, double loss, string more = "") =>
        $$"""{"step":{{step}},"vectors":{{32 * step}},"loss":{{loss}},"fvu":{{loss / 2}},"dense":false"""
        + $$""","dense_difference":null{{more}}}""";

    static MetricsHistory Read(TemporaryFolder folder, string text)
    {
        File.WriteAllText(folder["metrics.jsonl"], text);
        return MetricsHistory.Read(folder["metrics.jsonl"]);
    }

    [Fact]
    public void LaterLinesWinAndTruncatedLinesAreIgnored()
    {
        using var folder = new TemporaryFolder();
        // The run was killed in the middle of step 40's line. It resumed after step 20, and its first line follows the
        // truncated one.
        var history = Read(folder,
            string.Join('\n', Line(10, 5), Line(20, 4), Line(30, 3), Line(40, 2)[..25] + Line(25, 3.5), Line(35, 2.5),
                Line(45, 2)[..30]));
        Assert.Equal([10, 20, 25, 35], history.Column("step"));
        Assert.Equal([5, 4, 3.5f, 2.5f], history.Column("loss"));
        Assert.Equal((1, 2), (history.Restarts, history.Damaged));
        Assert.All(history.Column("dense_difference"), v => Assert.True(float.IsNaN(v)));
        Assert.Equal([0, 0, 0, 0], history.Column("dense"));
        Assert.Empty(Read(folder, "").Column("step"));
        Assert.Equal(0, Read(folder, "[1]\n\"x\"\n7\n{}\n").Count);
    }

    [Fact]
    public void CurvesMatchTheLog()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllLines(folder["metrics.jsonl"],
            Enumerable.Range(1, 30).Select(i => Line(10 * i, 3.0 / i,
                $",\"aux_loss\":{1.0 / i},\"encode_ms\":{i},\"aux_ms\":{2 * i},\"input_wait_ms\":0.5,"
                    + $"\"feeder_wait_ms\":{3 * i},\"rows_per_second\":{100 + i}")));
        var chapter = TrainingCurves.Of(folder["."], heldOutFvu: 0.75)!;
        var loss = (LinesFigure)chapter.Figures.Single(f => f.Id == "loss");
        Assert.Equal(["loss", "reconstruction", "auxiliary"], loss.Series.Select(s => s.Name));
        for (var i = 0; i < 30; i++)
            Assert.Equal((10f * (i + 1), 3.0 / (i + 1), 2.0 / (i + 1)),
                (loss.Series[0].X[i], loss.Series[0].Y[i], loss.Series[1].Y[i]), Near);
        var end = (3.0 / 28 + 3.0 / 29 + 3.0 / 30) / 3;
        Assert.Contains($"from 3 at step 10 to {Words.Number(end)} (mean of the last tenth); its lowest, 0.1, was at "
            + "step 300; auxiliary 33.3 % of the loss",
            loss.Finding);
        var phases = (LinesFigure)chapter.Figures.Single(f => f.Id == "phases");
        Assert.Equal(["encode", "aux"], phases.Series.Select(s => s.Name));
        var waits = (LinesFigure)chapter.Figures.Single(f => f.Id == "waits");
        Assert.Contains("In the median a step waited 0.5 ms for its rows, and the feeder 46.5 ms for a step: "
            + "training limits the speed.",
            waits.Finding);
        Assert.Contains("aux takes longest: a median of 31 ms, of 46.5 ms", phases.Finding);
        Assert.Contains("0.75", chapter.Figures.Single(f => f.Id == "fvu").Finding);
        Assert.Contains("The median is 115.5 rows a second", chapter.Figures.Single(f => f.Id == "throughput").Finding);
        // nothing was measured
        Assert.DoesNotContain(chapter.Figures, f => f.Id is "lambda" or "path" or "dense-difference");
        Assert.Null(TrainingCurves.Of(folder["elsewhere"]));
    }

    static bool Near((float, double, double) a, (float, double, double) b) =>
        a.Item1 == b.Item1 && Math.Abs(a.Item2 - b.Item2) < 1e-6 * a.Item2
            && Math.Abs(a.Item3 - b.Item3) < 1e-6 * a.Item3;

    [Fact]
    public void LongLogsAreThinnedWithANote()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllLines(folder["metrics.jsonl"],
            Enumerable.Range(1, 50_001).Select(i => $"{{\"step\":{i},\"loss\":1}}"));
        var loss = (LinesFigure)TrainingCurves.Of(folder["."])!.Figures.Single(f => f.Id == "loss");
        Assert.InRange(loss.Series[0].X.Length, 10_000, 20_000);
        Assert.Equal((1, 50_001), (loss.Series[0].X[0], loss.Series[0].X[^1]));
        Assert.Contains("of 50001 logged steps", loss.Finding);
    }

    [Fact]
    public void SettingsThatDifferFromTheRecipeComeFirst()
    {
        var (spec, config) = Preset.Named("jumprelu").Make(16, 64, 4, new() { Vectors = 64_000, BatchRows = 64 });
        config = config with { LearningRate = 0.125f };
        spec = spec with { Penalty = spec.Penalty! with { Coefficient = 77 } };
        var table = (TableFigure)TrainingCurves.Of("/nonexistent",
            new(spec, config, 1, 1, ["x.npy"], "100", null, 900, "Cpu", "0.1.0"))!.Figures.Single();
        Assert.Equal(["spec.penalty.coefficient", "config.learning_rate"], table.Columns[0].Texts![..2]);
        Assert.Equal(["77", "0.125"], table.Columns[1].Texts![..2]);
        Assert.Equal(table.Columns[1].Texts![2..10], table.Columns[3].Texts![2..10]);
        Assert.Equal(2, table.Columns[2].Texts!.Count(t => t == "yes"));
        Assert.Contains("nearest published recipe is jumprelu", table.Finding);
        Assert.Contains("2 fields of", table.Finding);
        Assert.Equal("x.npy", table.Columns[1].Texts![Array.IndexOf(table.Columns[0].Texts!, "data")]);
    }

    static (int Code, string Output, string Error) Run(params string[] arguments) =>
        CliProgram.Run(CliProgram.Start(arguments));

    [Fact]
    public void ReportHandlesARunAnSaeAndAnEmptyFolder()
    {
        using var folder = new TemporaryFolder();
        var data = NpyRows.Write(folder["x.npy"], 400, 16);
        var (code, _, error) = Run("train", data, "--out", folder["run"], "--latents", "64", "--k", "4", "--aux-k", "8",
            "--batch-rows", "32", "--vectors", "3200", "--backend", "cpu");
        Assert.True(code == 0, error);
        (code, _, error) =
            Run("report", folder["run"], "--rows", "30", "--json", folder["run.json"], "--backend", "cpu");
        Assert.True(code == 0, error);
        var json = JsonNode.Parse(File.ReadAllText(folder["run.json"]))!.AsArray();
        Assert.Equal(["training", "held-out"], json.Select(s => (string?)s!["id"]).Take(2));
        var logged = File.ReadLines(folder["run/metrics.jsonl"]).Select(line => (float)JsonNode.Parse(line)!["fvu"]!)
            .ToArray();
        Assert.Equal(logged,
            json[0]!["figures"]![0]!["columns"]![2]!["values"]!.AsArray().Take(logged.Length).Select(v => (float)v!));
        var measures = json[1]!["figures"]![0]!["columns"]![1]!["values"]!.AsArray().Select(v => (double)v!).ToArray();
        using var source = ActivationSource.Open([data]);
        using var sae = Sae.Load(folder["run"], Backends.BackendKind.Cpu);
        var expected = Evaluator.Run(sae, new(source, 360, 30));      // the last tenth is held out
        Assert.Equal(expected.Fvu!.Value, measures[0], 1e-9);
        Assert.Equal(30, measures[5]);

        // on rows that are named
        (code, var output, error) =
            Run("report", folder["run"], data, "--out", folder["other.html"], "--backend", "cpu");
        Assert.True(code == 0 && File.Exists(folder["other.html"]), error);
        Assert.Contains("400 rows", output.ReplaceLineEndings(" "));
        File.Delete(folder["run/sae_weights.safetensors"]);
        (code, output, error) = Run("report", folder["run"], "--backend", "cpu");
        Assert.True(code == 0, error);
        Assert.Contains("Held-out", output);        // from the newest checkpoint
        Directory.Delete(folder["run/checkpoint"], recursive: true);
        (code, output, error) = Run("report", folder["run"]);
        Assert.True(code == 0, error);
        Assert.Contains("neither a finished SAE nor a checkpoint yet", output.ReplaceLineEndings(" "));
        Assert.DoesNotContain("Held-out", output);
        Directory.CreateDirectory(folder["empty"]);
        foreach (var (expectedError, arguments) in new[] { ("is not an SAE of a known format",
            new[] { folder["empty"] }),
            ("does not exist", [folder["nowhere"]]), ("--rows 0", [folder["run"], "--rows", "0"]) })
        {
            (code, _, error) = Run(["report", .. arguments]);
            Assert.Equal(2, code);
            Assert.Single(error.TrimEnd().Split('\n'));
            Assert.Contains(expectedError, error);
        }
    }
}
