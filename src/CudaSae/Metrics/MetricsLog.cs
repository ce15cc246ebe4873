using System.Text.Json;

namespace CudaSae.Metrics;

/// <summary>Appends one JSON object a line; a line is written whole or, after a crash, cut at the end of the file.</summary>
public sealed class MetricsLog : IDisposable
{
    readonly FileStream stream;

    public MetricsLog(string path)
    {
        try { stream = new(path, FileMode.Append, FileAccess.Write, FileShare.Read); }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SaeException($"cannot write {path}: {e.Message.TrimEnd('.')}; choose another folder with --out", e);
        }
    }

    public void Write(StepMetrics metrics)
    {
        var line = JsonSerializer.SerializeToUtf8Bytes(metrics, SaeJson.Default.StepMetrics);
        stream.Write([.. line, (byte)'\n']);
        stream.Flush();
    }

    public void Dispose() => stream.Dispose();
}
