using System.Globalization;
using CudaSae.Lab.Report;

namespace CudaSae.Lab.Downstream;

/// <summary>Makes the chapter of a report about the results of one or several SAEs.</summary>
static class DownstreamComparison
{
    const int Order = 300;

    /// <summary>The chapter of one SAE, with its metrics and figures.</summary>
    public static Chapter Of(DownstreamResult result) =>
        new("downstream", $"Downstream: spliced in at {result.Site}", Order, [.. result.Figures]);

    /// <summary>The chapter of several SAEs, with a table, and the score over L0 and over the block.</summary>
    public static Chapter Of(IReadOnlyList<DownstreamResult> results) =>
        new("downstream-comparison", "Downstream: SAEs side by side", Order,
            [Table(results), .. AgainstL0(results), .. AgainstBlock(results)]);

    static string Name(DownstreamResult result) => Path.GetFileName(Path.TrimEndingDirectorySeparator(result.Sae));

    static string Text(double value) => DownstreamFigures.Text(value);

    static TableFigure Table(IReadOnlyList<DownstreamResult> results)
    {
        var best = results.MaxBy(r => r.Score.Value)!;
        return new("scores", "SAEs in the network",
        [
            new("SAE", [.. results.Select(Name)]), new("site", [.. results.Select(r => r.Site)]),
            new("kind", [.. results.Select(r => r.Kind)]),
            .. results[0].Metrics.Where(m => m.Group is not ("controls" or "token_stats")).Select(Column),
        ])
        {
            Finding =
                $"{Name(best)} at {best.Site} has the highest score of {results.Count} SAEs: {best.Score.Name} "
                    + $"{Text(best.Score.Value)} at L0 {Text(best["l0"])}.",
            Formula = best.Score.Formula,
        };

        TableColumn Column(Metric metric) => new(metric.Name,
            Numbers: [.. results.Select(r => r.Metrics.FirstOrDefault(m => m.Name == metric.Name)?.Value)])
        {
            Digits = 4, Formula = metric.Formula
        };
    }

    static Series Curve(string name, IEnumerable<DownstreamResult> results, Func<DownstreamResult, double> x)
    {
        var sorted = results.OrderBy(x).ToArray();
        return new(name, [.. sorted.Select(r => (float)x(r))], [.. sorted.Select(r => (float)r.Score.Value)])
        {
            Labels = [.. sorted.Select(Name)]
        };
    }

    /// <summary>A curve for each site and kind with several SAEs.</summary>
    static IEnumerable<Figure> AgainstL0(IReadOnlyList<DownstreamResult> results)
    {
        var groups = results.GroupBy(r => (r.Site, r.Kind)).Where(g => g.Count() > 1).ToArray();
        if (groups.Length == 0) yield break;
        var most = groups.MaxBy(g => g.Count())!;
        DownstreamResult few = most.MinBy(r => r["l0"])!, many = most.MaxBy(r => r["l0"])!;
        yield return new LinesFigure("score-against-l0", "Score by L0",
            new("L0", "latents a token", Log: true), new(results[0].Score.Name),
            [.. groups.Select(g => Curve($"{g.Key.Site}, {g.Key.Kind}", g, r => r["l0"]))])
        {
            Finding =
                $"At {most.Key.Site}, {most.Key.Kind} SAEs keep {Text(few.Score.Value)} at L0 {Text(few["l0"])} and "
                    + $"{Text(many.Score.Value)} at L0 {Text(many["l0"])}.",
            Formula = results[0].Score.Formula,
        };
    }

    /// <summary>A curve over the blocks for each site, selection and rounded L0 with several blocks.</summary>
    static IEnumerable<Figure> AgainstBlock(IReadOnlyList<DownstreamResult> results)
    {
        var groups = results.GroupBy(r => (Stem: Stem(r), r.Kind, L0: Math.Round(r["l0"])))
            .Where(g => g.Select(Block).Distinct().Count() > 1).ToArray();
        if (groups.Length == 0) yield break;
        var most = groups.MaxBy(g => g.Count())!;
        DownstreamResult worst = most.MinBy(r => r.Score.Value)!, best = most.MaxBy(r => r.Score.Value)!;
        yield return new LinesFigure("score-against-block", "Score by block",
            new("block"), new(results[0].Score.Name),
            [.. groups.Select(g => Curve($"{g.Key.Stem}, {g.Key.Kind}, L0 {g.Key.L0}", g, r => Block(r)))])
        {
            Finding =
                $"At L0 {most.Key.L0} the score is lowest at {worst.Site} ({Text(worst.Score.Value)}) and highest at "
                    + $"{best.Site} ({Text(best.Score.Value)}).",
            Formula = results[0].Score.Formula,
        };
    }

    static int Block(DownstreamResult result) =>
        int.TryParse(result.Site.AsSpan(Stem(result).Length), CultureInfo.InvariantCulture, out var block) ? block : 0;

    static string Stem(DownstreamResult result) => result.Site.TrimEnd(Digits);

    static readonly char[] Digits = [.. "0123456789"];
}
