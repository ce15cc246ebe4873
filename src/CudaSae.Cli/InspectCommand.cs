using System.CommandLine;
using CudaSae.Backends;
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
        var data = new Argument<string[]>("data") { Description = "activation files; none for the held-out rows of the run", Arity = ArgumentArity.ZeroOrMore };
        var tensor = DataFiles.TensorOption();
        var rows = Options.New("--rows", "look at so many rows at most; a latent's density is known to 1 / rows",
            65_536L, 1L, long.MaxValue);
        var against = new Option<string[]>("--against") { Description = "another SAE of the same activations, to compare decoder rows with; repeatable" };
        var backend = Settings.NewBackend("auto, cuda, cpu or emulator");
        var command = new Command("inspect", "Latent statistics, geometry and the ultralow-density cluster of a saved SAE, saved in its folder for the report.") { run, data, tensor, rows, against, backend };
        command.SetAction(parsed =>
        {
            var (folder, paths, others) = (parsed.GetValue(run)!, parsed.GetValue(data) ?? [], parsed.GetValue(against) ?? []);
            using var subject = ReportSubject.Open(folder, paths, parsed.GetValue(tensor), parsed.GetValue(rows));
            var source = subject.Rows ?? throw new SaeException(subject.Without ?? $"{folder} holds no SAE; name one, and activation files");
            using var sae = new Sae(source.Model, parsed.GetValue(backend), (int)Math.Clamp(source.Rows, 1, 1024));
            AnsiConsole.MarkupLineInterpolated($"[bold]{sae.Description}[/], {source.Rows} rows");
            (string Name, SaeModel Model)[] models = [.. others.Select(other => (SaePath.Name(other), SaeModel.Load(other)))];
            foreach (var section in Diagnostics.Sections(sae, source, models)) Show(section with { Command =
                $"{section.Command}{Given(section, paths, source.Rows)}" }, subject.Folder);
            foreach (var (_, model) in models) model.Dispose();
            return 0;
        });
        return command;
    }

    static string Given(Section section, string[] paths, long rows) => section.Command.Contains(" inspect ")
        ? $"{string.Concat(paths.Select(p => $" {p}"))} --rows {rows}" : "";

    static void Show(Section section, string folder)
    {
        section.Save(folder);
        Console.WriteLine();
        AnsiConsole.MarkupLineInterpolated($"[bold]{section.Title}[/]");
        foreach (var figure in section.Figures) Console.WriteLine($"  {figure.Title}: {figure.Finding}");
    }
}
