using CudaSae.Data;
using Xunit;

namespace CudaSae.Tests;

/// <summary>Rows that belong to an SAE, as every command that takes one finds them, and what is said where they are not there.</summary>
public class RunDataTests
{
    static (int Code, string Output, string Error) Run(params string[] arguments) => CliProgram.Run(CliProgram.Start(arguments));

    static string[] Small => ["--preset", "april-2024", "--latents", "32", "--batch-rows", "32", "--vectors", "960", "--backend", "cpu"];

    static void Works(params string[] arguments)
    {
        var (code, output, error) = Run(arguments);
        Assert.True(code == 0, output + error);
    }

    /// <summary>One line and exit code 2 of each command, the same of all.</summary>
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
    public void CommandsFindARunsRowsAndRefuseAlike()
    {
        using var folder = new TemporaryFolder();
        var (data, run) = (KillTests.Data(folder["x.npy"], 300, 16), folder["run"]);
        Works(["train", data, "--out", run, "--held-out", "60", .. Small]);
        string[] eval = ["eval", run, "--backend", "cpu"], inspect = ["inspect", run, "--backend", "cpu"], resume = ["train", "--resume", run];
        string[] finetune = ["finetune", run, "--out", folder["tuned"], "--batch-rows", "32", "--vectors", "960", "--backend", "cpu"];
        Assert.Contains(" 60 ", Run(eval).Output);

        // Rows that come later would move the cut: some that were trained on would count as held out.
        KillTests.Data(data, 320, 16);
        Refused($"the data of {run} had 240 training rows and now have 260; put the old files back", eval, inspect, resume, finetune);
        Works([.. finetune, "--held-out", "60"]);       // the cut is the caller's
        var (code, output, error) = Run("report", run, "--backend", "cpu");
        Assert.True(code == 0, error);
        Assert.Contains("now have 260", output.ReplaceLineEndings(" "));
        Assert.Contains("curves of the training only", output.ReplaceLineEndings(" "));

        File.Delete(data);
        Refused($"the data of {run} cannot be opened: {Missing(data)}", eval, inspect, resume, finetune);
        File.Delete(folder["run/train.json"]);
        Refused($"{run} does not say which rows it was trained on; name activation files after it", inspect);
        KillTests.Data(data, 300, 16);
        Works([.. inspect, data]);
    }

    [Fact]
    public void ARunWithoutHeldOutRowsIsLookedAtWithNamedOnes()
    {
        using var folder = new TemporaryFolder();
        var (data, run) = (KillTests.Data(folder["x.npy"], 300, 16), folder["run"]);
        Works(["train", data, "--out", run, "--held-out", "0", .. Small]);
        Refused($"{run} held no rows out; name activation files after it", ["eval", run, "--backend", "cpu"], ["inspect", run, "--backend", "cpu"]);
        Assert.Contains(" 300 ", Run("eval", run, data, "--backend", "cpu").Output);
    }

    static string Missing(string path) => Assert.Throws<SaeException>(() => ActivationSource.Open([path])).Message;
}
