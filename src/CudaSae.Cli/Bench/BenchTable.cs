using System.Globalization;
using Spectre.Console;

namespace CudaSae.Cli;

/// <summary>Rows for people.</summary>
static class BenchTable
{
    public static void Print(BenchMachine machine, IReadOnlyList<BenchRow> rows)
    {
        AnsiConsole.MarkupLineInterpolated($"[bold]{machine.Backend}, {machine.Device}[/], driver {machine.Driver}, cudasae {machine.Version}, {machine.Date:yyyy-MM-dd}");
        Console.WriteLine(machine.Ceilings is { } c ? $"this machine's ceilings: {Rate(c.GemmGflops / 1e3)} TFLOP/s in a product, {c.CopyGigabytes:0.0} GB/s in a copy" : "no times: an emulated device has none");
        foreach (var shape in rows.GroupBy(row => row.Shape))
        {
            Console.WriteLine(shape.Key);
            var table = new Table().AddColumn("");
            foreach (var title in new[] { "median ms", "min", "max", "TFLOP/s", "GB/s", "% of ceiling", "max error", "two runs" }) table.AddColumn(new TableColumn(title).RightAligned());
            foreach (var row in shape)
                table.AddRow([Markup.Escape(row.Note.Length > 0 ? $"{row.Name} ({row.Note})" : row.Name), Ms(row.Time?.Median), Ms(row.Time?.Min), Ms(row.Time?.Max), Rate(row.TeraflopsPerSecond), Number(row.GigabytesPerSecond, "0.0"),
                    Number(row.PercentOfCeiling, "0"), Number(row.MaxError, "0.0e+0"), row.Repeatable switch { true => "same bits", false => "[red]DIFFERENT[/]", null => "" }]);
            AnsiConsole.Write(table);
            foreach (var row in shape)
            {
                if (row.TokensPerSecond is { } tokens && row.Name == "step") Console.WriteLine($"{tokens:N0} rows/s{(row.FloorMs is { } floor ? $"; the least a step could take here is {floor:0.00} ms" : "")}");
                if (row.Memory is { } m) Console.WriteLine($"memory: {Backends.MemoryPlan.Format(m.Planned)} planned, {Backends.MemoryPlan.Format(m.Taken)} taken");
            }
        }
    }

    static string Ms(double? ms) => Number(ms, ms < 10 ? "0.000" : "0.00");
    static string Rate(double? tera) => Number(tera, tera < 10 ? "0.000" : "0");
    static string Number(double? x, string format) => x?.ToString(format, CultureInfo.InvariantCulture) ?? "";
}
