using System.CommandLine;
using CudaSae.Backends;
using CudaSae.Lab.Report;
using Spectre.Console;

namespace CudaSae.Cli;

/// <summary>The command cudasae report writes the findings about a run as one page and as numbers.</summary>
static class ReportCommand
{
    /// <summary>Pieces that measure an SAE on its rows for the page. A new piece adds a line here; null leaves a piece
    /// out.</summary>
    static readonly Func<Sae, ReportSubject, ParseResult, Members, ReportPiece?>[] Pieces =
    [
        (sae, subject, _, _) => ReportPiece.Evaluation(sae, subject),
        (sae, subject, _, members) => ReportPiece.Diagnostics(sae, subject, members),
        (sae, subject, parsed, _) => LatentOptions.Piece(sae, subject, parsed),
    ];

    public static Command Create()
    {
        var folder = new Argument<string>("folder")
        {
            Description =
                "a run, the file or folder of an SAE of any layout that convert reads, or a folder that holds figures"
        };
        var data = new Argument<string[]>("data")
        {
            Description = "activation files to measure on; none for the held-out rows of the run",
            Arity = ArgumentArity.ZeroOrMore
        };
        var tensor = DataOptions.Tensor();
        var beside = Beside.Option();
        var rows = Options.Optional("--rows", "most rows to measure on; all held-out ones if not given", 1L,
            long.MaxValue);
        var output = new Option<string?>("--out")
        {
            Description = "file of the page; report.html in the folder if not given"
        };
        var csv = new Option<string?>("--csv") { Description = "folder for the numbers, one file for each figure" };
        var json = new Option<string?>("--json") { Description = "file for the numbers of all figures" };
        var backend = Settings.NewBackend("where to compute; auto takes a GPU if there is one");
        const string about =
            "Write one HTML page of figures about a run: training, held-out rows, and the findings of other commands.";
        var command = new Command("report", about) { folder, data, tensor, beside, rows, output, csv, json, backend };
        var kind = new KindOption();
        LatentOptions.AddTo(command);
        kind.AddTo(command);
        command.SetAction(parsed =>
        {
            var members = new Members();
            using var subject = ReportSubject.Open(parsed.GetValue(folder)!, parsed.GetValue(data) ?? [],
                parsed.GetValue(tensor), parsed.GetValue(beside) ?? [], parsed.GetValue(rows), members,
                kind.Of(parsed));
            var page = parsed.GetValue(output) ?? Path.Combine(subject.Folder, "report.html");
            foreach (var written in new[] { page, parsed.GetValue(csv), parsed.GetValue(json) }.OfType<string>())
                RunFolder.RequireFreeFor(written);
            if (subject.Without is { } why)
                StyledText.Line($"[yellow]{why}{(subject.Record is null ? "" : ": curves of the training only")}[/]");
            var parts = Collect(subject, parsed.GetValue(backend), parsed, members);
            Chapter[] chapters = [.. parts.Chapters.OrderBy(s => s.Order)];
            if (chapters.Length == 0 && parts.Blobs.Count == 0)
                throw new SaeException($"{subject.Folder} holds nothing to report: no log, no record, no figures; name "
                    + "a run, or an SAE and activation files");
            if (members.Refused.Count > 0) chapters = [.. chapters, LeftOut(members)];
            foreach (var chapter in chapters) Print(chapter);
            ReportPage.Write(page, subject.Title, chapters, parts.Blobs);
            if (parsed.GetValue(csv) is { } to) FigureCsv.Write(to, chapters);
            if (parsed.GetValue(json) is { } file) PlainChapters.Write(file, chapters);
            StyledText.Line($"{chapters.Sum(s => s.Figures.Length)} figures in [bold]{page}[/] ",
                $"({new FileInfo(page).Length / 1e6:0.0} MB)");
            return members.ExitCode;
        });
        return command;
    }

    /// <summary>Collects the training chapter, the chapters measured now, and those that other commands left in the
    /// folder. Of two chapters with one name it takes the one measured now.</summary>
    static ReportParts Collect(ReportSubject subject, BackendKind kind, ParseResult parsed, Members members)
    {
        var parts = new ReportParts();
        if (subject.Rows is { } rows)
        {
            using var sae = new Sae(rows.Model, kind, SaeRows.BatchRows(rows.Rows.Count));
            ReportPiece[] pieces =
                [.. Pieces.Select(make => make(sae, subject, parsed, members)).OfType<ReportPiece>()];
            var leftOut = 0L;
            ICodeVisitor[] visitors = [.. pieces.SelectMany(piece => piece.Visitors)];
            void Pass() => leftOut = CodePass.Run(sae, rows.Rows, visitors);
            if (members.Try(string.Join(", ", pieces.Select(piece => piece.Name)), Pass, Members.IsOfFile))
                foreach (var piece in pieces)
                    members.Try(piece.Name, () => piece.Finish(parts, leftOut), Members.IsOfFile);
        }
        Chapter? Training() => TrainingCurves.Of(subject.Folder, subject.Record, parts.HeldOutFvu);
        if (members.Get("Training", Training, Members.IsOfFile) is { } training) parts.Chapters.Add(training);
        foreach (var (id, path) in Chapter.Files(subject.Folder))
            if (IsNew(id) && members.Get(id, () => Saved(path), Members.IsOfFile) is { } saved && IsNew(saved.Id))
                parts.Chapters.Add(saved);
        return parts;

        bool IsNew(string id) => parts.Chapters.All(made => made.Id != id);
    }

    /// <summary>Reads a chapter from its file and checks that the columns of its figures fit together.</summary>
    static Chapter Saved(string path)
    {
        var chapter = Chapter.Read(path);
        foreach (var figure in chapter.Figures) FigureColumns.Of(figure);
        return chapter;
    }

    /// <summary>Returns a chapter that lists the missing chapters with the reasons.</summary>
    static Chapter LeftOut(Members members) => new("left-out", "Left out", 900,
    [
        new TableFigure("left-out", "Chapters that could not be made",
        [
            new("chapter", [.. members.Refused.Select(r => r.Name)]),
            new("reason", [.. members.Refused.Select(r => r.Reason)]),
        ])
        {
            Finding = members.Refused.Count == 1 ? "1 chapter is left out."
                : $"{members.Refused.Count} chapters are left out.",
        },
    ]);

    static void Print(Chapter chapter)
    {
        StyledText.Line($"[bold]{chapter.Title}[/]");
        foreach (var figure in chapter.Figures) if (figure.Finding != "") StyledText.Line($"  {figure.Finding}");
    }
}
