using System.Text.Json;

namespace CudaSae.Metrics;

/// <summary>Appends one JSON object a line; a line is written whole or, after a crash, cut at the end of the
/// file.</summary>
sealed class MetricsLog : IDisposable
{
    readonly FileStream stream;

    public MetricsLog(string path)
    {
        try { stream = new(path, FileMode.Append, FileAccess.Write, FileShare.Read); }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SaeException($"cannot write {path}: {e.Message.TrimEnd('.')}; choose another folder with --out",
                e);
        }
    }

    /// <summary>Leaves the lines up to a step, atomically: before a run goes on behind it.</summary>
    /// <exception cref="SaeException">The file cannot be read or written; it is untouched.</exception>
    public static void CutBack(string path, long step) =>
        MetricLines.Rewrite(path, "\n", line => StepOf(line) <= step ? line : null);

    /// <summary>The step of a line; null where it is none.</summary>
    static long? StepOf(string line)
    {
        try
        {
            using var json = JsonDocument.Parse(line);
            return json.RootElement is { ValueKind: JsonValueKind.Object } metrics
                && metrics.TryGetProperty("step", out var step) && step.ValueKind == JsonValueKind.Number
                && step.TryGetInt64(out var number)
                ? number : null;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException) { return null; }
    }

    public void Write(StepMetrics metrics)
    {
        var line = JsonSerializer.SerializeToUtf8Bytes(metrics, MetricsJson.Compact.StepMetrics);
        stream.Write([.. line, (byte)'\n']);
        stream.Flush();
    }

    public void Dispose() => stream.Dispose();
}
