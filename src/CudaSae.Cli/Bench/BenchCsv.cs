using System.Globalization;
using CudaSae.Files;
using CudaSae.Metrics;
using CudaSae.Text;
using CsvHelper;

namespace CudaSae.Cli;

/// <summary>Rows of benchmarks as CSV, each with its machine; docs/benchmarks.md says what each column means. What was not measured is empty.</summary>
static class BenchCsv
{
    static readonly (string Name, Func<BenchMachine, BenchRow, object?> Of)[] Columns =
    [
        ("date", (m, _) => m.Date.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture)), ("version", (m, _) => m.Version),
        ("backend", (m, _) => m.Backend), ("device", (m, _) => m.Device), ("driver", (m, _) => m.Driver),
        ("bench", (_, r) => r.Bench), ("name", (_, r) => r.Name),
        ("rows", (_, r) => r.Shape.Rows), ("width", (_, r) => r.Shape.Width), ("latents", (_, r) => r.Shape.Latents), ("active", (_, r) => r.Shape.Active), ("dead", (_, r) => r.Shape.Dead),
        ("repeats", (_, r) => r.Time?.Repeats), ("median_ms", (_, r) => r.Time?.Median), ("min_ms", (_, r) => r.Time?.Min), ("max_ms", (_, r) => r.Time?.Max),
        ("flops", (_, r) => r.Flops), ("bytes", (_, r) => r.Bytes), ("tflop_s", (_, r) => r.TeraflopsPerSecond), ("gb_s", (_, r) => r.GigabytesPerSecond),
        ("floor_ms", (_, r) => r.FloorMs), ("percent_of_ceiling", (_, r) => r.PercentOfCeiling), ("tokens", (_, r) => r.Tokens), ("tokens_s", (_, r) => r.TokensPerSecond),
        ("gemm_tflop_s", (m, _) => m.Ceilings?.GemmGflops / 1e3), ("copy_gb_s", (m, _) => m.Ceilings?.CopyGigabytes),
        ("max_error", (_, r) => r.MaxError), ("checksum", (_, r) => r.Checksum is { } c ? $"{c.First:x16}" : null), ("checksum_again", (_, r) => r.Checksum is { } c ? $"{c.Second:x16}" : null),
        ("planned_bytes", (_, r) => r.Memory?.Planned), ("taken_bytes", (_, r) => r.Memory?.Taken), ("note", (_, r) => r.Note),
    ];

    public static IReadOnlyList<string> Names { get; } = [.. Columns.Select(c => c.Name)];

    public static void Write(string path, IEnumerable<(BenchMachine Machine, BenchRow Row)> rows) => AtomicFile.Write(path, stream =>
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

    static string Cell(object? value) => value switch { null => "", double x => x.ToString("G7", CultureInfo.InvariantCulture), _ => Convert.ToString(value, CultureInfo.InvariantCulture)! };

    /// <exception cref="SaeException">The file cannot be read, or is none of ours.</exception>
    public static IReadOnlyList<(BenchMachine Machine, BenchRow Row)> Read(string path)
    {
        try
        {
            using var stream = File.OpenRead(path);
            return Read(stream, path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SaeException($"cannot read {path}: {e.Message.TrimEnd('.')}", e, SaeErrorKind.Files);
        }
    }

    static List<(BenchMachine Machine, BenchRow Row)> Read(Stream stream, string path)
    {
        using var csv = CsvReader.Create(stream, new CsvReaderOptions { Separator = ',', DetectSeparatorHint = false, TrackLineNumbers = true }, leaveOpen: true);
        var rows = new List<(BenchMachine, BenchRow)>();
        try
        {
            while (csv.Read())
            {
                if (rows.Count == 0 && Names.FirstOrDefault(name => !csv.TryGetFieldIndex(name, out _)) is { } missing) throw new SaeException($"{path} is no table of cudasae bench: it has no column {missing}", kind: SaeErrorKind.Files);
                rows.Add((Machine(csv), Row(csv)));
            }
        }
        catch (Exception e) when (e is FormatException or OverflowException or CsvFormatException)
        {
            throw new SaeException($"{path}, line {csv.LineNumber}: {e.Message}", kind: SaeErrorKind.Files);
        }
        return rows;
    }

    static BenchMachine Machine(CsvReader csv) => new(csv.GetString("backend"), csv.GetString("device"), csv.GetString("driver"), csv.GetString("version"), DateOnly.ParseExact(csv.GetString("date"), "yyyy-MM-dd", CultureInfo.InvariantCulture),
        Number(csv, "gemm_tflop_s") is { } gemm && Number(csv, "copy_gb_s") is { } copy ? new Ceilings(gemm * 1e3, copy) : null);

    static BenchRow Row(CsvReader csv) => new()
    {
        Bench = csv.GetString("bench"), Name = csv.GetString("name"), Shape = new((int)Count(csv, "rows"), (int)Count(csv, "width"), (int)Count(csv, "latents"), (int)Count(csv, "active"), (int)Count(csv, "dead")),
        Time = Number(csv, "median_ms") is { } median ? new(median, Number(csv, "min_ms") ?? median, Number(csv, "max_ms") ?? median, (int)Count(csv, "repeats")) : null,
        Flops = Number(csv, "flops") ?? 0, Bytes = Number(csv, "bytes") ?? 0, FloorMs = Number(csv, "floor_ms"), Tokens = Number(csv, "tokens") ?? 0, MaxError = Number(csv, "max_error"),
        Checksum = csv.GetString("checksum") is { Length: > 0 } sum ? (Hex(sum), Hex(csv.GetString("checksum_again"))) : null,
        Memory = Number(csv, "planned_bytes") is { } planned ? ((long)planned, Count(csv, "taken_bytes")) : null, Note = csv.GetString("note"),
    };

    internal static double? Number(CsvReader csv, string name) => csv.GetString(name) is { Length: > 0 } cell
        ? (double?)Forms.Read(typeof(double), cell)
            ?? throw new FormatException($"{name} is '{cell}', which is no number") : null;
    static long Count(CsvReader csv, string name) => (long)(Number(csv, name) ?? 0);
    static ulong Hex(string cell) => ulong.Parse(cell, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
}
