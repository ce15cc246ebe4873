using CudaSae.Lab.Report;
using CudaSae.Numerics;
using static CudaSae.Lab.Insight.Histograms;

namespace CudaSae.Lab.Insight;

/// <summary>The chapter about single latents' activations.</summary>
static class LatentFigures
{
    public const string Id = "latents";
    const int EachKind = 3;
    static readonly string[] Kinds = ["most frequent", "median", "rarest"];

    /// <summary>Latents to look at closely: the most frequent, those around the median density, and the rarest that
    /// fired; nine, or as many as fired.</summary>
    public static (int Latent, string Kind)[] Chosen(LatentStatistics s)
    {
        int[] fired = [.. Enumerable.Range(0, s.Firings.Length).Where(i => s.Firings[i] > 0)
            .OrderByDescending(i => s.Firings[i])];
        if (fired.Length <= 3 * EachKind) return [.. fired.Select((f, i) => (f, Kinds[3 * i / fired.Length]))];
        var middle = (fired.Length - EachKind) / 2;
        return [.. new[] { 0, middle, fired.Length - EachKind }
            .SelectMany((start, kind) => fired.Skip(start).Take(EachKind).Select(f => (f, Kinds[kind])))];
    }

    public static Section Section(LatentStatistics s, ActivationHistogram histogram, (int Latent, string Kind)[] chosen,
        HighActivations high, long leftOut) =>
        new(Id, "Latents", 100,
        [Density(s, leftOut), L0(s), All(s), Activations(histogram, s), ChosenActivations(histogram, s, chosen),
            Gamma(s), HighShare(high), HighCount(high), HighFvu(high), Table(s, chosen)]);

    static IEnumerable<int> Fired(LatentStatistics s) =>
        Enumerable.Range(0, s.Firings.Length).Where(i => s.Firings[i] > 0);

    static HistogramFigure Density(LatentStatistics s, long leftOut)
    {
        var edges = Octaves(s.Rows);
        double[] densities = [.. Fired(s).Select(s.Density)];
        return new("density", "How often latents fire", new("density", "share of rows", Log: true), new("latents"),
            edges, [Count("latents", densities, edges)])
        {
            Finding =
                $"Of {s.Firings.Length} latents {s.Silent} ({Share((double)s.Silent / s.Firings.Length)}) fire on none "
                    + $"of the {s.Rows} rows; "
                + $"of the others half fire on less than {Share(Doubles.Median(densities))} of them, "
                + $"and {densities.Count(v => v > 0.1)} on more than 10 %.{Words.LeftOut(leftOut)}",
            Formula =
                "Rows on which a latent's value is not 0 / rows. Bins are octaves of the number of firings, from one "
                    + "firing on; silent latents are in no bin.",
        };
    }

    static HistogramFigure L0(LatentStatistics s)
    {
        var last = Array.FindLastIndex(s.RowsByL0, r => r > 0);
        var width = Math.Max(1, (last + 64) / 64);
        var edges = Linear(0, (last / width + 1) * width, last / width + 1);
        var counts = new float[edges.Length - 1];
        for (var l0 = 0; l0 <= last; l0++) counts[l0 / width] += s.RowsByL0[l0];
        var first = Array.FindIndex(s.RowsByL0, r => r > 0);
        return new("l0", "Active latents of a row", new("L0", "latents a row"), new("rows"), edges,
            [new("rows", counts)])
        {
            Finding = first == last ? $"Every one of {s.Rows} rows has {last} active latents."
                : $"Rows have {first} to {last} active latents, {s.L0:0.00} on average over {s.Rows} rows.",
            Formula = "L0 of a row: its values that are not 0.",
        };
    }

    static ScatterFigure All(LatentStatistics s)
    {
        var fired = Fired(s).ToArray();
        Column Of(string name, Func<int, double> value, string formula, bool log = true) =>
            new(name, Floats(fired.Select(value))) { Log = log, Formula = formula };
        var (x, y) = (fired.Select(i => Math.Log10(s.Density(i))).ToArray(),
            fired.Select(i => Math.Log10(s.Mean(i))).ToArray());
        return new("activations-over-density", "Activation and density of every latent that fired",
            [Of("density", s.Density, "share of rows on which it fires"),
                Of("mean", s.Mean, "mean activation where it fires"), Of("max", i => s.Max[i], "largest activation"),
                Of("mean square", s.MeanSquare, "mean squared activation where it "
                    + "fires"), Of("γ", s.Gamma, "Σ‖c‖² / Σ⟨c, r⟩", log: false)], "density", "mean")
        {
            Colour = "max", Latents = fired,
            Finding = $"Log density and log mean activation of {fired.Length} latents correlate with "
                + $"{Correlation(x, y)}; the largest activation of all is {Number(s.Max.Max())}.",
            Formula = "Activations are |values| of the code, in units of the decoder row's own length.",
        };
    }

    /// <summary>In two digits, or "undefined" where one side does not vary.</summary>
    internal static string Correlation(double[] x, double[] y)
    {
        var (a, b) = (Doubles.Moments(x), Doubles.Moments(y));
        return Ratio.Text(Ratio.Of(x.Zip(y, (u, v) => (u - a.Mean) * (v - b.Mean)).Sum(),
            x.Length * a.Deviation * b.Deviation), "0.00");
    }

    static HistogramFigure Activations(ActivationHistogram histogram, LatentStatistics s)
    {
        var counts = histogram.OfAll;
        var total = counts.Sum();
        return new("activations", "All activations", new("activation", Log: true), new("entries"),
            ActivationHistogram.Edges, [new("all latents", Floats(counts.Select(c => (double)c)))])
        {
            Finding = total == 0 ? "No latent fired."
                : $"Half of {total} activations are below {Number(Quantile(0.5))}, a hundredth above "
                    + $"{Number(Quantile(0.99))}.",
            Formula =
                $"All values of the codes of {s.Rows} rows, ten bins a decade; the first and the last take what lies "
                    + "outside. Quantiles are upper ends of bins.",
        };

        double Quantile(double share)
        {
            long below = 0;
            for (var bin = 0; ; bin++)
                if ((below += counts[bin]) >= share * total) return ActivationHistogram.Edges[bin + 1];
        }
    }

    static HistogramFigure ChosenActivations(ActivationHistogram histogram, LatentStatistics s,
        (int Latent, string Kind)[] chosen) =>
        new("activations-chosen", "Activations of some latents",
        new("activation", Log: true), new("share of its firings"), ActivationHistogram.Edges,
        [.. chosen.Select((c, place) =>
            new Bins($"{c.Kind}: {c.Latent}",
                Floats(histogram.Of(place).Select(v => (double)v / s.Firings[c.Latent]))))])
        {
            Finding = chosen.Length == 0 ? "No latent fired."
            : "Median of mean activations: "
                + $"{string.Join(", ", chosen.GroupBy(c => c.Kind).Select(g => $"{g.Key} {Number(Doubles.Median(g.Select(c => s.Mean(c.Latent))))}"))}.",
            Formula =
            "The most frequent latents, those around the median density, and the rarest that fired; each latent's bins "
                + "add up to 1.",
        };

    static HistogramFigure Gamma(LatentStatistics s)
    {
        double[] gammas = [.. Fired(s).Select(s.Gamma).Where(g => !double.IsNaN(g))];
        var edges = Linear(0, 2, 40);
        return new("gamma", "γ: are values too small?", new("γ of a latent"), new("latents"), edges,
            [Count("latents", gammas, edges)])
        {
            Finding = !double.IsFinite(s.TotalGamma) ? "γ is undefined: the reconstructions or their targets are 0."
                : $"Overall γ is {s.TotalGamma:0.0000}, so reconstructions are "
                + $"{Math.Abs(100 * (1 - s.TotalGamma)):0.00} % too {(s.TotalGamma < 1 ? "short" : "long")}; "
                + $"of single latents the median is {Doubles.Median(gammas):0.000}, "
                + $"{Share((double)gammas.Count(g => g < 1) / gammas.Length)} are below 1, and "
                + $"{Fired(s).Count() - gammas.Length} have none, because what they add points away from what is left.",
            Formula =
                "γ = Σ‖x̂‖² / Σ⟨x̂, y⟩ over all rows (Rajamanoharan et al. 2024, arXiv 2404.16014). Of latent i the "
                    + "same over the rows on which it fires, "
                + "with its contribution c = value · d_i in the place of x̂ and "
                + "r = y − x̂ + c, what the others leave to it, in that of y: 1/γ_i is the factor on its values with "
                + "the least squared error. The last bin takes all above.",
        };
    }

    static LinesFigure Lines(string id, string title, string y, string unit, Func<int, double> value, string finding,
        string formula) =>
        new(id, title, new("level", "% of the latent's own maximum"), new(y, unit),
        [new(y, Floats(HighActivations.Levels.Select(l => 100 * l)),
            Floats(Enumerable.Range(0, HighActivations.Levels.Length).Select(value)))])
        {
            Finding = finding,
            Formula = formula
        };

    static LinesFigure HighShare(HighActivations h) =>
        Lines("high-rows", "Rows with a high activation", "rows", "share", h.RowShare,
        $"{Share(h.RowShare(4))} of the rows have a latent above half of its own maximum, {Share(h.RowShare(8))} one "
            + "above 90 %.",
        "Rows on which some latent's activation exceeds the level times its maximum over the same rows.");

    static LinesFigure HighCount(HighActivations h) =>
        Lines("high-latents", "High activations of a row", "latents", "mean a row", h.PerRow,
        $"A row has {Number(h.PerRow(0))} latents above a tenth of their maxima and {Number(h.PerRow(4))} above half.",
        "Entries of the code above the level, a row.");

    static LinesFigure HighFvu(HighActivations h) =>
        Lines("high-fvu", "Reconstruction from high activations alone", "FVU", "", h.Fvu,
        $"With only the values above a tenth of their latents' maxima FVU is {Fvu(h, 0)}, "
            + $"with those above half {Fvu(h, 4)}.",
        "Σ‖x̂ − y‖² / Σ‖y − ȳ‖², x̂ without the values at or below the level.");

    static string Fvu(HighActivations h, int level) => Ratio.Text(Ratio.Of(h.Fvu(level), 1), "0.0000");

    static TableFigure Table(LatentStatistics s, (int Latent, string Kind)[] chosen)
    {
        TableColumn Of(string name, Func<int, double?> value, int digits = -1, string formula = "") =>
            new(name, Numbers: [.. chosen.Select(c => value(c.Latent))]) { Digits = digits, Formula = formula };
        return new("chosen", "The same latents in numbers",
            [new("kind", [.. chosen.Select(c => c.Kind)]), Of("latent", i => i, 0),
                Of("firings", i => s.Firings[i], 0, $"of {s.Rows} rows"), Of("mean", i => s.Mean(i), 4),
                Of("mean square", i => s.MeanSquare(i), 4),
                Of("max", i => s.Max[i], 4), Of("γ", i => double.IsNaN(s.Gamma(i)) ? null : s.Gamma(i), 4)])
        {
            Finding = chosen.Length == 0 ? "No latent fired."
                : $"The most frequent latent, {chosen[0].Latent}, fires on {Share(s.Density(chosen[0].Latent))} of the "
                    + "rows, "
                + $"the rarest of those that fire, {chosen[^1].Latent}, on {s.Firings[chosen[^1].Latent]} of them.",
        };
    }
}
