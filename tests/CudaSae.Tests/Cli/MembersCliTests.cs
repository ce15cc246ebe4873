using CudaSae.Lab.Report;

namespace CudaSae.Tests;

/// <summary>Commands over several members: a refused member is a row with its name and the reason, the others are
/// processed, and the exit code is 1.</summary>
[Trait("speed", "slow")]
public class MembersCliTests
{
    static (int Code, string Output, string Error) Run(params string[] arguments) =>
        CliProgram.Run(CliProgram.Start(arguments));

    static void Works(params string[] arguments)
    {
        var (code, output, error) = Run(arguments);
        Assert.True(code == 0, output + error);
    }

    /// <summary>Requires exit code 1 and a line on stderr for each member with its reason; returns the
    /// output.</summary>
    static string Partly((string Name, string Reason)[] refused, params string[] arguments)
    {
        var (code, output, error) = Run(arguments);
        Assert.True(code == 1, $"exit code {code}: {output}{error}");
        var lines = error.TrimEnd().Split('\n');
        Assert.Equal(refused.Length, lines.Length);
        foreach (var ((name, reason), line) in refused.Zip(lines))
        {
            Assert.StartsWith($"cudasae: {name}: ", line);
            Assert.Contains(reason, line);
        }
        return output;
    }

    static void Refused(string reason, params string[] arguments)
    {
        var (code, _, error) = Run(arguments);
        Assert.True(code == 2, $"exit code {code}: {error}");
        Assert.Contains(reason, Assert.Single(error.TrimEnd().Split('\n')));
    }

    [Fact]
    public void ComparisonHasARowForEachPreset()
    {
        using var folder = new TemporaryFolder();
        var (x, table) = (NpyRows.Write(folder["x.npy"], 1500, 16), folder["table.md"]);
        string[] compare = ["compare", x, "--latents", "64", "--vectors", "2048", "--held-out", "100", "--tries", "1"];
        Partly([("group-max", "divisor of Latents = 64"), ("transcoder", "needs a second file")],
            [.. compare, "--l0", "5", "--presets", "group-max", "gated", "transcoder", "topk", "--out", table]);
        var rows = File.ReadAllLines(table)[2..].Select(row => row.Split(" | ")).ToArray();
        Assert.Equal(["| group-max", "| gated", "| transcoder", "| topk"], rows.Select(row => row[0]));
        Assert.Contains("divisor of Latents = 64", rows[0][^1]);
        Assert.StartsWith("L0 5 was not reached in 1 run", rows[1][^1]);
        Assert.Equal(["–", "5.0"], [rows[2][1], rows[3][1]]);

        Refused("there is no preset 'nonsense'", [.. compare, "--presets", "topk", "nonsense"]);
        Refused("--l0 65 is out of range: it must be 1 to --latents, 64", [.. compare, "--l0", "65"]);
        Refused("--tries 0", [.. compare[..^1], "0"]);
    }

    [Fact]
    public void SweepHasARowForEachCombination()
    {
        using var folder = new TemporaryFolder();
        // The width is so large that 60 million latents need a terabyte.
        var (x, sweep) = (NpyRows.Write(folder["x.npy"], 60, 4096), folder["sweep"]);
        (string, string)[] refused =
        [
            ("topk-n60000000-k2", "this run needs"), ("topk-n60000000-k99", "this run needs"),
            ("topk-n32-k99", "K = 99 is out of range"),
        ];
        string[] grid = ["--latents", "32,60000000", "--k", "2,99", "--batch-rows", "8", "--vectors", "16",
            "--held-out", "10", "--aux-k", "0", "--backend", "cpu"];
        var output = Partly(refused, ["sweep", x, "--presets", "topk", "--out", sweep, .. grid]);
        Assert.Contains("topk-n32-k2 is done", output);
        var lines = File.ReadAllLines(Path.Combine(sweep, "sweep.csv"));
        Assert.Equal(5, lines.Length);
        Assert.StartsWith("topk-n32-k2,topk,32,2,", lines[1]);
        foreach (var (name, reason) in refused)
            Assert.Contains(reason, Assert.Single(lines, line => line.StartsWith($"{name},")));

        var member = Path.Combine(sweep, "topk-n32-k2");
        File.Delete(Path.Combine(member, "outcome.json"));
        foreach (var file in Directory.EnumerateFiles(Path.Combine(member, "checkpoint")))
            File.WriteAllText(file, "cut");
        Partly([("topk-n32-k2", "is damaged"), .. refused], "sweep", "--resume", sweep);
        Assert.False(File.Exists(Path.Combine(member, "outcome.json")));
    }

    [Fact]
    public void AFolderOfSaesIsConvertedOneByOne()
    {
        using var folder = new TemporaryFolder();
        var x = NpyRows.Write(folder["x.npy"], 200, 16);
        string[] small = ["--latents", "32", "--k", "2", "--batch-rows", "32", "--vectors", "64", "--backend", "cpu"];
        Works(["train", x, "--out", folder["release/layer_10/topk"], .. small]);
        Works(["train", x, "--preset", "jumprelu", "--out", folder["release/layer_2/jump"], .. small]);
        Directory.CreateDirectory(folder["release/layer_1"]);
        File.WriteAllText(folder["release/layer_1/cut.npz"], "PK");
        Directory.CreateDirectory(folder["release/empty"]);
        File.WriteAllText(folder["release/empty/cfg.json"], "{}");
        if (!OperatingSystem.IsWindows())
            Directory.CreateSymbolicLink(folder["release/layer_1/loop"], folder["release"]);
        (string, string) empty = ("empty", "cfg.json but no weights"), cut = ("layer_1/cut.npz", "cut.npz");

        Assert.Contains("2 of 4 SAEs read", Partly([empty, cut], "convert", folder["release"]));
        Assert.False(Directory.Exists(folder["out"]));
        var output = Partly([empty, cut, ("layer_10/topk", "gemma-scope cannot express")], "convert", folder["release"],
            folder["out"], "--to", "gemma-scope");
        Assert.Contains("layer_2/jump: saelens", output);
        var written = folder["out/layer_2/jump/params.npz"];
        Assert.Equal("gemma-scope", SaeFormats.Of(written).Name);
        Assert.Equal([written], Directory.EnumerateFiles(folder["out"], "*", SearchOption.AllDirectories));

        File.WriteAllText(written, "mine");
        Partly([empty, cut, ("layer_10/topk", "cannot express"), ("layer_2/jump", "nothing is overwritten")], "convert",
            folder["release"], folder["out"], "--to", "gemma-scope");
        Assert.Equal("mine", File.ReadAllText(written));
        Refused("not an SAE of a known format", "convert", folder["release/empty"]);
    }

    [Fact]
    public void ReportAndInspectSkipFailedMembers()
    {
        using var folder = new TemporaryFolder();
        var (x, run) = (NpyRows.Write(folder["x.npy"], 200, 16), folder["run"]);
        Works("train", x, "--latents", "32", "--k", "2", "--batch-rows", "32", "--vectors", "64", "--held-out", "100",
            "--backend", "cpu", "--out", run);
        new Chapter("good", "A good chapter", 300, []).Save(run);
        File.WriteAllText(folder["run/figures/bad.json"], "{ no chapter");
        var uneven = new TableFigure("f", "", [new("a", ["x"]), new("b", [])]);
        new Chapter("uneven", "Uneven columns", 310, [uneven]).Save(run);
        var missing = folder["missing"];
        var output = Partly([(missing, "does not exist"), (x, "not an SAE of a known format")], "inspect", run,
            "--against",
            missing, "--against", x, "--against", run, "--backend", "cpu");
        Assert.Contains("Against run", output);
        Assert.Contains("FVU 0.", output);

        string[] report = ["report", run, "--csv", folder["csv"], "--json", folder["all.json"], "--backend", "cpu"];
        Partly([("bad", "is not a chapter of a report"), ("uneven", "differ in length")], report);
        var page = File.ReadAllText(folder["run/report.html"]);
        string[] shown = ["Left out", "A good chapter", "Held-out evaluation", "is not a chapter of a report"];
        Assert.All(shown, text => Assert.Contains(text, page));
        File.Delete(folder["run/figures/bad.json"]);
        File.Delete(folder["run/figures/uneven.json"]);
        File.WriteAllText(folder["run/train.json"], "{");
        Partly([("train.json", "is not a run's record")], "report", run, "--backend", "cpu");
    }
}
