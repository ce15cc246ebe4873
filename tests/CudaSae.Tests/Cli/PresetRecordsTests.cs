using System.CommandLine;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using CudaSae.Cli;

namespace CudaSae.Tests;

/// <summary>A preset gives the same spec and configuration everywhere: in train, compare, the settings of the library
/// and the sample of docs/guide/embedding.md.</summary>
public class PresetRecordsTests
{
    // Lengths below, at and above the default, and beyond the largest number of the rule for dead latents.
    public static TheoryData<string, long> Runs => new MatrixTheoryData<string, long>(
        ["topk", "jumprelu", "ghost-grads", "monosemanticity", "jan-2025", "matryoshka"],
        [6_000, 491_520, 5_000_000, 1_200_000_000]);

    [Theory, MemberData(nameof(Runs))]
    public void TrainSettingsAndSampleAgree(string name, long vectors)
    {
        var (spec, config) = Preset.Named(name).Make(16, 64, 4, new() { BatchRows = 256, Vectors = vectors });
        var after = Math.Min(vectors / 60, 10_000_000);
        Assert.Equal(config.Resampling is null ? after : 0, spec.DeadAfterTokens);
        foreach (var rows in new[]
            { spec.Aux?.DeadAfterTokens, spec.Ghost?.DeadAfterTokens, spec.PreAct?.DeadAfterTokens })
            Assert.Equal(after, rows ?? after);

        var settings = new Settings();
        var train = new Command("train");
        settings.AddTo(train);
        string[] line =
            ["--preset", name, "--latents", "64", "--k", "4", "--batch-rows", "256", "--vectors", $"{vectors}"];
        AssertSame((spec, config), settings.Records(Commands.Parse(train, line), 16));

        AssertSame((spec, config), TrainerSettings.Parse(new JsonObject
        {
            ["preset"] = name, ["input_width"] = 16, ["latents"] = 64, ["k"] = 4,
            ["config"] = new JsonObject { ["batch_rows"] = 256, ["vectors"] = vectors },
        }.ToJsonString()).Records());

        using var trainer = new SaeTrainer(spec, config with { Resampling = null }, Backends.BackendKind.Cpu);
        Assert.Same(spec, trainer.Spec);
    }

    static void AssertSame((SaeSpec Spec, TrainConfig Config) expected, (SaeSpec Spec, TrainConfig Config) actual)
    {
        Assert.Equal(SaeRecords.Write(expected.Spec).ToJsonString(), SaeRecords.Write(actual.Spec).ToJsonString());
        Assert.Equal(SaeRecords.Write(expected.Config).ToJsonString(), SaeRecords.Write(actual.Config).ToJsonString());
    }

    /// <summary>The run has 60 steps of the default 1024 rows. Latents are dead after one step by the rule, and after
    /// eight steps by the number that follows from the default length.</summary>
    [Theory, InlineData("topk"), InlineData("batch-topk")]
    public void CompareTrainsTheSaeOfTrain(string name)
    {
        using var folder = new TemporaryFolder();
        var x = folder["x.npy"];
        Works("synth", x, "--features", "64", "--width", "16", "--rows", "4000");
        string[] shape = ["--latents", "256", "--vectors", "61440"];
        var row = Works(["compare", x, "--presets", name, "--l0", "4", .. shape]).Split('\n')
            .Single(line => line.StartsWith($"| {name} ", StringComparison.Ordinal))
            .Split('|', StringSplitOptions.TrimEntries);
        string[] train = ["train", x, "--preset", name, "--k", "4", .. shape];
        var table = Works([.. train, "--out", folder["run"]]);
        Assert.Equal((Measure(table, "FVU"), Measure(table, "silent")), (row[3], row[4]));

        // The same run with the number of the default length differs, which shows that the comparison above can fail.
        var other = Works([.. train, "--out", folder["other"], "--dead-after", "8192"]);
        Assert.NotEqual(Measure(table, "silent"), Measure(other, "silent"));
    }

    static string Measure(string table, string name) =>
        Regex.Match(table, $@"^\W*{name}\W+([0-9.]+)", RegexOptions.Multiline).Groups[1].Value;

    static string Works(params string[] arguments)
    {
        var (code, output, error) = CliProgram.Run(CliProgram.Start(arguments));
        Assert.True(code == 0, output + error);
        return output;
    }
}
