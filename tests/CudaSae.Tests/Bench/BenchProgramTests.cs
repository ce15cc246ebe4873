using CudaSae.Bench;
using CudaSae.Cli;

namespace CudaSae.Tests;

/// <summary>The command line of cudasae-bench, and the commands of each of the two programs.</summary>
[Trait("speed", "slow")]
public class BenchProgramTests
{
    static (int Code, string Output, string Error) Run(params string[] arguments) =>
        CliProgram.Run(CliProgram.StartBench(arguments));

    [Fact]
    public void EachCommandBelongsToOneProgram()
    {
        var bench = Commands.Root().Subcommands.Single(command => command.Name == "bench");
        Assert.Equal(["step", "kernels"], bench.Subcommands.Select(command => command.Name));
        Assert.Equal(
            [
                "data", "sweep", "plot", "tables", "reference", "ladder", "gradients", "fuzz", "soak", "memory",
                "ranks", "scale",
            ],
            BenchCommands.Root().Subcommands.Select(command => command.Name));
    }

    [Fact]
    public void HelpListsTheCommands()
    {
        var (code, output, _) = Run("--help");
        Assert.Equal(0, code);
        Assert.Contains("Usage: cudasae-bench COMMAND", output);
        Assert.All(BenchCommands.Root().Subcommands, command =>
        {
            Assert.Contains($"  {command.Name} ", output);
            Assert.Contains(command.Description!, output);
        });
    }

    [Theory]
    [InlineData("there is no command 'laddr' (did you mean ladder?); see cudasae-bench --help", "laddr")]
    [InlineData("there is no option --backed (did you mean --backend?); see cudasae-bench sweep --help", "sweep",
        "--backed", "cpu")]
    [InlineData("STEPS x: it must be a whole number from 1 to 2147483647; see cudasae-bench soak --help", "soak", "x")]
    [InlineData("k 0: it must be a whole number from 1 to 2147483647; see cudasae-bench memory --help", "memory", "1",
        "2", "3", "0")]
    [InlineData("there is no parser x; use one of all, ", "fuzz", "x")]
    [InlineData("--axes z: 'z' is not an axis; use any of n, B, d and k", "sweep", "--backend", "cpu", "--axes", "z")]
    [InlineData("--gpus 12: it must be at most 8, or a multiple of it (--gpus-per-node)", "scale", "--gpus", "8,12")]
    [InlineData("--gpus 64 exceeds --latents 32; each GPU needs a latent", "scale", "--latents", "32,64", "--gpus",
        "64")]
    [InlineData("--latents 1M: it must be a whole number from 1 to 2147483647, or several separated by commas", "scale",
        "--latents", "1M")]
    [InlineData("--moment-bytes 3: it must be 4, 2 or 1", "scale", "--moment-bytes", "3")]
    public void BadInputIsRefusedInOneLine(string line, params string[] arguments)
    {
        var (code, output, error) = Run(arguments);
        Assert.Equal((2, ""), (code, output));
        Assert.StartsWith($"cudasae-bench: {line}", Assert.Single(error.TrimEnd().Split('\n')));
    }
}
