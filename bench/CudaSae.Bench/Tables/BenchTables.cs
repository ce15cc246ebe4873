using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using CudaSae.Cli;
using CudaSae.Files;
using CudaSae.Numerics;
using CsvHelper;

namespace CudaSae.Bench.Tables;

/// <summary>Formats measured tables from bench/results/DEVICE as Markdown, and writes them into documents between the
/// comments &lt;!-- bench: WHAT DEVICE --&gt; and &lt;!-- /bench --&gt;.</summary>
static partial class BenchTables
{
    /// <summary>The documents that contain such comments.</summary>
    public static readonly string[] Documents = ["README.md", "docs/internals/benchmarks.md"];

    [GeneratedRegex(@"(<!-- bench: (?<what>[\w-]+) (?<device>[\w-]+) -->\n).*?(<!-- /bench -->)",
        RegexOptions.Singleline)]
    private static partial Regex Place();

    /// <summary>Rewrites the documents of a checkout; returns those that were not up to date.</summary>
    /// <exception cref="SaeException">A comment names a table that was not measured.</exception>
    public static IReadOnlyList<string> Update(string root)
    {
        var stale = new List<string>();
        foreach (var document in Documents)
        {
            var path = Path.Combine(root, document);
            var text = File.ReadAllText(path);
            var made = Render(text, root);
            if (made == text) continue;
            AtomicFile.Write(path, stream => stream.Write(Encoding.UTF8.GetBytes(made)));
            stale.Add(document);
        }
        return stale;
    }

    /// <summary>Returns a document with its tables taken from bench/results.</summary>
    public static string Render(string text, string root) => Place().Replace(text, match =>
    {
        var folder = Path.Combine(root, "bench", "results", match.Groups["device"].Value);
        return match.Groups[1].Value + match.Groups["what"].Value switch
        {
            "peers" => Peers(Path.Combine(folder, "cpu_torch.csv")),
            "step" => Steps(Rows(folder, "step.csv")),
            "phases" => Phases(Rows(folder, "step.csv")),
            "scaling" => Scaling(Rows(folder, "scaling.csv")),
            "data" => FromFiles(Rows(folder, "data.csv")),
            var other =>
                throw new SaeException($"there is no table \"{other}\"; use one of peers, step, phases, scaling and "
                    + "data"),
        } + match.Groups[2].Value;
    });

    static IReadOnlyList<(BenchMachine Machine, BenchRow Row)> Rows(string folder, string file) =>
        BenchCsvReader.Read(Existing(Path.Combine(folder, file)));

    static string Existing(string path) =>
        File.Exists(path) ? path
            : throw new SaeException($"{path} is not there; bench/cpu.sh or bench/gpu.sh makes it",
                kind: SaeErrorKind.Files);

    static string Steps(IEnumerable<(BenchMachine Machine, BenchRow Row)> rows) =>
        Table("B, d, n, k | step, ms (shortest to longest) | rows/s | the least, ms | share", "---|---|---|---|---",
        rows.Where(one => one.Row.Name == "step").Select(one => one.Row)
            .Select(r => $"{Shape(r.Shape)} | {Range(r.Time)} | {Thousands(r.TokensPerSecond)} | {Number(r.FloorMs)} | "
                + $"{Percent(r.PercentOfCeiling)}"))
            + Under(rows);

    static string Phases(IEnumerable<(BenchMachine Machine, BenchRow Row)> rows) =>
        Table("B, d, n, k | phase | ms (shortest to longest) | GFLOP/s | GB/s | share | error | two runs",
            "---|---|---|---|---|---|---|---",
        rows.Where(one => one.Row.Name != "step").Select(one => one.Row)
            .Select(r => $"{Shape(r.Shape)} | {r.Name} | {Range(r.Time)} | {Number(r.TeraflopsPerSecond * 1e3)} | "
                + $"{Number(r.GigabytesPerSecond)} | {Percent(r.PercentOfCeiling)} | "
            + $"{Error(r.MaxError)} | {(r.Repeatable == true ? "equal" : "DIFFER")}")) + Under(rows);

    static string Scaling(IEnumerable<(BenchMachine Machine, BenchRow Row)> rows) =>
        Table("varied | B, d, n, k | step, ms (shortest to longest) | the least, ms | share | memory: planned, taken",
            "---|---|---|---|---|---",
        rows.Where(one => one.Row.Name.EndsWith("/step", StringComparison.Ordinal)).Select(one => one.Row)
            .Select(r => $"{r.Name.Split('/')[0]} | {Shape(r.Shape)} | {Range(r.Time)} | {Number(r.FloorMs)} | "
                + $"{Percent(r.PercentOfCeiling)} | {Memory(r)}"))
                + Under(rows);

    static string FromFiles(IEnumerable<(BenchMachine Machine, BenchRow Row)> rows) =>
        Table("rows of a batch, width | | ms a batch | GB/s from the file | rows/s", "---|---|---|---|---",
        rows.Select(one => one.Row).Select(r => $"{r.Shape.Rows}, {r.Shape.Width} | {r.Name} ({r.Note}) | "
            + $"{Range(r.Time)} | {Number(r.GigabytesPerSecond / 2)} | {Thousands(r.TokensPerSecond)}"))
            + Under(rows);

    /// <summary>Formats the table of bench/peers/cpu_torch.py.</summary>
    static string Peers(string path)
    {
        using var stream = File.OpenRead(Existing(path));
        using var csv = CsvReader.Create(stream, new CsvReaderOptions { Separator = ',', DetectSeparatorHint = false },
            leaveOpen: true);
        var lines = new List<string>();
        string[] columns = ["rows", "width", "latents", "active", "torch_ms", "cudasae_ms", "ratio_median",
            "ratio_min", "ratio_max", "torch_mib", "cudasae_mib"];
        try
        {
            while (csv.Read())
                lines.Add(columns.FirstOrDefault(name => !csv.TryGetFieldIndex(name, out _)) is { } missing
                    ? throw new FormatException($"it lacks the column {missing}") : Line());
        }
        catch (Exception e) when (e is FormatException or CsvFormatException)
        {
            throw new SaeException($"{path} is no "
            + $"table of bench/peers/cpu_torch.py: {e.Message}", e, SaeErrorKind.Files);
        }
        return Table("B, d, n, k | PyTorch | CudaSae | median ratio | peak memory", "---|---|---|---|---", lines);

        string Line() =>
            $"{csv.GetString("rows")}, {csv.GetString("width")}, {csv.GetString("latents")}, "
                + $"{csv.GetString("active")} | {Of("torch_ms")} ms | {Of("cudasae_ms")} ms | "
                + $"{Of("ratio_median", "0.0")} ({Of("ratio_min", "0.0")} to {Of("ratio_max", "0.0")}) | "
                    + $"{csv.GetString("torch_mib")} → {csv.GetString("cudasae_mib")} MiB";

        string Of(string column, string? format = null)
        {
            var value = BenchCsvReader.Number(csv, column) ?? throw new FormatException($"{column} is empty");
            return format is null ? Number(value) : value.ToString(format, CultureInfo.InvariantCulture);
        }
    }

    static string Table(string head, string rule, IEnumerable<string> lines) =>
        $"| {head} |\n|{rule}|\n{string.Concat(lines.Select(line => $"| {line} |\n"))}";

    /// <summary>The line under the table: device and date.</summary>
    static string Under(IEnumerable<(BenchMachine Machine, BenchRow Row)> rows)
    {
        var machines = rows.Select(one => one.Machine).ToArray();
        var (first, ceilings) = (machines[0], machines.Select(m => m.Ceilings).OfType<Ceilings>().ToArray());
        return $"\n{first.Device}, {first.Driver}, {first.Date:yyyy-MM-dd}"
            + (ceilings.Length == 0 ? ""
                : $"; ceilings measured beside the rows: {Span(ceilings.Select(c => c.GemmGflops), "0")} GFLOP/s, "
                    + $"{Span(ceilings.Select(c => c.CopyGigabytes), "0")} GB/s")
            + ".\n";
    }

    static string Span(IEnumerable<double> values, string format)
    {
        var (low, high) = (values.Min().ToString(format, CultureInfo.InvariantCulture),
            values.Max().ToString(format, CultureInfo.InvariantCulture));
        return low == high ? low : $"{low} to {high}";
    }

    static string Shape(BenchShape s) => $"{s.Rows}, {s.Width}, {s.Latents}, {s.Active}";
    static string Range(Timing? time) =>
        time is { } t ? $"{Number(t.Median)} ({Number(t.Min)} to {Number(t.Max)})" : "";
    static string Memory(BenchRow row) =>
        row.Memory is { } m ? $"{MemoryPlan.Format(m.Planned)}, {MemoryPlan.Format(m.Taken)}" : "";
    static string Percent(double? x) => x is { } value ? $"{value.ToString("0", CultureInfo.InvariantCulture)} %" : "";
    static string Thousands(double? x) => x?.ToString("#,0", CultureInfo.InvariantCulture) ?? "";
    static string Error(double? x) =>
        x is { } value ? value == 0 ? "0" : value.ToString("0.0e+0", CultureInfo.InvariantCulture) : "";

    /// <summary>Formats a number with three digits.</summary>
    internal static string Number(double? x) =>
        x?.ToString(x switch { >= 99.95 => "0", >= 9.995 => "0.0", >= 0.9995 => "0.00", _ => "0.000" },
            CultureInfo.InvariantCulture)
            ?? "";
}
