using System.Globalization;
using System.Text.Json;

namespace CudaSae.Metrics;

/// <summary>metrics.jsonl as columns over steps. Takes whatever fields its lines have: newer versions log
/// more.</summary>
sealed class MetricsHistory
{
    readonly List<Dictionary<string, double>> lines = [];

    public const string FileName = "metrics.jsonl";

    /// <summary>Lines that could not be read: cut by a crash, mostly the last one.</summary>
    public int Damaged { get; private set; }

    /// <summary>Times that the log goes back to an earlier step: a killed run that was resumed, or one that went back
    /// from a divergence.</summary>
    public int Restarts { get; private set; }

    /// <summary>Logged steps.</summary>
    public int Count => lines.Count;

    /// <summary>Fields that some line has a number in, in the order of their appearance.</summary>
    public IReadOnlyList<string> Names => [.. lines.SelectMany(line => line.Keys).Distinct()];

    /// <summary>A field of each logged step, ascending; NaN where a line has none.</summary>
    public float[] Column(string name) => [.. lines.Select(line => (float)line.GetValueOrDefault(name, double.NaN))];

    /// <summary>Reads a log that may still be written. A resumed run logs steps again: what stood after the step it
    /// went on from is dropped.</summary>
    /// <exception cref="SaeException">The file cannot be read.</exception>
    public static MetricsHistory Read(string path)
    {
        try
        {
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read,
                FileShare.ReadWrite | FileShare.Delete);
            using var reader = new StreamReader(stream);
            var history = new MetricsHistory();
            while (reader.ReadLine() is { } line) history.Add(line);
            return history;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SaeException($"cannot read {path}: {e.Message.TrimEnd('.')}", e);
        }
    }

    void Add(string text)
    {
        if (text.Length == 0) return;
        var line = Parse(text);
        if (line is null)
        {
            Damaged++;
            // A killed run's last line was cut, and the resumed run's first one stands behind it.
            if (text.LastIndexOf('{') is > 0 and var start) line = Parse(text[start..]);
        }
        if (line is null || !line.TryGetValue("step", out var step)) return;
        if (!(step is >= 0 and <= long.MaxValue))
        {
            Damaged++;
            return;
        }
        var keep = lines.Count;
        while (keep > 0 && lines[keep - 1]["step"] >= step) keep--;
        if (keep < lines.Count) Restarts++;
        lines.RemoveRange(keep, lines.Count - keep);
        lines.Add(line);
    }

    static Dictionary<string, double>? Parse(string text)
    {
        try
        {
            using var document = JsonDocument.Parse(text);
            if (document.RootElement.ValueKind != JsonValueKind.Object) return null;
            var line = new Dictionary<string, double>();
            foreach (var field in document.RootElement.EnumerateObject())
                if (Number(field.Value) is { } value) line[field.Name] = value;
            return line;
        }
        // no JSON, or text that is no Unicode
        catch (Exception e) when (e is JsonException or InvalidOperationException) { return null; }
    }

    static double? Number(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Number => value.TryGetDouble(out var number) ? number : null,
        JsonValueKind.True => 1,
        JsonValueKind.False => 0,
        JsonValueKind.String =>
            double.TryParse(value.GetString(), NumberStyles.Float, CultureInfo.InvariantCulture, out var number)
                ? number : null,
        _ => null,
    };
}
