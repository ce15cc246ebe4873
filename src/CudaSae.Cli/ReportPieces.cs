using CudaSae.Lab.Insight;
using CudaSae.Lab.Report;
using CudaSae.Runs;

namespace CudaSae.Cli;

/// <summary>What a report's page is made of.</summary>
sealed class ReportParts
{
    public List<Chapter> Chapters { get; } = [];

    /// <summary>What panels of these names read.</summary>
    public Dictionary<string, byte[]> Blobs { get; } = [];

    /// <summary>On the run's own held-out rows; null where others, or none, were looked at.</summary>
    public double? HeldOutFvu { get; set; }
}

/// <summary>Something that a report finds out about an SAE from its rows.</summary>
/// <param name="Name">Of what it adds, for people.</param>
/// <param name="Visitors">For the one pass over the rows that all pieces share.</param>
/// <param name="Finish">Adds what came of it; told how many rows the pass left out.</param>
sealed record ReportPiece(string Name, ICodeVisitor[] Visitors, Action<ReportParts, long> Finish)
{
    /// <summary>On rows that were not trained on, or on those that were named.</summary>
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

    /// <summary>Nothing where <c>cudasae inspect</c> has left the same in the folder.</summary>
    /// <param name="members">Takes a chapter that cannot be made.</param>
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
