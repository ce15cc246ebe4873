using System.Globalization;
using CudaSae.Metrics;
using CsvHelper;

namespace CudaSae.Cli;

/// <summary>Appends the metrics as CSV, one line for each report.</summary>
sealed class MetricsCsv : IDisposable
{
    const string NewLine = "\r\n";      // the line end of CsvWriter

    static readonly string[] Header = [.. MetricField.All.Select(field => field.Name)];

    readonly StreamWriter text;
    readonly CsvWriter csv;

    public MetricsCsv(string path)
    {
        var fresh = !File.Exists(path) || new FileInfo(path).Length == 0;
        text = new(path, append: true);
        csv = CsvWriter.Create(text);
        if (!fresh) return;
        foreach (var name in Header) csv.WriteField(name);
        csv.EndRecord();
    }

    /// <summary>Keeps the lines up to a step, atomically, in this version's columns. Columns of an older file are
    /// matched by name; a column that it does not have stays empty.</summary>
    /// <exception cref="SaeException">The file cannot be read or written. It is unchanged.</exception>
    public static void CutBack(string path, long step)
    {
        if (!File.Exists(path)) return;
        var header = string.Join(',', Header);
        var first = File.ReadLines(path).FirstOrDefault() ?? "";
        var places = Header.Select(name => Array.IndexOf(first.Split(','), name)).ToArray();
        MetricLines.Rewrite(path, NewLine, line =>
        {
            if (line == first) return header;
            var fields = line.Split(',');       // numbers, none of them quoted
            if (!long.TryParse(fields[0], NumberStyles.None, CultureInfo.InvariantCulture, out var at) || at > step)
                return null;
            return first == header ? line
                : string.Join(',', places.Select(place => place >= 0 && place < fields.Length ? fields[place] : ""));
        });
    }

    public void Write(StepMetrics m)
    {
        foreach (var field in MetricField.All) csv.WriteField(field.Of(m));
        csv.EndRecord();
        csv.Flush();
        text.Flush();
    }

    public void Dispose()
    {
        csv.Dispose();
        text.Dispose();
    }
}
