using System.Text.Json.Nodes;
using CudaSae.Lab.Report;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Tests;

/// <summary>Rows that belong to an SAE, as every command that takes an SAE finds them, and the refusal where they do
/// not exist.</summary>
[Trait("speed", "slow")]
public class RunDataTests
{
    static (int Code, string Output, string Error) Run(params string[] arguments) =>
        CliProgram.Run(CliProgram.Start(arguments));

    static string[] Small =>
        ["--preset", "april-2024", "--latents", "32", "--batch-rows", "32", "--vectors", "960", "--backend", "cpu"];

    static void Works(params string[] arguments)
    {
        var (code, output, error) = Run(arguments);
        Assert.True(code == 0, output + error);
    }

    /// <summary>Requires one line and exit code 2 of each command, and the same line from all.</summary>
    static void Refused(string line, params string[][] commands)
    {
        foreach (var arguments in commands)
        {
            var (code, _, error) = Run(arguments);
            Assert.Equal(2, code);
            Assert.Equal($"cudasae: {line}", Assert.Single(error.TrimEnd().Split('\n')));
        }
    }

    [Fact]
    public void CommandsFindARunsRowsAndRefuseInTheSameWay()
    {
        using var folder = new TemporaryFolder();
        var (data, run) = (NpyRows.Write(folder["x.npy"], 300, 16), folder["run"]);
        File.WriteAllText(folder["x.site.json"], """{"site": "resid_post7", "model": "a <network>"}""");
        Works(["train", data, "--out", run, "--held-out", "60", .. Small]);
        var record = RunRecord.Load(run);
        Assert.Equal(("april-2024", "resid_post7 of a <network>"), (record.Preset, record.Site));
        string[] eval = ["eval", run, "--backend", "cpu"], inspect = ["inspect", run, "--backend", "cpu"],
        resume = ["train", "--resume", run];
        string[] finetune = ["finetune", run, "--out", folder["tuned"], "--batch-rows", "32", "--vectors", "960",
            "--backend", "cpu"];
        Assert.Contains(" 60 ", Run(eval).Output);

        // Rows that are appended later are not used: the cut stays in its place. An older record does not contain the
        // cut.
        NpyRows.Write(data, 320, 16);
        Assert.Contains(" 60 ", Run(eval).Output);
        Forget(run);
        Refused($"the data of {run} had 240 training rows and now have 260; put the old files back", eval, inspect,
            resume, finetune);
        Works([.. finetune, "--held-out", "60"]);       // the caller chooses the cut
        var (code, output, error) = Run("report", run, "--backend", "cpu");
        Assert.True(code == 0, error);
        Assert.Contains("now have 260", output.ReplaceLineEndings(" "));
        Assert.Contains("curves of the training only", output.ReplaceLineEndings(" "));

        Assert.Contains("; preset april-2024; resid_post7 of a &lt;network&gt;</h1>",
            File.ReadAllText(folder["run/report.html"]));
        Assert.Contains("began with the published recipe april-2024", output.ReplaceLineEndings(" "));

        File.Delete(data);
        Refused($"the data of {run} cannot be opened: {Missing(data)}", eval, inspect, resume, finetune);
        File.Delete(folder["run/train.json"]);
        Refused($"{run} does not state which rows it was trained on; name activation files after it", inspect);
        NpyRows.Write(data, 300, 16);
        Works([.. inspect, data]);
    }

    /// <summary>Removes the fingerprint from a record, as older versions wrote it.</summary>
    static void Forget(string run)
    {
        var path = Path.Combine(run, RunRecord.FileName);
        var record = JsonNode.Parse(File.ReadAllText(path))!.AsObject();
        Assert.True(record.Remove("fingerprint"));
        File.WriteAllText(path, record.ToJsonString());
    }

    [Fact]
    public void ARunWithoutHeldOutRowsIsEvaluatedOnNamedRows()
    {
        using var folder = new TemporaryFolder();
        var (data, run) = (NpyRows.Write(folder["x.npy"], 300, 16), folder["run"]);
        Works(["train", data, "--out", run, "--held-out", "0", .. Small]);
        Refused($"{run} held no rows out; name activation files after it", ["eval", run, "--backend", "cpu"],
            ["inspect", run, "--backend", "cpu"]);
        Assert.Contains(" 300 ", Run("eval", run, data, "--backend", "cpu").Output);
    }

    [Fact]
    public void RecordsWithoutPresetAndSiteAreRead()
    {
        using var folder = new TemporaryFolder();
        var (spec, config) = Preset.Named("topk").Make(16, 64, 4);
        var record = new RunRecord(spec, config, 1, 1, ["x.npy"], "100", null, 900, "Cpu", "0.1.0");
        record.Save(folder["old"]);
        Assert.DoesNotContain("preset", File.ReadAllText(folder["old/train.json"]));
        var old = RunRecord.Load(folder["old"]);
        Assert.Equal((null, null), (old.Preset, old.Site));
        (record with { Preset = "topk", Site = "resid_post0" }).Save(folder["new"]);
        var read = RunRecord.Load(folder["new"]);
        Assert.Equal(("topk", "resid_post0"), (read.Preset, read.Site));
        string Finding(RunRecord of) => TrainingCurves.Of(folder["nowhere"], of)!.Figures.Single().Finding;
        Assert.Contains("nearest published recipe is", Finding(old));
        Assert.Contains("began with the published recipe topk", Finding(read));
        // although other recipes are nearer
        Assert.Contains("began with the published recipe jumprelu", Finding(read with { Preset = "jumprelu" }));
        Assert.Contains("nearest published recipe is", Finding(read with { Preset = "one that was renamed" }));
    }

    [Fact]
    public void ASiteIsRecordedWhenAllFilesAgreeOnIt()
    {
        using var folder = new TemporaryFolder();
        foreach (var name in new[] { "a", "b" })
        {
            NpyRows.Write(folder[$"{name}.npy"], 20, 4);
            File.WriteAllText(folder[$"{name}.site.json"], $$"""{"model":"m","site":"{{name}}"}""");
        }
        string? Site(params string[] names)
        {
            using var source = ActivationSource.Open(names.Select(name => folder[$"{name}.npy"]));
            return source.Site;
        }
        Assert.Equal("a of m", Site("a"));
        Assert.Null(Site("a", "b"));
        using (var joined = ActivationSource.Join(ActivationSource.Open([folder["a.npy"]]),
            ActivationSource.Open([folder["b.npy"]])))
            Assert.Equal("a of m beside b of m", joined.Site);
        File.Delete(folder["b.site.json"]);
        Assert.Null(Site("b"));
        foreach (var damaged in new[] { "{", "[]", """{"site":"a"}""", """{"site":7,"model":"m"}""",
            """{"site":"\u0007","model":"m"}""", """{"site":"\ud800","model":"m"}""", new string(' ', 70_000) })
        {
            File.WriteAllText(folder["a.site.json"], damaged);
            AssertOneLine("a.site.json does not name the site of its activations", () => Site("a"));
        }
    }

    static string Missing(string path) => Assert.Throws<SaeException>(() => ActivationSource.Open([path])).Message;
}
