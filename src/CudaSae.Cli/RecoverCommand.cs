using System.CommandLine;
using CudaSae.Formats;
using CudaSae.Lab.Synthetic;
using CudaSae.Numerics;
using Spectre.Console;

namespace CudaSae.Cli;

/// <summary>The command cudasae recover compares a saved SAE with the dictionary that generated its data.</summary>
static class RecoverCommand
{
    public static Command Create()
    {
        var run = new Argument<string>("run")
        {
            Description = "file or folder of an SAE, of any layout that convert reads"
        };
        var dictionary = new Argument<string>("dictionary")
        {
            Description = "true features [m, d], as synth writes them"
        };
        var command = new Command("recover", "Count the known features that an SAE found.") { run, dictionary };
        command.SetAction(parsed =>
        {
            using var truth = Read(parsed.GetValue(dictionary)!);
            using var sae = SaeModel.Load(parsed.GetValue(run)!);
            Print(Recovery.Of(truth, sae.Parameters.WDec));
            return 0;
        });
        return command;
    }

    static Matrix Read(string path)
    {
        using var source = Activations.Open([path]);
        var matrix = new Matrix(source.Rows, source.Width);
        for (long f = 0; f < source.Rows; f++) source.ReadRow(f, matrix[f]);
        return matrix;
    }

    static void Print(Recovery r)
    {
        var table = new Table().AddColumn("recovery").AddColumn(new TableColumn("value").RightAligned())
            .AddColumn("meaning");
        table.AddRow("features", $"{r.Features}", "rows of the true dictionary");
        table.AddRow("latents", $"{r.Latents}", "rows of W_dec");
        table.AddRow("recovered", $"{100 * r.Recovered:0.00} %",
            $"features with a latent at |cosine| > {Recovery.Threshold}");
        table.AddRow("MMCS", $"{r.MeanMaxCosine:0.0000}", "mean of their best |cosine|");
        table.AddRow("matched", r.MatchedCosine is { } matched ? $"{matched:0.0000}" : "–", r.MatchedCosine is null
            ? $"not computed: both sides exceed {Recovery.MaxMatched}" : "the same, no latent used twice");
        AnsiConsole.Write(table);
    }
}
