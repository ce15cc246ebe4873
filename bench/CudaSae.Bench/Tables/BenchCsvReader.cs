using System.Globalization;
using CudaSae.Cli;
using CsvHelper;

namespace CudaSae.Bench.Tables;

/// <summary>Reads the rows that <see cref="BenchCsv"/> wrote.</summary>
static class BenchCsvReader
{
    /// <exception cref="SaeException">The file cannot be read, or this project did not write it.</exception>
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
        var options = new CsvReaderOptions { Separator = ',', DetectSeparatorHint = false, TrackLineNumbers = true };
        using var csv = CsvReader.Create(stream, options, leaveOpen: true);
        var rows = new List<(BenchMachine, BenchRow)>();
        try
        {
            while (csv.Read())
            {
                if (rows.Count == 0 && BenchCsv.Names.FirstOrDefault(name => !csv.TryGetFieldIndex(name, out _)) is
                    { } missing)
                    throw new SaeException($"{path} is not a table of cudasae bench: it lacks the column {missing}",
                        kind: SaeErrorKind.Files);
                rows.Add((Machine(csv), Row(csv)));
            }
        }
        catch (Exception e) when (e is FormatException or OverflowException or CsvFormatException)
        {
            throw new SaeException($"{path}, line {csv.LineNumber}: {e.Message}", kind: SaeErrorKind.Files);
        }
        return rows;
    }

    static BenchMachine Machine(CsvReader csv)
    {
        var date = DateOnly.ParseExact(csv.GetString("date"), "yyyy-MM-dd", CultureInfo.InvariantCulture);
        Ceilings? ceilings = Number(csv, "gemm_tflop_s") is { } gemm && Number(csv, "copy_gb_s") is { } copy
            ? new Ceilings(gemm * 1e3, copy) : null;
        return new(csv.GetString("backend"), csv.GetString("device"), csv.GetString("driver"),
            csv.GetString("version"), date, ceilings);
    }

    static BenchRow Row(CsvReader csv) => new()
    {
        Bench = csv.GetString("bench"),
        Name = csv.GetString("name"),
        Shape = new((int)Count(csv, "rows"), (int)Count(csv, "width"), (int)Count(csv, "latents"),
            (int)Count(csv, "active"), (int)Count(csv, "dead")),
        Time = Number(csv, "median_ms") is { } median
            ? new(median, Number(csv, "min_ms") ?? median, Number(csv, "max_ms") ?? median,
                (int)Count(csv, "repeats"))
            : null,
        Flops = Number(csv, "flops") ?? 0,
        Bytes = Number(csv, "bytes") ?? 0,
        FloorMs = Number(csv, "floor_ms"),
        Tokens = Number(csv, "tokens") ?? 0,
        MaxError = Number(csv, "max_error"),
        Checksum = csv.GetString("checksum") is { Length: > 0 } sum
            ? (Hex(sum), Hex(csv.GetString("checksum_again"))) : null,
        Memory = Number(csv, "planned_bytes") is { } planned ? ((long)planned, Count(csv, "taken_bytes")) : null,
        Note = csv.GetString("note"),
    };

    public static double? Number(CsvReader csv, string name) => csv.GetString(name) is { Length: > 0 } cell
        ? (double?)Forms.Read(typeof(double), cell)
            ?? throw new FormatException($"{name} is '{cell}', which is not a number") : null;

    static long Count(CsvReader csv, string name) => (long)(Number(csv, name) ?? 0);

    static ulong Hex(string cell) =>
        ulong.Parse(cell, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
}
