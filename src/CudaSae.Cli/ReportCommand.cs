using System.CommandLine;
using CudaSae.Backends;
using CudaSae.Insight;
using CudaSae.Report;
using Spectre.Console;

namespace CudaSae.Cli;

/// <summary>cudasae report: what is known of a run as one page to look at, and as numbers.</summary>
static class ReportCommand
{
    /// <summary>What is found out about an SAE from its rows for the page. A piece that has something to show adds a line here; null leaves one out.</summary>
    static readonly Func<Sae, ReportSubject, ParseResult, ReportPiece?>[] Pieces =
        [(sae, subject, _) => ReportPiece.Evaluation(sae, subject), (sae, subject, _) => ReportPiece.Diagnostics(sae, subject), LatentOptions.Piece];

    public static Command Create()
    {
        var folder = new Argument<string>("folder") { Description = "a run, the file or folder of an SAE of any layout that convert reads, or a folder that figures were left in" };
        var data = new Argument<string[]>("data") { Description = "activation files to look at; none for the held-out rows of the run", Arity = ArgumentArity.ZeroOrMore };
        var tensor = DataFiles.TensorOption();
        var rows = Options.Optional("--rows", "rows that are looked at; all held-out ones if not given", 1L,
            long.MaxValue);
        var output = new Option<string?>("--out") { Description = "the page; report.html in the folder if not given" };
        var csv = new Option<string?>("--csv") { Description = "folder for the numbers, one file a figure" };
        var json = new Option<string?>("--json") { Description = "file for the numbers, all figures" };
        var backend = Settings.NewBackend("auto, cuda, cpu or emulator");
        var command = new Command("report", "One HTML page of pictures about a run: training, held-out rows, and whatever other commands found out.") { folder, data, tensor, rows, output, csv, json, backend };
        LatentOptions.AddTo(command);
        command.SetAction(parsed =>
        {
            using var subject = ReportSubject.Open(parsed.GetValue(folder)!, parsed.GetValue(data) ?? [], parsed.GetValue(tensor), parsed.GetValue(rows));
            if (subject.Without is { } why) AnsiConsole.MarkupLineInterpolated($"[yellow]{why}{(subject.Record is null ? "" : ": curves of the training only")}[/]");
            var parts = Collect(subject, parsed.GetValue(backend), parsed);
            Section[] sections = [.. parts.Sections.OrderBy(s => s.Order)];
            if (sections.Length == 0 && parts.Blobs.Count == 0) throw new SaeException($"{subject.Folder} holds nothing to report: no log, no record, no figures; name a run, or an SAE and activation files");
            foreach (var section in sections) Print(section);
            var page = parsed.GetValue(output) ?? Path.Combine(subject.Folder, "report.html");
            ReportPage.Write(page, subject.Title, sections, parts.Blobs);
            if (parsed.GetValue(csv) is { } to) FigureCsv.Write(to, sections);
            if (parsed.GetValue(json) is { } file) PlainSections.Write(file, sections);
            AnsiConsole.MarkupLineInterpolated($"{sections.Sum(s => s.Figures.Length)} figures in [bold]{page}[/] ({new FileInfo(page).Length / 1e6:0.0} MB)");
            return 0;
        });
        return command;
    }

    /// <summary>Training, what is found out now, and what other commands left in the folder; of two sections of one name the one that is made now.</summary>
    static ReportParts Collect(ReportSubject subject, BackendKind kind, ParseResult parsed)
    {
        var parts = new ReportParts();
        if (subject.Rows is { } rows)
        {
            using var sae = new Sae(rows.Model, kind, (int)Math.Clamp(rows.Rows, 1, 1024));
            ReportPiece[] pieces = [.. Pieces.Select(make => make(sae, subject, parsed)).OfType<ReportPiece>()];
            var leftOut = CodePass.Run(sae, rows.Data, rows.FirstRow, rows.Rows, [.. pieces.SelectMany(piece => piece.Visitors)]);
            foreach (var piece in pieces) piece.Finish(parts, leftOut);
        }
        if (TrainingCurves.Of(subject.Folder, subject.Record, parts.HeldOutFvu) is { } training) parts.Sections.Add(training);
        parts.Sections.AddRange(Section.Load(subject.Folder).Where(saved => parts.Sections.All(made => made.Id != saved.Id)));
        return parts;
    }

    static void Print(Section section)
    {
        AnsiConsole.MarkupLineInterpolated($"[bold]{section.Title}[/]");
        foreach (var figure in section.Figures) if (figure.Finding != "") AnsiConsole.MarkupLineInterpolated($"  {figure.Finding}");
    }
}
