using System.Globalization;
using CudaSae.Lab.Report;
using CudaSae.Numerics;

namespace CudaSae.Lab.Downstream;

/// <summary>What a splice did, as figures of a report.</summary>
static class DownstreamFigures
{
    const int Cells = 60, PlaceGroups = 32;

    internal static string Text(double value) => double.IsNaN(value) ? "undefined"
        : value.ToString("0.####", CultureInfo.InvariantCulture);

    static string Percent(double share) => (100 * share).ToString("0.#", CultureInfo.InvariantCulture) + " %";

    static double Value(IEnumerable<Metric> metrics, string name) => metrics.First(m => m.Name == name).Value;

    static TableFigure Table(Metric[] metrics, string finding) => new("metrics", "The network with the SAE spliced in",
    [
        new("metric", [.. metrics.Select(m => m.Name)]),
        new("value", Numbers: [.. metrics.Select(m => double.IsNaN(m.Value) ? (double?)null : m.Value)]),
        new("formula", [.. metrics.Select(m => m.Formula)]), new("group", [.. metrics.Select(m => m.Group)]),
    ])
    {
        Finding = finding,
        Formula =
            "Names and formulas of SAEBench's core evaluation where it has the number. x: a site's activations; x̂: "
                + "the SAE's reconstruction; x̄: their mean over these tokens; f: the code.",
    };

    /// <summary>Of a language model.</summary>
    public static Figure[] Of(Metric[] metrics, LossTotals without, LossTotals with, LossTotals zero, LossTotals mean)
    {
        double ce = Value(metrics, "ce_loss_without_sae"), spliced = Value(metrics, "ce_loss_with_sae"),
            score = Value(metrics, "ce_loss_score");
        var table = Table(metrics,
            $"The SAE (L0 {Text(Value(metrics, "l0"))}) raises the loss from {Text(ce)} to {Text(spliced)} nats a "
                + $"token: it keeps {Percent(score)} of what zero ablation destroys.");
        (string Name, LossTotals Losses)[] states = [("as it is", without), ("with the SAE", with),
            ("mean ablation", mean), ("zero ablation", zero)];
        var byPlace =
            states.Select(s => Curve(s.Name, s.Losses.ByPlace(PlaceGroups)) with { Yardstick = s.Losses != with })
            .ToArray();
        double[] more = [.. with.Each.Zip(without.Each, (a, b) => a - b)];
        var worse = more.Count(d => d > 0);
        return
        [
            table,
            new LinesFigure("loss-by-place", "Loss by place in the sequence", new("place of the token"),
                new("loss", "nats"), byPlace)
            {
                Finding =
                    $"The SAE costs {Text(Rise(without, with, first: true))} nats in the first half of the places and "
                        + $"{Text(Rise(without, with, first: false))} in the second.",
                Formula = "mean of −log p of the tokens that follow, over sequences and neighbouring places",
            },
            Histogram("loss-rise", "What the SAE adds to each token's loss", "rise of the loss", "nats",
                [("with the SAE", more)]) with
            {
                Finding =
                    $"The loss rises at {Percent((double)worse / more.Length)} of {more.Length} tokens; half of the "
                        + $"tokens change by less than {Text(Doubles.Median(more.Select(Math.Abs)))} nats.",
                Formula = "−log p(next token) with x̂ for x, less the same without",
            },
        ];
    }

    /// <summary>Of a sentence encoder.</summary>
    public static Figure[] OfCosines(Metric[] metrics, List<double> with, List<double> zero, List<double> mean) =>
    [
        Table(metrics,
            $"With the SAE (L0 {Text(Value(metrics, "l0"))}) embeddings keep a cosine of {Text(with.Average())} with "
                + $"what they were, {Text(mean.Average())} with every token's activations at their mean."),
        Histogram("embedding-cosine", "Cosine of each sentence's embedding with what it was", "cosine", "",
            [("with the SAE", [.. with]), ("mean ablation", [.. mean]), ("zero ablation", [.. zero])]) with
        {
            Finding =
                $"The worst of {with.Count} sentences keeps a cosine of {Text(with.Min())} with the SAE; with the mean "
                    + $"for every token the best keeps {Text(mean.Max())}.",
            Formula = "⟨e, e′⟩ / ‖e‖‖e′‖: e as it was, e′ with x̂, x̄ or 0 for x",
        },
    ];

    static Series Curve(string name, (float[] Places, float[] Losses) curve) => new(name, curve.Places, curve.Losses);

    /// <summary>Of the loss, in the first or the second half of the places.</summary>
    static double Rise(LossTotals without, LossTotals with, bool first)
    {
        float[] a = without.ByPlace(2).Losses, b = with.ByPlace(2).Losses;
        return (double)b[first ? 0 : ^1] - a[first ? 0 : ^1];
    }

    static HistogramFigure Histogram(string id, string title, string name, string unit,
        (string Name, double[] Values)[] series)
    {
        double low = series.Min(s => s.Values.Min()), high = series.Max(s => s.Values.Max()),
            step = Math.Max(high - low, 1e-6) / Cells;
        float[] Counts(double[] values)
        {
            var counts = new float[Cells];
            foreach (var v in values) counts[Math.Clamp((int)((v - low) / step), 0, Cells - 1)]++;
            return counts;
        }
        return new(id, title, new(name, unit), new("count"),
            [.. Enumerable.Range(0, Cells + 1).Select(i => (float)(low + i * step))],
            [.. series.Select(s => new Bins(s.Name, Counts(s.Values)))]);
    }
}
