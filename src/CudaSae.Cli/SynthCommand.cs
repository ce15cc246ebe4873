using System.CommandLine;
using CudaSae.Files;
using CudaSae.Lab.Synthetic;
using Spectre.Console;

namespace CudaSae.Cli;

/// <summary>The command cudasae synth writes toy data with a known dictionary.</summary>
static class SynthCommand
{
    static readonly SuperpositionOptions Default = new();

    public static Command Create()
    {
        var output = new Argument<string>("out") { Description = ".npy to write, with OUT.dictionary.npy beside it" };
        var features =
            Options.Optional("--features",
            $"m: rows of the dictionary [default: {Default.Features}; {AttentionSuperposition.Features} with "
            + $"--attention]", 1, int.MaxValue);
        var width = Options.New("--width", "d: width of a row; with --attention, of both heads together",
            Default.Width, 1, int.MaxValue);
        var rows = Options.New("--rows", "rows to write", Default.Rows);
        var l0 =
            Options.Optional("--l0",
            $"mean active features a row [default: {Default.L0}; 0.5 with --attention]", 0.0, 1e9);
        var correlation =
            Options.New("--correlation", "0 to 1: share of the draws that features 2j and 2j + 1 have in common",
            Default.Correlation, 0, 1);
        var noise = Options.New("--noise", "standard deviation of Gaussian noise on each coordinate", Default.Noise, 0,
            1e6);
        var zipf = Options.New("--zipf", "exponent of the features' frequencies; 0 for equal ones",
            Default.ZipfExponent, 0, 100);
        var seed = Options.New("--seed", "seed of dictionary, activity and noise", Default.Seed);
        var attention =
            Options.Flag("--attention", "five attentional features in two heads; OUT.mixing.svg pictures the mixing");
        var command = new Command("synth", "Write rows of superposed features with a known dictionary.") { output,
            features, width, rows, l0, correlation, noise, zipf, seed, attention };
        command.SetAction(parsed =>
        {
            var path = parsed.GetValue(output)!;
            RunFolder.RequireFreeFor(path);
            if (!path.EndsWith(".npy", StringComparison.Ordinal))
                throw new SaeException($"{path} is not a .npy file; give the output a name that ends in .npy");
            var heads = parsed.GetValue(attention);
            var options = new SuperpositionOptions
            {
                Features = parsed.GetValue(features) ?? (heads ? AttentionSuperposition.Features : Default.Features),
                Width = parsed.GetValue(width),
                Rows = parsed.GetValue(rows),
                L0 = parsed.GetValue(l0) ?? (heads ? 0.5 : Default.L0),
                Correlation = parsed.GetValue(correlation),
                Noise = parsed.GetValue(noise),
                ZipfExponent = parsed.GetValue(zipf),
                Seed = parsed.GetValue(seed),
            };
            using var data = heads ? AttentionSuperposition.Create(options) : new Superposition(options);
            Write(data, options, path, heads);
            return 0;
        });
        return command;
    }

    static void Write(Superposition data, SuperpositionOptions options, string path, bool heads)
    {
        string dictionary =
            Path.ChangeExtension(path, ".dictionary.npy"), picture = Path.ChangeExtension(path, ".mixing.svg");
        data.WriteRows(path);
        data.WriteDictionary(dictionary);
        if (heads) AtomicFile.WriteText(picture, AttentionSuperposition.Picture(data.Dictionary));
        var table = new Table().AddColumn("written").AddColumn(new TableColumn("shape").RightAligned())
            .AddColumn("what");
        table.AddRow(Markup.Escape(path), $"{options.Rows} × {options.Width}",
            $"rows; {options.L0:0.###} active features each, on average");
        table.AddRow(Markup.Escape(dictionary), $"{options.Features} × {options.Width}",
            $"true features; active in {100 * data.Frequency[^1]:0.###} to {100 * data.Frequency[0]:0.###} % of the "
                + "rows");
        if (heads) table.AddRow(Markup.Escape(picture), "", "the same, as a heat map");
        AnsiConsole.Write(table);
    }
}
