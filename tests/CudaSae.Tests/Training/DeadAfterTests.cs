using System.Text.Json.Nodes;
using CudaSae.Backends.Cpu;
using CudaSae.Lab.Verification;
using CudaSae.Numerics;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Tests;

/// <summary>Dead latents are counted for every recipe, after the rows that --dead-after sets, and counting changes no
/// weight.</summary>
[Trait("speed", "slow")]
public class DeadAfterTests
{
    static readonly TrainConfig Basis = new() { BatchRows = 16, Vectors = 16 * 600 };

    public static TheoryData<string> Presets => [.. Preset.All.Where(p => !p.NeedsTarget).Select(p => p.Name)];

    [Theory, MemberData(nameof(Presets))]
    public void EveryRecipeCountsDeadLatentsAfterItsRows(string name)
    {
        var preset = Preset.Named(name);
        var (spec, config) = preset.Make(24, 64, 4, Basis);
        var revives = spec.Aux is not null || spec.Ghost is not null || spec.PreAct is not null;
        // The value is a sixtieth of 600 steps, set in the spec or not; the resampling's own window comes before it,
        // and an explicit number before both.
        var window = !revives && config.Resampling is { } resampling ? (uint)resampling.Window : 10;
        Assert.Equal(window, Schedules.DeadAfterSteps(spec, config));
        Assert.Equal(2u, Schedules.DeadAfterSteps(DeadAfter.Set(spec, config, 32), config));
        if (revives) return;
        var older = spec with { DeadAfterTokens = 0 };      // a record of a version without the field
        Assert.Equal(window, Schedules.DeadAfterSteps(older, config));

        var (counted, weights) = Train(DeadAfter.Set(spec, config, 32), config);
        var (_, never) = Train(DeadAfter.Set(spec, config, 16 * 1000), config);
        Assert.InRange(counted, 1, 63);
        Assert.Equal(never, weights);
    }

    /// <summary>Returns the latents that are dead after six steps, those that last fired two or more steps ago, and the
    /// whole state.</summary>
    static (int Dead, byte[][] State) Train(SaeSpec spec, TrainConfig config)
    {
        var problem = new SmallProblem(spec, 16, config);
        using var backend = new CpuBackend(spec, config, InputType.Float32, 1);
        for (var f = 0; f < 20; f++) problem.Parameters.BEnc[f] = -1000;
        backend.SetParameters(problem.Parameters);
        for (var t = 1u; t <= 6; t++)
        {
            SmallProblem.Feed(backend, 0, problem.Batch());
            new SaeStep(backend).Run(0, Schedules.Scalars(spec, config, new(1, 1), t));
        }
        problem.Parameters.Dispose();
        var dead = backend.ReadSums().Dead;
        var after = Schedules.DeadAfterSteps(spec, config);
        var lastFired = States.Numbers<int>(backend, "last_fired");
        Assert.Equal(lastFired.Count(fired => 6 - fired >= after), dead);
        return (dead, States.Of(backend));
    }

    static (int Code, string Output, string Error) Run(params string[] arguments) =>
        CliProgram.Run(CliProgram.Start(arguments));

    [Fact]
    public void TheOptionIsRecordedAndAnOlderRecordResumes()
    {
        using var folder = new TemporaryFolder();
        var data = NpyRows.Write(folder["x.npy"], 400, 16);
        var (code, _, error) = Run("train", data, "--out", folder["run"], "--preset", "jumprelu", "--coefficient",
            "50", "--latents", "64", "--batch-rows", "32", "--vectors", "6400",
            "--dead-after", "320", "--log-every", "1", "--backend", "cpu");
        Assert.True(code == 0, error);
        Assert.Equal(320, RunRecord.Load(folder["run"]).Spec.DeadAfterTokens);
        double Dead(int step) => MetricsHistory.Read(folder["run/metrics.jsonl"]).Column("dead_percent")[step - 1];
        Assert.Equal(0, Dead(9));           // ten steps are needed
        Assert.True(Dead(200) > 0);

        var record = JsonNode.Parse(File.ReadAllText(folder["run/train.json"]))!;
        Assert.True(record["spec"]!.AsObject().Remove("dead_after_tokens"));
        File.WriteAllText(folder["run/train.json"], record.ToJsonString());
        OlderCheckpoint.Write(folder["run/checkpoint/step-000000200.safetensors"]);
        (code, _, error) = Run("train", "--resume", folder["run"], "--vectors", "9600", "--backend", "cpu");
        Assert.True(code == 0, error);
        Assert.True(Dead(300) > 0);

        (code, _, error) = Run("train", data, "--dead-after", "-1", "--out", folder["no"]);
        Assert.Equal(2, code);
        Assert.Contains("--dead-after -1: it must be a whole number", error);
    }
}
