using CudaSae.Lab.Report;
using CudaSae.Runs;
using static System.FormattableString;

namespace CudaSae.Lab.Insight;

/// <summary>A finished member of a sweep.</summary>
/// <param name="Line">The preset and the width. Points of one line differ in their sparsity alone.</param>
sealed record SweepPoint(string Name, string Line, int Latents, double Sparsity, SweepOutcome Outcome)
{
    public double L0 => Outcome.Evaluation!.L0;

    /// <summary>FVU, or NaN where it is undefined.</summary>
    public double Fvu => Outcome.Evaluation!.Fvu ?? double.NaN;
}

/// <summary>Compares reconstruction with sparsity over the members of a sweep, as a chapter of its report.</summary>
static class Pareto
{
    /// <summary>The points that no other point beats in both L0 and FVU, by ascending L0.</summary>
    public static SweepPoint[] Front(IEnumerable<SweepPoint> points)
    {
        var front = new List<SweepPoint>();
        foreach (var point in points.OrderBy(p => p.L0).ThenBy(p => p.Fvu))
            if (front.Count == 0 || point.Fvu < front[^1].Fvu) front.Add(point);
        return [.. front];
    }

    /// <summary>FVU of a line at an L0 between its points, interpolated linearly in log FVU over log L0.</summary>
    /// <returns>The FVU; null outside the range of the points.</returns>
    public static double? At(IEnumerable<SweepPoint> line, double l0)
    {
        var points = line.OrderBy(p => p.L0).ToArray();
        for (var i = 0; i < points.Length; i++)
        {
            if (points[i].L0 == l0) return points[i].Fvu;
            if (i == 0 || points[i].L0 < l0 || points[i - 1].L0 > l0) continue;
            var t = Math.Log(l0 / points[i - 1].L0) / Math.Log(points[i].L0 / points[i - 1].L0);
            return points[i - 1].Fvu * Math.Pow(points[i].Fvu / points[i - 1].Fvu, t);
        }
        return null;
    }

    /// <param name="points">The members that were evaluated.</param>
    /// <param name="linear">FVU of PCA on the same rows by the number k of kept coordinates of a row; null without
    /// yardsticks.</param>
    public static Chapter Report(IReadOnlyList<SweepPoint> points, (double[] Components, double[] Largest)? linear,
        string command)
    {
        SweepPoint[] defined = [.. points.Where(p => double.IsFinite(p.Fvu))];
        var lines = defined.GroupBy(p => p.Line).ToDictionary(g => g.Key, g => g.OrderBy(p => p.L0).ToArray());
        return new("sweep", "Sweep", 400, [Plot(defined, lines, linear),
            Table(points, Front(defined))])
        { Command = command };
    }

    static LinesFigure Plot(SweepPoint[] points, Dictionary<string, SweepPoint[]> lines,
        (double[] Components, double[] Largest)? linear)
    {
        var front = Front(points);
        var series = lines.Select(line => Curve(line.Key, line.Value)).ToList();
        series.Add(Curve("Pareto front", front) with { Points = true });
        if (linear is { } pca && points.Length > 0)
        {
            series.Add(Yardstick("PCA, L0 components", pca.Components, points));
            series.Add(Yardstick("PCA basis, each row's L0 largest", pca.Largest, points));
        }
        return new("pareto", "Reconstruction against sparsity", new("L0", "latents a row", Log: true),
            new("FVU", Log: true), [.. series])
        {
            Finding = Finding(points, lines, front, linear?.Components),
            Formula =
                "FVU = Σ‖x̂ − x‖² / Σ‖x − x̄‖², L0 = mean count of values ≠ 0 in a row, both on the held-out rows. The "
                    + "front has the members that no other member beats in both. "
                + "PCA: eigenvectors of the training rows' covariance; x̂ = training mean + the first L0 coordinates, "
                + "or each row's L0 coordinates largest in magnitude",
        };
    }

    static Series Curve(string name, SweepPoint[] points) =>
        new(name, [.. points.Select(p => (float)p.L0)], [.. points.Select(p => (float)p.Fvu)])
        {
            Labels = [.. points.Select(p => Invariant($"{p.Name}: L0 {p.L0:0.0}, FVU {p.Fvu:0.0000}, silent ")
            + Invariant($"{p.Outcome.Evaluation!.SilentPercent:0.00} %"))],
        };

    /// <summary>A yardstick from half of the smallest to twice the largest L0 of the members. A wider range would
    /// compress the members into a corner of the plot.</summary>
    static Series Yardstick(string name, double[] unexplained, IReadOnlyList<SweepPoint> points)
    {
        var (least, most) = (0.5 * points.Min(p => p.L0), 2 * points.Max(p => p.L0));
        var k = Enumerable.Range(1, unexplained.Length - 1).Where(k => k >= least && k <= most && unexplained[k] > 1e-6)
            .ToArray();
        return new(name, [.. k.Select(k => (float)k)], [.. k.Select(k => (float)unexplained[k])]) { Yardstick = true };
    }

    /// <summary>A sentence that names the best line at one L0 and its lead. The L0 is 32 if two lines reach it, and
    /// otherwise the one nearest to 32 that most lines reach.</summary>
    public static string Finding(IReadOnlyList<SweepPoint> points, IReadOnlyDictionary<string, SweepPoint[]> lines,
        SweepPoint[] front, double[]? components = null)
    {
        if (points.Count == 0)
            return "No member has an FVU: none was evaluated, or it is undefined on held-out rows that are equal.";
        var owners = string.Join(", ",
            front.GroupBy(p => p.Line).OrderByDescending(g => g.Count()).Select(g => $"{g.Key} ({g.Count()})"));
        var start = Invariant($"{front.Length} of {points.Count} members lie on the Pareto front: {owners}.");
        var at = Reference(points, lines);
        var there = lines.Select(line => (line.Key, Fvu: At(line.Value, at))).Where(l => l.Fvu is not null)
            .OrderBy(l => l.Fvu).ToArray();
        if (there.Length == 0) return start;
        var best = Invariant($" At L0 {at:0.#} {there[0].Key} leaves the least unexplained, FVU {there[0].Fvu:0.0000}");
        if (there.Length > 1)
            best += Invariant($"; {there[1].Key} leaves {100 * (there[1].Fvu / there[0].Fvu - 1):0.0} % more");
        if (there.Length > 2)
            best += Invariant($", the last, {there[^1].Key}, {100 * (there[^1].Fvu / there[0].Fvu - 1):0.0} %");
        var k = (int)Math.Round(at);
        return start + best
            + (components is not null && k < components.Length
                ? Invariant($"; PCA with {k} components {components[k]:0.000}.") : ".");
    }

    static double Reference(IReadOnlyList<SweepPoint> points, IReadOnlyDictionary<string, SweepPoint[]> lines)
    {
        int Reaching(double l0) => lines.Values.Count(line => At(line, l0) is not null);
        return Reaching(32) >= Math.Min(2, lines.Count) ? 32
            : points.Select(p => p.L0).OrderByDescending(Reaching).ThenBy(l0 => Math.Abs(Math.Log(l0 / 32))).First();
    }

    static TableFigure Table(IReadOnlyList<SweepPoint> points, SweepPoint[] front)
    {
        TableColumn[] columns =
        [
            new("member", [.. points.Select(p => p.Name)]),
            Numbers("n", 0, p => p.Latents),
            Numbers("k or λ", -1, p => p.Sparsity),
            Numbers("L0", 2, p => p.L0),
            Numbers("FVU", 4, p => p.Outcome.Evaluation!.Fvu),
            Numbers("silent %", 2, p => p.Outcome.Evaluation!.SilentPercent) with
            {
                Formula = "latents that fire on none of the held-out rows"
            },
            Numbers("γ", 4, p => p.Outcome.Evaluation!.Shrinkage) with
            {
                Formula = "Σ‖x̂‖² / Σ⟨x̂, x⟩; 1 is unbiased (arXiv 2404.16014)"
            },
            Numbers("cosine", 4, p => p.Outcome.Evaluation!.Cosine),
            Numbers("seconds", 1, p => p.Outcome.Seconds) with { Formula = "of the member's own training" },
            new("front", [.. points.Select(p => front.Contains(p) ? "on it" : "")]),
        ];
        var best = points.MinBy(p => p.Outcome.Evaluation!.SilentPercent);
        var worst = points.MaxBy(p => p.Outcome.Evaluation!.SilentPercent);
        return new("members", "All members", columns)
        {
            Finding = best is null ? ""
                : Invariant($"The share of silent latents goes from {best.Outcome.Evaluation!.SilentPercent:0.00} % ")
                    + Invariant($"({best.Name}) to {worst!.Outcome.Evaluation!.SilentPercent:0.00} % ({worst.Name})."),
        };

        TableColumn Numbers(string name, int digits, Func<SweepPoint, double?> of) =>
            new(name, Numbers: [.. points.Select(of)]) { Digits = digits };
    }

}
