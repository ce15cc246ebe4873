using CudaSae.Training.Checkpoints;

namespace CudaSae.Tests;

/// <summary>Presets, fine-tuning, comparison and synthetic data as a user runs them.</summary>
[Trait("speed", "slow")]
public class MethodCliTests
{
    static (int Code, string Output, string Error) Run(params string[] arguments) =>
        CliProgram.Run(CliProgram.Start(arguments));

    static void Works(params string[] arguments)
    {
        var (code, output, error) = Run(arguments);
        Assert.True(code == 0, output + error);
    }

    static void Refused(string reason, params string[] arguments)
    {
        var (code, _, error) = Run(arguments);
        Assert.True(code == 2, $"exit code {code}: {error}");
        Assert.Contains(reason, error);
        Assert.Single(error.TrimEnd().Split('\n'));
    }

    static string[] Small => ["--latents", "64", "--k", "4", "--batch-rows", "64", "--vectors", "6400", "--backend",
        "cpu", "--held-out", "200"];

    [Fact]
    public void PresetsListShowAndRefuse()
    {
        var (code, output, _) = Run("presets");
        Assert.Equal(0, code);
        foreach (var preset in Preset.All) Assert.Contains(preset.Name[..Math.Min(8, preset.Name.Length)], output);
        Assert.Contains("2407.14435", Run("presets", "jumprelu").Output);
        Refused("there is no preset 'nonsense'", "presets", "nonsense");
    }

    [Fact]
    public void EveryKindTrainsEvaluatesAndFinetunes()
    {
        using var folder = new TemporaryFolder();
        var x = folder["x.npy"];
        Works("synth", x, "--features", "40", "--width", "16", "--rows", "1500", "--noise", "0.01");
        foreach (var preset in new[] { "april-2024", "gated", "jumprelu", "batch-topk", "group-max" })
        {
            Works(["train", x, "--preset", preset, "--out", folder[preset], .. Small]);
            Works("eval", folder[preset]);
            Works("recover", folder[preset], folder["x.dictionary.npy"]);
        }
        Assert.IsType<Selection.JumpRelu>(SaeModel.Load(folder["gated/jumprelu"]).Spec.Selection);
        Works(["finetune", folder["april-2024"], "--what", "rescaleShift", "--out", folder["tuned"], .. Small]);
        Works("eval", folder["tuned"]);
        Refused("only a ReLU SAE",
            ["finetune", folder["jumprelu"], "--what", "rescaleShift", "--out", folder["no"], .. Small]);

        Works("synth", folder["y.npy"], "--features", "40", "--width", "12", "--rows", "1500", "--seed", "2");
        Works(["train", x, "--beside", folder["y.npy"], "--preset", "skip-transcoder", "--out", folder["transcoder"],
            .. Small]);
        Works("eval", folder["transcoder"]);
        Works(["train", x, "--beside", folder["y.npy"], "--preset", "crosscoder", "--out", folder["crosscoder"],
            .. Small]);
        Refused("needs its target", ["train", x, "--preset", "transcoder", "--out", folder["no"], .. Small]);
        Refused("uses it", ["train", x, "--beside", folder["y.npy"], "--out", folder["no"], .. Small]);
    }

    [Fact]
    public void AnyFieldCanBeSet()
    {
        using var folder = new TemporaryFolder();
        var x = folder["x.npy"];
        Works("synth", x, "--features", "40", "--width", "16", "--rows", "1500");
        Works(["train", x, "--preset", "jumprelu", "--set", "spec.selection.bandwidth=0.25", "--set",
            "spec.selection.kernel=Gaussian", "--set", "config.beta2=0.99", "--out", folder["run"], .. Small]);
        var record = RunRecord.Load(folder["run"]);
        Assert.Equal((0.25f, SmoothingKernel.Gaussian),
            record.Spec.Selection is Selection.JumpRelu jump ? (jump.Bandwidth, jump.Kernel) : default);
        Assert.Equal(0.99f, record.Config.Beta2);
        Refused("must read spec.FIELD=JSON", ["train", x, "--set", "bandwidth=1", "--out", folder["no"], .. Small]);
        Refused("spec.selection.nonsense=1",
            ["train", x, "--set", "spec.selection.nonsense=1", "--out", folder["no"], .. Small]);
        Refused("Bandwidth",
            ["train", x, "--preset", "jumprelu", "--set", "spec.selection.bandwidth=-1", "--out", folder["no"],
                .. Small]);
        Refused("preset has no penalty", ["train", x, "--coefficient", "1", "--out", folder["no"], .. Small]);
    }

    [Fact]
    public void ComparisonTunesPresetsToOneL0()
    {
        using var folder = new TemporaryFolder();
        var x = folder["x.npy"];
        Works("synth", x, "--features", "40", "--width", "16", "--rows", "3000", "--noise", "0.01");
        Works("compare", x, "--held-out", "500", "--latents", "64", "--l0", "4", "--vectors", "102400", "--presets",
            "topk", "gated", "--tries", "6", "--out", folder["table.md"]);
        var rows = File.ReadAllLines(folder["table.md"]);
        Assert.Equal(4, rows.Length);
        var l0 = rows[2..].Select(r => double.Parse(r.Split('|')[2], System.Globalization.CultureInfo.InvariantCulture))
            .ToArray();
        Assert.Equal(4, l0[0], 0.05);
        Assert.InRange(l0[1], 2.5, 6);
    }
}
