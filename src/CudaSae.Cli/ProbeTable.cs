using CudaSae.Lab.Insight.Probes;
using Spectre.Console;

namespace CudaSae.Cli;

/// <summary>Prints the findings of probes: the measures, and the properties that latents predict best and
/// worst.</summary>
static class ProbeTable
{
    const int Ends = 10;

    public static void Print(ProbeFindings findings)
    {
        var results = findings.Probe.Results;
        int[] order = [.. findings.Decidable.OrderByDescending(p => results[p].ByAuroc is { Latent: >= 0 } best
            ? best.Score.Separation : 0)];
        var table = new Table();
        foreach (var name in (string[])["property", "rows", "latent", "AUROC", "held out", "F1", "held out"])
            table.AddColumn(name == "property" ? new TableColumn(name) : new TableColumn(name).RightAligned());
        foreach (var (i, p) in order.Index())
        {
            if (i == Ends && order.Length > 2 * Ends) table.AddRow("…");
            if (i >= Ends && i < order.Length - Ends) continue;
            var (best, chosen) = (results[p].ByAuroc, results[p].ChosenByAuroc);
            table.AddRow(Markup.Escape(findings.Labels.Name(findings.Labels.Properties[p])),
                $"{findings.Labels.Properties[p].Positives}",
                best.Latent < 0 ? "–" : $"{(best.Score.Auroc < 0.5 ? "¬" : "")}{best.Latent}",
                Show(best.Latent < 0 ? double.NaN : best.Score.Separation),
                Show(chosen.Score.Auroc < 0.5 ? 1 - findings.Held[p].Auroc : findings.Held[p].Auroc),
                Show(results[p].ByF1.Score.F1), Show(findings.Held[p].F1));
        }
        AnsiConsole.Write(table);
        StyledText.Line($"coverage [bold]{Show(findings.Coverage)}[/] ({Show(findings.CoverageHeldOut)} held out), ",
            $"board reconstruction [bold]{Show(findings.Board.F1)}[/] (precision {Show(findings.Board.Precision)}, ",
            $"recall {Show(findings.Board.Recall)}; {findings.Board.Properties} of {findings.Decidable.Length} ",
            $"properties have a precise latent)");
        PrintSparse(findings);
        if (findings.Passes > 1)
            StyledText.Line($"codes did not fit into --memory: the rows were encoded {findings.Passes} times");
    }

    static void PrintSparse(ProbeFindings findings)
    {
        if (findings.Sparse.Length == 0) return;
        var ks = string.Join(", ",
            findings.Options.K.Select((k, i) => $"k = {k}: {Show(findings.Sparse.Average(s => s.Sparse[i].F1))}"));
        var dense = findings.Sparse[0].Dense is null ? ""
            : $"; raw activations {Show(findings.Sparse.Average(s => s.Dense!.Value.F1))}";
        StyledText.Line($"mean F1 of probes on {findings.Sparse.Length} properties, held out: {ks}{dense}; always yes ",
            $"{Show(findings.Sparse.Average(s => s.Blind.F1))}");
    }

    static string Show(double value) => double.IsFinite(value) ? $"{value:0.0000}" : "–";
}
