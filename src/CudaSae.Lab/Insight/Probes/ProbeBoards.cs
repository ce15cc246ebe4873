using CudaSae.Lab.Report;
using static CudaSae.Lab.Insight.Probes.ProbeSection;

namespace CudaSae.Lab.Insight.Probes;

/// <summary>Findings on a board: question r · width + c is the square in row r and column c.</summary>
static class ProbeBoards
{
    const int MostMaps = 12;

    public static IEnumerable<Figure> Of(ProbeFindings findings, int height, int width)
    {
        var labels = findings.Labels;
        if (labels.Questions.Count != height * width)
            throw new SaeException($"a grid of {height} × {width} has {height * width} squares, the labels ask "
                + $"{labels.Questions.Count} questions; give the grid whose squares they are");
        var best = new Dictionary<(int Square, int Class), double>();
        foreach (var p in findings.Decidable)
            best[(labels.Properties[p].Question, labels.Properties[p].Class)] =
                findings.Probe.Results[p].ByAuroc is { Latent: >= 0 } found
                ? found.Score.Separation : 0.5;
        var known = new float[height * width];
        for (var square = 0; square < known.Length; square++)
            known[square] = best.Keys.Any(k => k.Square == square)
                ? best.Count(b => b.Key.Square == square && b.Value > GoodAuroc) : float.NaN;
        var most = labels.Questions.Max(q => q.Binary ? 1 : q.Classes.Length);
        yield return Map("board-known", "Classes of each square that a latent tells", height, width, known) with
        {
            From = 0,
            To = most,
            Colour = new($"classes with AUROC > {Show(GoodAuroc)}"),
            Finding =
                $"{known.Count(k => k == most)} of {known.Length} squares have a latent for every class, "
                    + $"{known.Count(k => k == 0)} for none; {known.Where(k => !float.IsNaN(k)).Sum()} of {best.Count} "
                    + "square classes in all.",
            Formula =
                $"a class is told if max over latents of max(AUROC, 1 − AUROC) > {Show(GoodAuroc)}; squares whose rows "
                    + "all have one class are empty",
        };
        foreach (var (c, name) in labels.Questions.MaxBy(q => q.Classes.Length)!.Classes.Index()
            .Where(c => best.Keys.Any(k => k.Class == c.Index)).Take(MostMaps))
            yield return Class(best, c, name, height, width);
    }

    static HeatFigure Class(Dictionary<(int Square, int Class), double> best, int c, string name, int height, int width)
    {
        float[] values = [.. Enumerable.Range(0, height * width)
            .Select(square => best.TryGetValue((square, c), out var auroc) ? (float)auroc : float.NaN)];
        var here = best.Where(b => b.Key.Class == c).ToArray();
        var (highest, lowest) = (here.MaxBy(b => b.Value), here.MinBy(b => b.Value));
        return Map($"board-class-{c}", $"Best AUROC of each square: {name}", height, width, values) with
        {
            From = 0.5f,
            To = 1,
            Colour = new("best AUROC"),
            Finding =
                $"{name}: mean {Show(here.Average(b => b.Value))}, from {Show(lowest.Value)} at row "
                    + $"{lowest.Key.Square / width}, column {lowest.Key.Square % width} to {Show(highest.Value)} at "
                    + $"row {highest.Key.Square / width}, column {highest.Key.Square % width}; "
                    + $"{here.Count(b => b.Value > GoodAuroc)} of {here.Length} squares above {Show(GoodAuroc)}.",
            Formula = "max over latents of max(AUROC, 1 − AUROC), one class against the others of its square",
        };
    }

    static HeatFigure Map(string id, string title, int height, int width, float[] values) =>
        new(id, title, [.. Enumerable.Range(0, height).Select(r => $"{r}")],
            [.. Enumerable.Range(0, width).Select(c => $"{c}")], values)
        { X = new("column"), Y = new("row") };
}
