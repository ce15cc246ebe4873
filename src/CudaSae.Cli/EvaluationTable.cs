using CudaSae.Metrics;
using Spectre.Console;

namespace CudaSae.Cli;

static class EvaluationTable
{
    public static void Print(Evaluation e)
    {
        var table = new Table().AddColumn("held-out").AddColumn(new TableColumn("value").RightAligned()).AddColumn("meaning");
        table.AddRow("rows", $"{e.Rows}", "");
        if (e.LeftOut > 0) table.AddRow("left out", $"{e.LeftOut}", "rows with NaN or infinity");
        table.AddRow("FVU", Ratio.Text(e.Fvu, "0.0000"), e.Fvu is null
            ? "Σ‖x̂−x‖² / Σ‖x−x̄‖²: these rows are all equal" : "Σ‖x̂−x‖² / Σ‖x−x̄‖²");
        table.AddRow("L0", $"{e.L0:0.00}", "latents that fire, a row");
        table.AddRow("silent", $"{e.SilentPercent:0.00} %", "latents that fire on none of these rows");
        table.AddRow("cosine", $"{e.Cosine:0.0000}", "mean of ⟨x̂,x⟩ / ‖x̂‖‖x‖");
        table.AddRow("shrinkage", Ratio.Text(e.Shrinkage, "0.0000"), "Σ‖x̂‖² / Σ⟨x̂,x⟩; 1 is unbiased");
        AnsiConsole.Write(table);
    }
}
