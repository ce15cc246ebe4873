using System.Globalization;
using CudaSae.Numerics;

namespace CudaSae.Cli;

/// <summary>Prints the rows as a table.</summary>
static class BenchTable
{
    public static void Print(BenchMachine machine, IReadOnlyList<BenchRow> rows)
    {
        Console.WriteLine($"{machine.Backend}, {machine.Device}, driver {machine.Driver}, cudasae {machine.Version}, "
            + $"{machine.Date:yyyy-MM-dd}");
        if (machine.Ceilings is { } c)
            Console.WriteLine($"this machine's ceilings: {Number(c.GemmGflops / 1e3, "0.000")} TFLOP/s in a product, "
                + $"{Number(c.CopyGigabytes, "0.0")} GB/s in a copy");
        else if (machine.Backend == "emulator") Console.WriteLine("no times: an emulated device has none");
        else Console.WriteLine("this machine's ceilings are not known");
        foreach (var shape in rows.GroupBy(row => row.Shape))
        {
            Console.WriteLine($"{shape.Key}");
            Console.WriteLine("  "
                + $"{"",-18}{"median ms",10}{"min",9}{"max",9}{"TFLOP/s",9}{"GB/s",8}{"% ceiling",11}{"max error",11}  "
                + "two runs");
            foreach (var row in shape)
                Console.WriteLine("  "
                    + $"{row.Name,-18}{Ms(row.Time?.Median),10}{Ms(row.Time?.Min),9}{Ms(row.Time?.Max),9}"
                    + $"{Rate(row.TeraflopsPerSecond),9}{Number(row.GigabytesPerSecond, "0.0"),8}"
                    + $"{Number(row.PercentOfCeiling, "0"),11}{Number(row.MaxError, "0.0e+0"),11}  "
                    + $"{row.Repeatable switch { true => "same bits", false => "DIFFERENT BITS", null => "" }}"
                    + (row.Note.Length > 0 ? $"  {row.Note}" : ""));
            foreach (var row in shape)
            {
                if (row.TokensPerSecond is { } tokens && row.Name == "step")
                    Console.WriteLine($"  {Number(tokens, "0")} rows/s"
                        + (row.FloorMs is { } floor ? $"; a step takes at least {Ms(floor)} ms here" : ""));
                if (row.Memory is { } m)
                    Console.WriteLine($"  memory: {MemoryPlan.Format(m.Planned)} planned, {MemoryPlan.Format(m.Taken)} "
                        + "taken");
            }
        }
    }

    static string Ms(double? ms) => Number(ms, ms < 10 ? "0.000" : "0.00");
    static string Rate(double? tera) => Number(tera, tera < 10 ? "0.000" : "0.0");
    static string Number(double? x, string format) => x?.ToString(format, CultureInfo.InvariantCulture) ?? "";
}
