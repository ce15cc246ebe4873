using System.CommandLine;
using System.CommandLine.Parsing;
using CudaSae.Bench.Feed;
using CudaSae.Bench.Fuzz;
using CudaSae.Bench.Ladder;
using CudaSae.Bench.Plots;
using CudaSae.Bench.Reference;
using CudaSae.Bench.Scale;
using CudaSae.Bench.Tables;
using CudaSae.Cli;
using CudaSae.Cli.Help;

namespace CudaSae.Bench;

/// <summary>The commands of cudasae-bench: measurements and long checks for the developers of this project.</summary>
static class BenchCommands
{
    public const string Program = "cudasae-bench";

    public static RootCommand Root()
    {
        var root = new RootCommand("Measures and checks CudaSae for its developers. cudasae bench times a step.")
        {
            BenchDataCommand.Create(),
            BenchSweepCommand.Create(),
            BenchPlotCommand.Create(),
            BenchTablesCommand.Create(),
            ReferenceCommand.Create(),
            LadderCommand.Create(),
            GradientsCommand.Create(),
            FuzzCommand.Create(),
            Soak.Create(),
            PlannedMemory.Create(),
            RanksCommand.Create(),
            ScaleCommand.Create(),
        };
        root.Directives.Clear();
        HelpOptions.AddTo(root, Program);
        return root;
    }

    /// <summary>Reads an optional whole number in the forms of <see cref="Forms"/>.</summary>
    public static Argument<int> Number(string name, string description, int standard) => new(name)
    {
        Description = description,
        Arity = ArgumentArity.ZeroOrOne,
        DefaultValueFactory = _ => standard,
        CustomParser = result => Value(result, name),
    };

    static int Value(ArgumentResult result, string name)
    {
        var text = result.Tokens[0].Value;
        if (Forms.Within(text, 1, int.MaxValue) is { } value) return value;
        result.AddError($"{name} {text}: it must be {Forms.Of(typeof(int), 1, int.MaxValue)}");
        return default;
    }
}
