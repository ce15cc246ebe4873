using CudaSae.Lab.Report;

namespace CudaSae.Tests;

/// <summary>The commands labels and probe as a user runs them.</summary>
[Trait("speed", "slow")]
public class ProbeCliTests
{
    static readonly string HeldOut = Path.Combine(Repository.Root, "data", "use_lite_resid_post0_held_out.npy");

    static (int Code, string Output, string Error) Run(params string[] arguments) =>
        CliProgram.Run(CliProgram.Start(arguments));

    static void Refused(string reason, params string[] arguments)
    {
        var (code, _, error) = Run(arguments);
        Assert.True(code == 2, $"exit code {code}: {error}");
        Assert.Contains(reason, error);
        Assert.Single(error.TrimEnd().Split('\n'));
    }

    [Fact]
    public void TokensAreLabelledAndProbed()
    {
        using var folder = new TemporaryFolder();
        Assert.Equal(0, Run("labels", "tokens", HeldOut, folder["l.csv"]).Code);
        Assert.Equal(2048, File.ReadLines(folder["l.csv"]).Count());
        Assert.Equal(0,
            Run("train", HeldOut, "--latents", "256", "--k", "16", "--batch-rows", "64", "--vectors", "6400",
                "--held-out", "100", "--backend", "cpu", "--out", folder["run"]).Code);
        var (code, output, error) = Run("probe", folder["run"], HeldOut, "--labels", folder["l.csv"], "--k", "1,3",
            "--rows", "1800", "--backend", "cpu");
        Assert.True(code == 0, output + error);
        Assert.Contains("coverage", output);
        var chapter = Assert.Single(Chapter.Load(folder["run"]));
        Assert.Equal(["summary", "best-latents", "latent-auroc", "sparse-curves", "sparse-probes"],
            chapter.Figures.Select(f => f.Id));
        Assert.Contains("probe", chapter.Command);
        File.Copy(HeldOut, folder["again.npy"]);
        Refused("labels 2047 rows, the data have", "probe", folder["run"], HeldOut, folder["again.npy"],
            "--labels", folder["l.csv"]);
        Refused("--grid 8x8 is not a board of 13 squares", "probe", folder["run"], HeldOut, "--labels", folder["l.csv"],
            "--grid", "8x8");
        Refused("--k 1,x", "probe", folder["run"], HeldOut, "--labels", folder["l.csv"], "--k", "1,x");
        Refused("neither .npy nor .csv", "probe", folder["run"], HeldOut, "--labels", folder["l.txt"]);
        Refused("cannot read", "probe", folder["run"], HeldOut, "--labels", folder["none.csv"]);
        File.Copy(HeldOut, folder["x.npy"]);
        Refused("the tokens of the rows", "labels", "tokens", folder["x.npy"], folder["x.csv"]);
    }
}
