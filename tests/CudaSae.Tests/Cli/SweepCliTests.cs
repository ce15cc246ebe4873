using System.Diagnostics;
using System.Text.Json.Nodes;
using CudaSae.Backends.Cpu;
using CudaSae.Lab.Report;

namespace CudaSae.Tests;

/// <summary>The command cudasae sweep as a user runs it.</summary>
[Trait("speed", "slow")]
public class SweepCliTests
{
    static readonly string[] Grid = ["--presets", "topk,jumprelu", "--k", "4,99", "--coefficient", "x1,0.2",
        "--latents", "64", "--batch-rows", "64", "--vectors", "6400", "--aux-k", "8",
        "--checkpoint-every", "5", "--held-out", "100", "--backend", "cpu"];

    static (int Code, string Output, string Error) Run(params string[] arguments) =>
        CliProgram.Run(CliProgram.Start(arguments));

    static byte[] Weights(string folder) => File.ReadAllBytes(Path.Combine(folder, "sae_weights.safetensors"));

    /// <summary>A sweep is killed in its first group, resumed to the end, and resumed again: the weights equal those of
    /// separate runs of train, byte for byte. Impossible combinations are listed and skipped.</summary>
    [Fact]
    public void AKilledSweepResumesAndItsMembersEqualSeparateRuns()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "a killed process has another exit code there");
        using var folder = new TemporaryFolder();
        var data = NpyRows.Write(folder["x.npy"], 1000, 32);
        var sweep = folder["sweep"];
        KillAtACheckpoint(CliProgram.Start(["sweep", data, "--out", sweep, "--together", "2", .. Grid]),
            Path.Combine(sweep, "jumprelu-n64-l0.55"));
        var (code, output, error) = Run("sweep", "--resume", sweep);
        Assert.True(code == 1, output + error);     // for the combination that is skipped
        Assert.Contains("left out: topk-n64-k99: ", output);
        Assert.StartsWith("cudasae: topk-n64-k99: K = 99", Assert.Single(error.TrimEnd().Split('\n')));
        var record = SweepRecord.Load(sweep);
        Assert.Equal(["topk-n64-k4", "jumprelu-n64-l0.55", "jumprelu-n64-l0.2"], record.Members.Select(m => m.Name));

        var trained = record.Members[0];
        (code, output, error) = Run(["train", data, "--out", folder["alone"], "--held-out", "100", "--backend", "cpu",
            .. trained.Arguments]);
        Assert.True(code == 0, output + error);
        Assert.Equal(Weights(folder["alone"]), Weights(Path.Combine(sweep, trained.Name)));
        using (var source = ActivationSource.Open([data]))
            foreach (var member in record.Members.Skip(1))
                Assert.Equal(Alone(source, member, folder[$"alone-{member.Name}"]),
                    Weights(Path.Combine(sweep, member.Name)));
        Check(sweep, record);

        var written = File.GetLastWriteTimeUtc(Path.Combine(sweep, trained.Name, "sae_weights.safetensors"));
        (code, output, _) = Run("sweep", "--resume", sweep);
        Assert.Equal((1, written),
            (code, File.GetLastWriteTimeUtc(Path.Combine(sweep, trained.Name, "sae_weights.safetensors"))));
        Assert.DoesNotContain("is done:", output);
    }

    static byte[] Alone(ActivationSource source, SweepMember member, string folder)
    {
        var start = new TrainingStart(source, source.Rows - 100, member.Spec, member.Config);
        using var runner = new Runner(new CpuBackend(member.Spec, member.Config, source.Type), source,
            source.Rows - 100, start.Scale);
        runner.Begin(start);
        runner.Train(null, new RecordingObserver());
        runner.Save(folder);
        return Weights(folder);
    }

    static void Check(string sweep, SweepRecord record)
    {
        var lines = File.ReadAllLines(Path.Combine(sweep, "sweep.csv"));
        Assert.Equal(1 + record.Members.Length + 1, lines.Length);
        Assert.Matches("^topk-n64-k99,+K = 99", lines[^1]);
        Assert.StartsWith("name,preset,latents,k,coefficient", lines[0]);
        Assert.StartsWith("topk-n64-k4,topk,64,4,,1,64,4,", lines[1]);
        Assert.StartsWith("jumprelu-n64-l0.55,jumprelu,64,,0.55,1,64,", lines[2]);
        var chapter = Assert.Single(Chapter.Load(sweep));
        var plot = Assert.IsType<LinesFigure>(chapter.Figures[0]);
        Assert.Equal(["topk", "jumprelu", "Pareto front", "PCA, L0 components", "PCA basis, each row's L0 largest"],
            plot.Series.Select(s => s.Name));
        Assert.Equal((float)SweepOutcome.Load(Path.Combine(sweep, "topk-n64-k4"))!.Evaluation!.Fvu!.Value,
            plot.Series[0].Y.Single());
        Assert.Contains("members lie on the Pareto front", plot.Finding);
    }

    static void KillAtACheckpoint(ProcessStartInfo start, string run)
    {
        using var process = Process.Start(start)!;
        var (output, error) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        while (!process.HasExited && !File.Exists(Path.Combine(run, "checkpoint", "step-000000010.safetensors")))
            Thread.Sleep(1);
        process.Kill();
        process.WaitForExit();
        Assert.True(process.ExitCode == 137, $"exit code {process.ExitCode}: {error.Result}{output.Result}");
        Assert.False(File.Exists(Path.Combine(run, "outcome.json")), "the run ended before it was killed");
    }

    [Fact]
    public void OtherGridsAndOccupiedFoldersAreRefused()
    {
        using var folder = new TemporaryFolder();
        var data = NpyRows.Write(folder["x.npy"], 300, 16);
        Refused("there is no preset 'nonsense'", "sweep", data, "--presets", "topk,nonsense", "--out", folder["no"]);
        Refused("--coefficient abc", "sweep", data, "--presets", "jumprelu", "--coefficient", "abc", "--out",
            folder["no"]);
        Refused("no combination of this sweep is an SAE", "sweep", data, "--latents", "16", "--k", "40", "--out",
            folder["no"]);
        Refused("--on-divergence rollback: members of a sweep share", "sweep", data, "--batch-rows", "32", "--k", "2",
            "--vectors", "64", "--on-divergence", "rollback", "--checkpoint-every", "1", "--out", folder["no"]);
        Refused("is not a sweep", "sweep", "--resume", folder["no"]);
        Assert.Equal(0,
            Run("sweep", data, "--out", folder["s"], "--latents", "32", "--k", "2", "--batch-rows", "32", "--vectors",
                "64", "--aux-k", "0", "--held-out", "50", "--backend", "cpu").Code);
        Refused("--k cannot be changed when a sweep is resumed", "sweep", "--resume", folder["s"], "--k", "8");
        Refused("already holds a sweep", "sweep", data, "--out", folder["s"]);
        var record = JsonNode.Parse(File.ReadAllText(folder["s/sweep.json"]))!;
        record["members"]![0]!["name"] = "../elsewhere";
        File.WriteAllText(folder["s/sweep.json"], record.ToJsonString());
        Refused("is not a name of a member", "sweep", "--resume", folder["s"]);
    }

    static void Refused(string reason, params string[] arguments)
    {
        var (code, _, error) = Run(arguments);
        Assert.True(code == 2, $"exit code {code}: {error}");
        Assert.Contains(reason, error);
        Assert.Single(error.TrimEnd().Split('\n'));
    }
}
