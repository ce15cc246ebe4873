using CudaSae.Lab.Insight;
using CudaSae.Lab.Report;
using CudaSae.Runs;

namespace CudaSae.Cli;

/// <summary>The contents of a report's page.</summary>
sealed class ReportParts
{
    public List<Chapter> Chapters { get; } = [];

    /// <summary>The data of the page's panels, by the name of the panel.</summary>
    public Dictionary<string, byte[]> Blobs { get; } = [];

    /// <summary>FVU on the run's own held-out rows; null if other rows or none were measured.</summary>
    public double? HeldOutFvu { get; set; }
}

/// <summary>A part of a report that measures an SAE on its rows.</summary>
/// <param name="Name">Name of the added content, for people.</param>
/// <param name="Visitors">Visitors for the single pass over the rows that all pieces share.</param>
/// <param name="Finish">Adds the result. Its second argument is the number of rows that the pass left out.</param>
sealed record ReportPiece(string Name, ICodeVisitor[] Visitors, Action<ReportParts, long> Finish)
{
    /// <summary>Measures the SAE on rows that were not trained on, or on the named rows.</summary>
    public static ReportPiece Evaluation(Sae sae, ReportSubject subject)
    {
        var totals = EvaluationTotals.For(sae);
        return new("Held-out evaluation", [totals], (parts, leftOut) =>
        {
            var evaluation = totals.Finish(leftOut);
            if (!subject.OtherData) parts.HeldOutFvu = evaluation.Fvu;
            parts.Chapters.Add(HeldOut.Chapter(evaluation, sae.Model.Summary, sae.Spec.Transcoder is not null));
        });
    }

    /// <summary>Measures the diagnostics; null if <c>cudasae inspect</c> has already left the same in the
    /// folder.</summary>
    /// <param name="members">Records a chapter that cannot be made.</param>
    public static ReportPiece? Diagnostics(Sae sae, ReportSubject subject, Members members)
    {
        var rows = subject.Rows!;
        if (!subject.OtherData && Lab.Insight.Diagnostics.AreSaved(rows)) return null;
        var first = new DiagnosticPass(sae);
        return new("Diagnostics", first.Visitors, (parts, leftOut) =>
        {
            foreach (var (title, make) in Lab.Insight.Diagnostics.LazyChapters(sae, rows, first, leftOut))
                if (members.Get(title, make, Members.IsOfFile) is { } chapter) parts.Chapters.Add(chapter);
        });
    }
}
