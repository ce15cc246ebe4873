using System.Globalization;
using CudaSae.Lab.Report;
using CudaSae.Numerics;

namespace CudaSae.Lab.Insight.Probes;

/// <summary>What labels tell, as figures of a report.</summary>
static class ProbeSection
{
    public const int Order = 200;
    public const double GoodAuroc = 0.9;

    const int HistogramBins = 50, MostCurves = 8;

    /// <param name="grid">Height and width of the board whose squares the questions are; null for none.</param>
    /// <param name="command">That makes it again.</param>
    public static Section Of(ProbeFindings findings, (int Height, int Width)? grid, string command) =>
        new("probes", "Probes: what latents know", Order,
            [Summary(findings), BestLatents(findings), Histogram(findings), .. Sparse(findings),
                .. grid is { } g ? ProbeBoards.Of(findings, g.Height, g.Width) : []])
        { Command = command };

    static TableFigure Summary(ProbeFindings f)
    {
        var best = f.Decidable.Select(p => f.Probe.Results[p].ByAuroc.Score.Separation).ToArray();
        (string Name, double Value, string Formula)[] lines =
        [
            ("properties", f.Decidable.Length,
                $"answers that some labelled rows have and some have not, of {f.Labels.Questions.Count} questions; "
                    + $"{f.Labels.Properties.Count - f.Decidable.Length} others are left out"),
            ("mean best AUROC", best.Average(), "over properties: the greatest max(AUROC, 1 − AUROC) of any latent"),
            ($"AUROC > {Show(GoodAuroc)}", best.Count(a => a > GoodAuroc), "properties with such a latent"),
            ("coverage", f.Coverage,
                "mean over properties of the greatest F1 of any latent at any threshold (Karvonen et al. 2024)"),
            ("coverage, held out", f.CoverageHeldOut,
                "the same with latent and threshold chosen on half of the blocks, F1 measured on the other half"),
            ("board reconstruction", f.Board.F1,
                "F1 of a row's properties as precise latents predict them (precision > "
                    + $"{Show(BoardReconstruction.Precision)} at {BoardReconstruction.LeastHits} hits or more on one "
                    + $"half), mean over {f.Board.Rows} rows of the other half"),
            ("properties with a precise latent", f.Board.Properties,
                "those that such a reconstruction can predict at all"),
        ];
        return new("summary", "Coverage and board reconstruction",
            [new("measure", [.. lines.Select(l => l.Name)]),
                new("value", Numbers: [.. lines.Select(l => Finite(l.Value))]) { Digits = 4 },
                new("what", [.. lines.Select(l => l.Formula)])])
        {
            Finding =
                $"A single latent tells {best.Count(a => a > GoodAuroc)} of {best.Length} properties with AUROC above "
                    + $"{Show(GoodAuroc)}; coverage is {Show(f.Coverage)}, {Show(f.CoverageHeldOut)} held out, and "
                    + $"precise latents rebuild a row's answers with F1 {Show(f.Board.F1)}.",
            Formula =
                "AUROC = (Σ over rows with the answer of the labelled rows without it that have a smaller value + ½ of "
                    + "those with an equal one) / (positives · negatives); F1 = 2 hits / (predicted + positives)",
        };
    }

    static TableFigure BestLatents(ProbeFindings f)
    {
        (int Place, Property Property, PropertyResult Result, HeldOutScore Held)[] rows =
            [.. f.Decidable.Select(p => (p, f.Labels.Properties[p], f.Probe.Results[p], f.Held[p]))];
        TableColumn Numbers(string name,
            Func<(int Place, Property Property, PropertyResult Result, HeldOutScore Held), double> value, int digits,
            string formula) =>
            new(name, Numbers: [.. rows.Select(r => Finite(value(r)))]) { Digits = digits, Formula = formula };
        var top = rows.Where(r => r.Result.ByAuroc.Latent >= 0)
            .OrderByDescending(r => r.Result.ByAuroc.Score.Separation).ToArray();
        return new("best-latents", "The best latent for each property",
        [
            new("property", [.. rows.Select(r => f.Labels.Name(r.Property))]),
            Numbers("rows", r => r.Property.Positives, 0, "labelled rows with the answer"),
            Numbers("latent", r => r.Result.ByAuroc.Latent, 0, "greatest max(AUROC, 1 − AUROC), all rows"),
            new("sign", [.. rows.Select(r => r.Result.ByAuroc.Score.Auroc < 0.5 ? "off" : "on")])
            {
                Formula = "off: the latent is smaller with the answer than without"
            },
            Numbers("AUROC", r => r.Result.ByAuroc.Score.Separation, 4, "of that latent with that sign"),
            Numbers("AUROC held out", r => r.Result.ChosenByAuroc.Score.Auroc < 0.5 ? 1 - r.Held.Auroc : r.Held.Auroc,
                4, "latent and sign chosen on half of the blocks, measured on the other half"),
            Numbers("F1 latent", r => r.Result.ByF1.Latent, 0, "greatest F1 at its best threshold, all rows"),
            Numbers("F1", r => r.Result.ByF1.Score.F1, 4,
                "2 hits / (predicted + positives), predicting value ≥ t, best t > 0"),
            Numbers("precision", r => r.Result.ByF1.Score.Precision, 4, "hits / predicted at that t"),
            Numbers("recall", r => (double)r.Result.ByF1.Score.Hits / r.Property.Positives, 4,
                "hits / positives at that t"),
            Numbers("F1 held out", r => r.Held.F1, 4,
                "latent and t chosen on half of the blocks, measured on the other half"),
            Numbers("precise latents", r => f.BoardLatents[r.Place], 0,
                $"latents of precision > {Show(BoardReconstruction.Precision)} at {BoardReconstruction.LeastHits} hits "
                    + "or more, on the half that chooses"),
        ])
        {
            Finding = top.Length == 0 ? "No latent fires."
                : $"{f.Labels.Name(top[0].Property)} is told best (latent {top[0].Result.ByAuroc.Latent}, AUROC "
                    + $"{Show(top[0].Result.ByAuroc.Score.Separation)}), {f.Labels.Name(top[^1].Property)} worst "
                    + $"({Show(top[^1].Result.ByAuroc.Score.Separation)}).",
            Formula =
                "every latent against every property, one against the rest, on the rows that are labelled; unlisted "
                    + "values are 0 and tie",
        };
    }

    static HistogramFigure Histogram(ProbeFindings f)
    {
        float[] edges = [.. Enumerable.Range(0, HistogramBins + 1).Select(i => 0.5f + 0.5f * i / HistogramBins)],
        counts = new float[HistogramBins];
        var firing = Enumerable.Range(0, f.Probe.BestSeparation.Length).Where(l => f.Counts[l] > 0)
            .Select(l => f.Probe.BestSeparation[l]).ToArray();
        foreach (var auroc in firing) counts[Math.Min((int)((auroc - 0.5) * 2 * HistogramBins), HistogramBins - 1)]++;
        return new("latent-auroc", "Best AUROC of each latent", new("best AUROC over all properties"), new("latents"),
            edges, [new("latents", counts)])
        {
            Finding =
                $"{firing.Count(a => a > GoodAuroc)} of {firing.Length} latents that fire tell some property with "
                    + $"AUROC above {Show(GoodAuroc)}; the median latent's best is {Show(Doubles.Median(firing))}.",
            Formula =
                "max over properties of max(AUROC, 1 − AUROC), all rows; "
                    + $"{f.Probe.BestSeparation.Length - firing.Length} latents that never fire are left out; 1 is in "
                    + "the last bin",
        };
    }

    static IEnumerable<Figure> Sparse(ProbeFindings f)
    {
        if (f.Sparse.Length == 0) yield break;
        yield return SparseCurves(f);
        var (ks, dense) = (f.Options.K, f.Sparse[0].Dense is not null);
        TableColumn Numbers(string name, Func<SparseProbeResult, double> value, string formula) =>
            new(name, Numbers: [.. f.Sparse.Select(s => Finite(value(s)))]) { Digits = 4, Formula = formula };
        yield return new TableFigure("sparse-probes", "Sparse probes of each property",
        [
            new("property", [.. f.Sparse.Select(s => f.Labels.Name(f.Labels.Properties[s.Property]))]),
            new("latents", [.. f.Sparse.Select(s => string.Join(" ", s.Latents))])
            {
                Formula = "in the order in which they are taken"
            },
            .. ks.Select((k, i) =>
                Numbers($"F1, k = {k}", s => s.Sparse[i].F1, "held out; threshold from the other half")),
            .. dense ? [Numbers("F1, raw", s => s.Dense!.Value.F1, "logistic regression on all raw activations")]
                : Array.Empty<TableColumn>(),
            Numbers("F1, blind", s => s.Blind.F1, "always yes: 2p / (1 + p)"),
            .. ks.Select((k, i) => Numbers($"accuracy, k = {k}", s => s.Sparse[i].Accuracy, "held out; z > 0")),
            .. dense ? [Numbers("accuracy, raw", s => s.Dense!.Value.Accuracy, "")] : Array.Empty<TableColumn>(),
            Numbers("accuracy, blind", s => s.Blind.Accuracy, "the commoner answer"),
            .. ks.Select((k, i) => Numbers($"AUROC, k = {k}", s => s.Sparse[i].Auroc, "held out; of z")),
            .. dense ? [Numbers("AUROC, raw", s => s.Dense!.Value.Auroc, "")] : Array.Empty<TableColumn>(),
        ])
        {
            Finding = f.Sparse.Sum(s => s.Unconverged) is var open and > 0
                ? $"{open} fits stopped above a gradient of "
                    + $"{LogisticRegression.Tolerance.ToString("0e+0", CultureInfo.InvariantCulture)}."
                : "All fits converged to a gradient below "
                    + $"{LogisticRegression.Tolerance.ToString("0e+0", CultureInfo.InvariantCulture)}.",
            Formula = SparseFormula(f),
        };
    }

    static string SparseFormula(ProbeFindings f) =>
        "latents ranked by |mean with − mean without| / σ on half of the blocks of "
            + FormattableString.Invariant($"{f.Options.BlockRows} rows (seed {f.Options.Seed}); logistic regression ")
            + FormattableString.Invariant($"there with λ = {f.Options.L2} ")
            + "on standardised columns; measured on the other half (Gurnee et al. 2023, arXiv 2305.01610)";

    static LinesFigure SparseCurves(ProbeFindings f)
    {
        float[] ks = [.. f.Options.K.Select(k => (float)k)];
        float[] Flat(double y) => [.. ks.Select(_ => (float)y)];
        var mean = ks.Select((_, i) => f.Sparse.Average(s => s.Sparse[i].F1)).ToArray();
        var series = new List<Series> { new($"mean of {f.Sparse.Length} properties", ks,
            [.. mean.Select(m => (float)m)]) };
        var byGain = f.Sparse.OrderByDescending(s => s.Sparse[^1].F1 - s.Sparse[0].F1).Take(MostCurves);
        if (f.Sparse.Length > 1)
            series.AddRange(byGain.Select(s =>
                new Series(f.Labels.Name(f.Labels.Properties[s.Property]), ks,
                    [.. s.Sparse.Select(p => (float)p.F1)])));
        double? dense = f.Sparse[0].Dense is null ? null : f.Sparse.Average(s => s.Dense!.Value.F1);
        if (dense is { } raw) series.Add(new("raw activations, mean", ks, Flat(raw)) { Yardstick = true });
        var blind = f.Sparse.Average(s => s.Blind.F1);
        series.Add(new("always yes, mean", ks, Flat(blind)) { Yardstick = true });
        return new("sparse-curves", "F1 of probes on k latents", new("k", "latents", Log: true), new("F1", "held out"),
            [.. series])
        {
            Finding =
                $"One latent gives a mean F1 of {Show(mean[0])}{(ks[0] == 1 ? "" : $" (k = {ks[0]})")}, {ks[^1]} give "
                    + $"{Show(mean[^1])}; {(dense is { } d ? $"all raw activations {Show(d)}, " : "")}always yes "
                    + $"{Show(blind)}.",
            Formula = SparseFormula(f)
                + (f.Sparse.Length > MostCurves ? $"; the {MostCurves} properties that gain most from k are drawn"
                    : ""),
        };
    }

    internal static string Show(double value) => value.ToString("0.###", CultureInfo.InvariantCulture);

    static double? Finite(double value) => double.IsFinite(value) ? value : null;
}
