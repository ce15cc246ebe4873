using System.CommandLine;
using CudaSae.Files;
using CudaSae.Lab.Insight.Images;
using CudaSae.Lab.Synthetic;
using CudaSae.Model;
using CudaSae.Numerics;
using Spectre.Console;

namespace CudaSae.Cli;

/// <summary>The command cudasae toy trains toy models of superposition and SAEs of their hidden layers, and measures
/// how well the SAEs find the features.</summary>
static class ToyCommand
{
    static readonly ToyOptions Default = new();
    static readonly double[] Sparsities = [0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99];

    public static Command Create()
    {
        var features = Options.New("--features", "n: features of the toy model", Default.Features, 1, int.MaxValue);
        var hidden = Options.New("--hidden", "m: its hidden dimensions", Default.Hidden, 1, int.MaxValue);
        var sparsity =
            Options.New("--sparsity",
            "S of the study that is shown feature by feature: the probability that a feature is 0", Default.Sparsity, 0,
            1);
        var importance = Options.New("--importance", "weight of feature i in the loss: this to the power i",
            Default.Importance, 0, 1);
        var steps = Options.New("--steps", "steps of the toy model", Default.Steps, 1, int.MaxValue);
        var latents = Options.Optional(SpecSettings.Latents.Flag, "n of the SAEs [default: twice --features]",
            SpecSettings.Latents.Values!);
        var preset = Options.New("--preset", "recipe of the SAEs, as in train", SpecDefaults.Preset);
        var sweep = new Option<string?>("--sweep")
        {
            Description = "sparsities of the other studies, separated by commas "
                + $"[default: {string.Join(',', Sparsities)}]"
        };
        var rows = Options.New("--rows", "rows of the hidden layer", 65_536, 1000, int.MaxValue);
        var seed = Options.New("--seed", "seed of models, rows and SAEs", Default.Seed);
        var output = new Option<string>("--out")
        {
            Description = "folder: hidden.npy, toy.safetensors, the SAE, and the figures for cudasae report",
            Required = true
        };
        var command = new Command("toy",
            "Train toy models of superposition, and SAEs on their activations.") { features,
            hidden, sparsity, importance, steps, latents, preset, sweep, rows, seed, output };
        command.SetAction(parsed =>
        {
            var options = new ToyOptions
            {
                Features = parsed.GetValue(features), Hidden = parsed.GetValue(hidden),
                Sparsity = parsed.GetValue(sparsity), Importance = parsed.GetValue(importance),
                Steps = parsed.GetValue(steps), Seed = parsed.GetValue(seed),
            }.Validate();
            var sae = new ToySaeOptions(parsed.GetValue(preset)!, parsed.GetValue(latents) ?? 2 * options.Features,
                parsed.GetValue(rows));
            var folder = parsed.GetValue(output)!;
            return Run(options, sae, Listed(parsed.GetValue(sweep)), folder, ImagesCommand.Command(parsed)).ExitCode;
        });
        return command;
    }

    static double[] Listed(string? text)
    {
        if (text is null) return Sparsities;
        return [.. text.Split(',')
            .Select(s => Forms.Within(s, 0.0, 1.0)
            ?? throw new SaeException($"--sweep {text}: it must be numbers from 0 to 1 separated by commas, such as "
            + $"0.5,0.9"))];
    }

    /// <returns>The sparsities of the sweep that failed.</returns>
    static Members Run(ToyOptions options, ToySaeOptions sae, double[] sparsities, string folder, string command)
    {
        using var taken = FolderLock.Take(folder, "choose another --out");
        List<ToyStudy> sweep = [];
        var members = new Members();
        try
        {
            var table = new Table().AddColumns("S", "represented", "recovered", "mean cosine", "SAE FVU", "SAE L0");
            foreach (var s in sparsities.Append(options.Sparsity).Distinct().Order())
            {
                ToyStudy Study() => ToyStudy.Run(options with { Sparsity = s }, sae);
                var made = s == options.Sparsity ? Study() : members.Get($"S {s:0.###}", Study, Members.IsOfRun);
                if (made is not { } study)
                {
                    table.AddRow($"{s:0.###}", "failed", "", "", "", "");
                    continue;
                }
                sweep.Add(study);
                table.AddRow($"{s:0.###}", $"{study.Features.Length} of {options.Features}",
                    $"{study.Recovered:0.0 %}", $"{study.Cosines.DefaultIfEmpty(0).Average():0.000}",
                    Ratio.Text(study.Evaluation.Fvu, "0.0000"), $"{study.Evaluation.L0:0.00}");
            }
            var flat = options with { Features = 5, Hidden = 2, Sparsity = 0.95, Importance = 1 };
            using var plane = members.Get("two dimensions", () => ToyStudy.Run(flat, sae with { Latents = 10 }),
                Members.IsOfRun);
            var main = sweep.First(s => s.Model.Options.Sparsity == options.Sparsity);
            Save(main, folder);
            ToyChapter.Of(main, plane, sweep, command).Save(folder);
            AnsiConsole.Write(table);
            StyledText.Line($"Saved in [bold]{folder}[/]; show it with: cudasae report {folder}");
            return members;
        }
        finally
        {
            foreach (var study in sweep) study.Dispose();
        }
    }

    /// <summary>Saves the main study: data, model and SAE.</summary>
    static void Save(ToyStudy study, string folder)
    {
        study.Model.Save(Path.Combine(folder, "toy.safetensors"));
        AtomicFile.Write(Path.Combine(folder, "hidden.npy"), stream =>
        {
            stream.Write(NpyFile.MakeHeader("<f4", study.Data.Rows, study.Data.Width));
            var row = new byte[study.Data.RowBytes];
            for (long i = 0; i < study.Data.Rows; i++)
            {
                study.Data.Read(i, row);
                stream.Write(row);
            }
        });
        AtomicFile.Write(Path.Combine(folder, "hidden.dictionary.npy"), stream =>
        {
            stream.Write(NpyFile.MakeHeader("<f4", study.Features.Length, study.Data.Width));
            foreach (var i in study.Features)
                foreach (var w in study.Model.Column(i)) stream.Write(BitConverter.GetBytes((float)w));
        });
        study.Sae.Save(folder);
    }
}
