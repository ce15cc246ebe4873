using System.CommandLine;
using CudaSae.Bench.Tables;
using CudaSae.Cli;
using CudaSae.Files;

namespace CudaSae.Bench.Plots;

/// <summary>cudasae-bench plot: the pictures of measured tables, as SVG.</summary>
static class BenchPlotCommand
{
    public static Command Create()
    {
        var tables = new Argument<string[]>("tables")
        {
            Description = "tables that cudasae bench step, cudasae bench kernels or sweep wrote with --csv",
            Arity = ArgumentArity.OneOrMore,
        };
        var folder = Options.New("--out", "folder for the pictures", ".");
        var command = new Command("plot", "Draw measured tables as SVG.") { tables, folder };
        command.SetAction(parsed =>
        {
            var rows = parsed.GetValue(tables)!.SelectMany(BenchCsvReader.Read).ToArray();
            Directory.CreateDirectory(parsed.GetValue(folder)!);
            var drawn = 0;
            foreach (var (name, chart) in BenchPlots.Of(rows))
            {
                var path = Path.Combine(parsed.GetValue(folder)!, $"{name}.svg");
                AtomicFile.Write(path, stream => stream.Write(System.Text.Encoding.UTF8.GetBytes(chart.Draw())));
                Console.WriteLine(path);
                drawn++;
            }
            if (drawn == 0)
                throw new SaeException("there is nothing to draw: no row of these tables has a time",
                    kind: SaeErrorKind.Files);
            return 0;
        });
        return command;
    }
}
