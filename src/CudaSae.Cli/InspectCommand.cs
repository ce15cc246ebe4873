using System.CommandLine;
using CudaSae.Backends;
using CudaSae.Checkpoints;
using CudaSae.Formats;
using CudaSae.Insight;
using CudaSae.Report;
using Spectre.Console;

namespace CudaSae.Cli;

/// <summary>cudasae inspect: a saved SAE's latents, geometry and rare cluster, and what sets it apart from others.</summary>
static class InspectCommand
{
    public static Command Create()
    {
        var run = new Argument<string>("run") { Description = "folder of a run, or file or folder of an SAE of any layout that convert reads" };
        var data = new Argument<string[]>("data") { Description = "activation files; none for the held-out rows of the run, or the shipped ones", Arity = ArgumentArity.ZeroOrMore };
        var tensor = DataFiles.TensorOption();
        var rows = new Option<long>("--rows") { Description = "look at so many rows at most; a latent's density is known to 1 / rows", DefaultValueFactory = _ => 65_536 };
        var against = new Option<string[]>("--against") { Description = "another SAE of the same activations, to compare decoder rows with; repeatable" };
        var backend = Settings.NewBackend("auto, cuda, cpu or emulator");
        var command = new Command("inspect", "Latent statistics, geometry and the ultralow-density cluster of a saved SAE, saved in its folder for the report.") { run, data, tensor, rows, against, backend };
        command.SetAction(parsed =>
        {
            var (folder, paths, others) = (parsed.GetValue(run)!, parsed.GetValue(data) ?? [], parsed.GetValue(against) ?? []);
            if (parsed.GetValue(rows) < 1) throw new SaeException($"--rows {parsed.GetValue(rows)} is out of range: it must be 1 or more");
            using var files = EvalCommand.Open(folder, paths, parsed.GetValue(tensor));
            var (first, count) = paths.Length > 0 ? (0, files.Held.Rows) : (files.FirstHeld, files.HeldRows);
            if (count == 0) throw new SaeException($"{folder} keeps no rows aside; name activation files");
            count = Math.Min(count, parsed.GetValue(rows));
            using var sae = new Sae(SaeModel.Load(folder), parsed.GetValue(backend), (int)Math.Clamp(count, 1, 1024));
            AnsiConsole.MarkupLineInterpolated($"[bold]{sae.Description}[/], {count} rows");
            var record = File.Exists(Path.Combine(folder, RunRecord.FileName)) ? RunRecord.Load(folder) : null;
            var source = new RunSource(folder, record, sae.Model, files.Held, first, count);     // owns nothing that is not freed here
            (string Name, SaeModel Model)[] models = [.. others.Select(other => (Path.GetFileName(Path.TrimEndingDirectorySeparator(other)), SaeModel.Load(other)))];
            foreach (var section in Diagnostics.Sections(sae, source, models)) Show(section with { Command = $"{section.Command}{Options(section, paths, count)}" }, Home(folder));
            foreach (var (_, model) in models) model.Dispose();
            return 0;
        });
        return command;
    }

    static string Options(Section section, string[] paths, long rows) => section.Command.Contains(" inspect ") ? $"{string.Concat(paths.Select(p => $" {p}"))} --rows {rows}" : "";

    /// <summary>Where the figures go: beside an SAE's file.</summary>
    static string Home(string path) => File.Exists(path) ? Path.GetDirectoryName(Path.GetFullPath(path))! : path;

    static void Show(Section section, string folder)
    {
        section.Save(folder);
        Console.WriteLine();
        AnsiConsole.MarkupLineInterpolated($"[bold]{section.Title}[/]");
        foreach (var figure in section.Figures) Console.WriteLine($"  {figure.Title}: {figure.Finding}");
    }
}
