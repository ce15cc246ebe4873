using System.Globalization;
using CudaSae.Files;
using CsvHelper;

namespace CudaSae.Cli;

/// <summary>Writes rows of benchmarks as CSV, each with its machine. A value that was not measured is empty.
/// docs/internals/benchmarks.md defines the columns.</summary>
static class BenchCsv
{
    static readonly (string Name, Func<BenchMachine, BenchRow, object?> Of)[] Columns =
    [
        ("date", (m, _) => m.Date.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture)),
        ("version", (m, _) => m.Version),
        ("backend", (m, _) => m.Backend), ("device", (m, _) => m.Device), ("driver", (m, _) => m.Driver),
        ("bench", (_, r) => r.Bench), ("name", (_, r) => r.Name),
        ("rows", (_, r) => r.Shape.Rows), ("width", (_, r) => r.Shape.Width), ("latents", (_, r) => r.Shape.Latents),
        ("active", (_, r) => r.Shape.Active), ("dead", (_, r) => r.Shape.Dead),
        ("repeats", (_, r) => r.Time?.Repeats), ("median_ms", (_, r) => r.Time?.Median),
        ("min_ms", (_, r) => r.Time?.Min), ("max_ms", (_, r) => r.Time?.Max),
        ("flops", (_, r) => r.Flops), ("bytes", (_, r) => r.Bytes), ("tflop_s", (_, r) => r.TeraflopsPerSecond),
        ("gb_s", (_, r) => r.GigabytesPerSecond),
        ("floor_ms", (_, r) => r.FloorMs), ("percent_of_ceiling", (_, r) => r.PercentOfCeiling),
        ("tokens", (_, r) => r.Tokens), ("tokens_s", (_, r) => r.TokensPerSecond),
        ("gemm_tflop_s", (m, _) => m.Ceilings?.GemmGflops / 1e3), ("copy_gb_s", (m, _) => m.Ceilings?.CopyGigabytes),
        ("max_error", (_, r) => r.MaxError), ("checksum", (_, r) => r.Checksum is { } c ? $"{c.First:x16}" : null),
        ("checksum_again", (_, r) => r.Checksum is { } c ? $"{c.Second:x16}" : null),
        ("planned_bytes", (_, r) => r.Memory?.Planned), ("taken_bytes", (_, r) => r.Memory?.Taken),
        ("note", (_, r) => r.Note),
    ];

    public static IReadOnlyList<string> Names { get; } = [.. Columns.Select(c => c.Name)];

    public static void Write(string path, IEnumerable<(BenchMachine Machine, BenchRow Row)> rows) =>
        AtomicFile.Write(path, stream =>
    {
        using var text = new StreamWriter(stream, leaveOpen: true);
        using var csv = CsvWriter.Create(text, new CsvWriterOptions { NewLine = "\n" });
        foreach (var column in Columns) csv.WriteField(column.Name);
        csv.EndRecord();
        foreach (var (machine, row) in rows)
        {
            foreach (var column in Columns) csv.WriteField(Cell(column.Of(machine, row)));
            csv.EndRecord();
        }
        csv.Flush();
    });

    static string Cell(object? value) =>
        value switch
        {
            null => "",
            double x => x.ToString("G7", CultureInfo.InvariantCulture),
            _ => Convert.ToString(value, CultureInfo.InvariantCulture)!
        };
}
