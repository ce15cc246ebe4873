using CudaSae.Lab.Report;
using static System.FormattableString;

namespace CudaSae.Lab.Insight.Images;

/// <summary>What a classifier loses when SAEs stand in for a hidden layer.</summary>
static class ClassifierFigures
{
    const string Definition =
        "the layer is replaced by x̂, by zeros, or by its mean over these images; CE = mean −log softmax(logits)_label "
            + "in nats; recovered = (CE_ablated − CE_x̂) / (CE_ablated − CE_own)";

    public static IEnumerable<Figure> Of(IReadOnlyList<ImageStudy> runs)
    {
        ImageStudy[] ordered = [.. runs.OrderBy(r => r.Evaluation.L0)];
        var splice = ordered[0].Splice!;
        var (own, zero, mean) = (splice.Own, splice.Zero, splice.Mean);
        (string Name, ImageStudy? Run, ClassifierScore At)[] rows = [("the layer itself", null, own),
            .. ordered.Select(r => (r.Name, (ImageStudy?)r, r.Splice!.Spliced)), ("its mean", null, mean),
            ("zeros", null, zero)];
        TableColumn Numbers(string name, int digits, Func<ImageStudy?, ClassifierScore, double?> of) =>
            new(name, Numbers: [.. rows.Select(r => of(r.Run, r.At))]) { Digits = digits };
        var (first, last) = (ordered[0], ordered[^1]);
        var finding =
            Invariant($"Accuracy is {100 * own.Accuracy:0.00} % with the layer itself, ")
                + Invariant($"{100 * first.Splice!.Spliced.Accuracy:0.00} % at L0 {first.Evaluation.L0:0.0} and ")
                + Invariant($"{100 * last.Splice!.Spliced.Accuracy:0.00} % at L0 {last.Evaluation.L0:0.0}; with its ")
                + "mean "
                + Invariant($"{100 * mean.Accuracy:0.00} %, with zeros {100 * zero.Accuracy:0.00} %.");
        yield return new TableFigure("downstream", "The classifier with reconstructions in the layer's place",
        [
            new("in its place", Texts: [.. rows.Select(r => r.Name)]), Numbers("L0", 1, (r, _) => r?.Evaluation.L0),
            Numbers("FVU", 4, (r, _) => r?.Evaluation.Fvu), Numbers("CE", 4, (_, d) => d.CrossEntropy),
            Numbers("accuracy %", 2, (_, d) => 100 * d.Accuracy),
            Numbers("recovered of zeros %", 2, (r, _) => 100 * r?.Splice!.Recovered(zero)),
            Numbers("recovered of the mean %", 2, (r, _) => 100 * r?.Splice!.Recovered(mean)),
        ])
        { Finding = finding, Formula = Definition };
        float[] l0 = [.. ordered.Select(r => (float)r.Evaluation.L0)], ends = [l0[0], l0[^1]];
        yield return new LinesFigure("downstream-l0", "What is kept, by L0", new("L0", "latents a row", Log: true),
            new("share"),
        [
            new("accuracy", l0, [.. ordered.Select(r => (float)r.Splice!.Spliced.Accuracy)]),
            new("CE recovered of zeros", l0, [.. ordered.Select(r => (float)r.Splice!.Recovered(zero))]),
            new("CE recovered of the mean", l0, [.. ordered.Select(r => (float)r.Splice!.Recovered(mean))]),
            new("accuracy with the layer itself", ends, [(float)own.Accuracy, (float)own.Accuracy])
            {
                Yardstick = true
            },
        ])
        { Finding = finding, Formula = Definition };
    }
}
