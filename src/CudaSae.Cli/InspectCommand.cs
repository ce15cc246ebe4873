using System.CommandLine;
using CudaSae.Formats;
using CudaSae.Lab.Insight;
using CudaSae.Lab.Report;
using CudaSae.Runs;
using Spectre.Console;

namespace CudaSae.Cli;

/// <summary>The command cudasae inspect shows the latents, the geometry and the rare cluster of a saved SAE, and how it
/// differs from other SAEs.</summary>
static class InspectCommand
{
    public static Command Create()
    {
        var run = new Argument<string>("run")
        {
            Description = "folder of a run, or file or folder of an SAE of any layout that convert reads"
        };
        var data = new Argument<string[]>("data")
        {
            Description = "activation files; none for the held-out rows of the run", Arity = ArgumentArity.ZeroOrMore
        };
        var tensor = DataOptions.Tensor();
        var beside = Beside.Option();
        var rows = Options.New("--rows", "most rows to read; the density of a latent has a resolution of 1 / rows",
            65_536L, 1L, long.MaxValue);
        var against = new Option<string[]>("--against")
        {
            Description = "another SAE of the same activations, to compare decoder rows with; repeatable"
        };
        var backend = Settings.NewBackend("where to compute; auto takes a GPU if there is one");
        const string about = "Measure latent statistics, geometry and the ultralow-density cluster of an SAE, "
            + "for the report.";
        var command = new Command("inspect", about) { run, data, tensor, beside, rows, against, backend };
        var kind = new KindOption();
        kind.AddTo(command);
        command.SetAction(parsed =>
        {
            var (folder, paths) = (parsed.GetValue(run)!, parsed.GetValue(data) ?? []);
            var (others, next) = (parsed.GetValue(against) ?? [], parsed.GetValue(beside) ?? []);
            using var subject = ReportSubject.Open(
                folder, paths, parsed.GetValue(tensor), next, parsed.GetValue(rows), kind: kind.Of(parsed));
            RunFolder.RequireFree(subject.Folder);
            var source = subject.Rows
                ?? throw new SaeException(subject.Without ?? $"{folder} holds no SAE; name one, and activation files");
            var batchRows = SaeRows.BatchRows(source.Rows.Count);
            using var sae = new Sae(source.Model, parsed.GetValue(backend), batchRows);
            StyledText.Line($"[bold]{sae.Description}[/], {source.Rows.Count} rows");
            var (members, first, totals) = (new Members(), new DiagnosticPass(sae), EvaluationTotals.For(sae));
            var leftOut =
                CodePass.Run(sae, source.Rows, [.. first.Visitors, totals]);
            EvaluationTable.PrintLine(totals.Finish(leftOut), sae.Spec);
            var chapters = Diagnostics.LazyChapters(sae, source, first, leftOut);
            var given = Given(paths, next, source.Rows.Count, kind.Text(parsed));
            foreach (var (title, make) in chapters.Concat(others.Select(other => (other, Against(sae, source, other)))))
                if (members.Get(title, make, Members.IsOfFile) is { } chapter)
                {
                    var suffix = chapter.Command.Contains(" inspect ") ? given : "";
                    Show(chapter with { Command = chapter.Command + suffix }, subject.Folder);
                }
            return members.ExitCode;
        });
        return command;
    }

    static Func<Chapter?> Against(Sae sae, RunSource source, string path) => () =>
    {
        using var other = SaeModel.Load(path);
        return Diagnostics.Against(sae, source, SaePath.Name(path), other);
    };

    static string Given(string[] paths, string[] beside, long rows, string kind) =>
        string.Concat(
            [.. paths.Select(p => $" {p}"), .. beside.Select(p => $" --beside {p}"), $" --rows {rows}", kind]);

    static void Show(Chapter chapter, string folder)
    {
        RunFolder.Add(folder, chapter);
        Console.WriteLine();
        StyledText.Line($"[bold]{chapter.Title}[/]");
        foreach (var figure in chapter.Figures) Console.WriteLine($"  {figure.Title}: {figure.Finding}");
    }
}
