using CudaSae.Model;
using CudaSae.Numerics;
using CudaSae.Runs;
using Spectre.Console;

namespace CudaSae.Cli;

static class EvaluationTable
{
    /// <param name="spec">Spec of the SAE. The formulas of a transcoder have y, its target, instead of x.</param>
    public static void Print(Evaluation e, SaeSpec spec)
    {
        var y = spec.Transcoder is null ? 'x' : 'y';
        var table = new Table().AddColumn("held-out").AddColumn(new TableColumn("value").RightAligned())
            .AddColumn("meaning");
        table.AddRow("rows", $"{e.Rows}", "");
        if (e.LeftOut > 0) table.AddRow("left out", $"{e.LeftOut}", "rows with NaN or infinity");
        table.AddRow("FVU", Ratio.Text(e.Fvu, "0.0000"), $"Σ‖{y}̂−{y}‖² / Σ‖{y}−{y}̄‖²"
            + (y == 'y' ? ", y the target" : "")
            + (e.Fvu is null ? ": the rows are all equal, or a sum overflows" : ""));
        foreach (var (site, fvu) in (e.SiteFvu ?? []).Index())
            table.AddRow($"FVU of site {site + 1}", Ratio.Text(fvu, "0.0000"),
                $"the same over its {spec.Sites?[site]} numbers");
        table.AddRow("L0", $"{e.L0:0.00}", "latents that fire, a row");
        table.AddRow("silent", $"{e.SilentPercent:0.00} %", "latents that fire on none of these rows");
        table.AddRow("cosine", Ratio.Text(double.IsNaN(e.Cosine) ? null : e.Cosine, "0.0000"),
            $"mean of ⟨{y}̂,{y}⟩ / ‖{y}̂‖‖{y}‖");
        table.AddRow("shrinkage", Ratio.Text(e.Shrinkage, "0.0000"), $"Σ‖{y}̂‖² / Σ⟨{y}̂,{y}⟩; 1 is unbiased");
        AnsiConsole.Write(table);
    }

    /// <summary>Prints the measures in one line, for commands that have other tables.</summary>
    public static void PrintLine(Evaluation e, SaeSpec spec)
    {
        var sites = string.Concat((e.SiteFvu ?? [])
            .Select((fvu, site) => $", of site {site + 1} {Ratio.Text(fvu, "0.0000")}"));
        var of = spec.Transcoder is null ? "" : " of the target";
        var fvu = Ratio.Text(e.Fvu, "0.0000");
        Console.WriteLine($"FVU{of} {fvu}{sites}, L0 {e.L0:0.00}, silent {e.SilentPercent:0.00} %");
    }
}
