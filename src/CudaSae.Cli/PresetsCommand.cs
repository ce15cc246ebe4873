using System.CommandLine;
using CudaSae.Model;
using Spectre.Console;

namespace CudaSae.Cli;

/// <summary>The command cudasae presets lists the published recipes with their papers, formulas and defaults.</summary>
static class PresetsCommand
{
    public static Command Create()
    {
        var name = new Argument<string?>("name")
        {
            Description = "one preset, with every number; none for the list", Arity = ArgumentArity.ZeroOrOne
        };
        var command = new Command("presets", "List the published recipes that train --preset accepts.") { name };
        command.SetAction(parsed =>
        {
            if (parsed.GetValue(name) is { } one) Show(Preset.Named(one));
            else List();
            return 0;
        });
        return command;
    }

    static void List()
    {
        var table = new Table().AddColumns("preset", "source", "formula").ShowRowSeparators();
        foreach (var preset in Preset.All)
            table.AddRow(Markup.Escape(preset.Name), Markup.Escape(preset.Paper), Markup.Escape(preset.Formula));
        AnsiConsole.Write(table);
    }

    static void Show(Preset preset)
    {
        StyledText.Line($"[bold]{preset.Name}[/]: {preset.Paper}");
        StyledText.Line($"{preset.Formula}");
        if (preset.Published.Length > 0) StyledText.Line($"published: {preset.Published}");
        Console.WriteLine($"for d 512, n {SpecDefaults.Latents}, k {SpecDefaults.K} and the default length:");
        var (spec, config) = preset.Make(512, SpecDefaults.Latents, SpecDefaults.K);
        Console.WriteLine($"spec {SaeRecords.Write(spec).ToJsonString()}");
        Console.WriteLine($"config {SaeRecords.Write(config).ToJsonString()}");
    }
}
