using System.Globalization;
using CudaSae.Lab.Report;

namespace CudaSae.Lab.Downstream;

/// <summary>Results of several SAEs, or of one, as a chapter of a report.</summary>
static class DownstreamComparison
{
    const int Order = 300;

    /// <summary>One SAE's chapter: its metrics and figures.</summary>
    public static Section Of(DownstreamResult result) =>
        new("downstream", $"Downstream: spliced in at {result.Site}", Order, [.. result.Figures]);

    /// <summary>Several: a table, and the score against L0 and against the block.</summary>
    public static Section Of(IReadOnlyList<DownstreamResult> results) =>
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
            .. results[0].Metrics.Where(m => m.Group is not ("controls" or "token_stats")).Select(m =>
                new TableColumn(m.Name,
                    Numbers: [.. results.Select(r => r.Metrics.FirstOrDefault(other => other.Name == m.Name)?.Value)]) { Digits = 4,
                        Formula = m.Formula }),
        ])
        {
            Finding =
                $"Of {results.Count} SAEs {Name(best)} at {best.Site} keeps most: {best.Score.Name} "
                    + $"{Text(best.Score.Value)} at L0 {Text(best["l0"])}.",
            Formula = best.Score.Formula,
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

    /// <summary>A curve for each site and kind of which there are several.</summary>
    static IEnumerable<Figure> AgainstL0(IReadOnlyList<DownstreamResult> results)
    {
        var groups = results.GroupBy(r => (r.Site, r.Kind)).Where(g => g.Count() > 1).ToArray();
        if (groups.Length == 0) yield break;
        var most = groups.MaxBy(g => g.Count())!;
        DownstreamResult few = most.MinBy(r => r["l0"])!, many = most.MaxBy(r => r["l0"])!;
        yield return new LinesFigure("score-against-l0", "What an SAE keeps, by its L0",
            new("L0", "latents a token", Log: true), new(results[0].Score.Name),
            [.. groups.Select(g => Curve($"{g.Key.Site}, {g.Key.Kind}", g, r => r["l0"]))])
        {
            Finding =
                $"At {most.Key.Site}, {most.Key.Kind} SAEs keep {Text(few.Score.Value)} at L0 {Text(few["l0"])} and "
                    + $"{Text(many.Score.Value)} at L0 {Text(many["l0"])}.",
            Formula = results[0].Score.Formula,
        };
    }

    /// <summary>A curve for each kind of site and selection at about one L0, over the blocks.</summary>
    static IEnumerable<Figure> AgainstBlock(IReadOnlyList<DownstreamResult> results)
    {
        var groups = results.GroupBy(r => (Stem: Stem(r), r.Kind, L0: Math.Round(r["l0"])))
            .Where(g => g.Select(Block).Distinct().Count() > 1).ToArray();
        if (groups.Length == 0) yield break;
        var most = groups.MaxBy(g => g.Count())!;
        DownstreamResult worst = most.MinBy(r => r.Score.Value)!, best = most.MaxBy(r => r.Score.Value)!;
        yield return new LinesFigure("score-against-block", "What an SAE keeps, by the block that it sits in",
            new("block"), new(results[0].Score.Name),
            [.. groups.Select(g => Curve($"{g.Key.Stem}, {g.Key.Kind}, L0 {g.Key.L0}", g, r => Block(r)))])
        {
            Finding =
                $"At L0 {most.Key.L0} it is least at {worst.Site} ({Text(worst.Score.Value)}) and most at {best.Site} "
                    + $"({Text(best.Score.Value)}).",
            Formula = results[0].Score.Formula,
        };
    }

    static int Block(DownstreamResult result) =>
        int.TryParse(result.Site.AsSpan(Stem(result).Length), CultureInfo.InvariantCulture, out var block) ? block : 0;

    static string Stem(DownstreamResult result) => result.Site.TrimEnd(Digits);

    static readonly char[] Digits = [.. "0123456789"];
}
