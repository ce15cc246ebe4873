using CudaSae.Files;

namespace CudaSae.Metrics;

/// <summary>Truncates text files with one line per report to the step from which a run resumes. The resumed run repeats
/// the lines that a killed process wrote after its last checkpoint.</summary>
static class MetricLines
{
    /// <summary>Replaces each whole line by the result of <paramref name="keep"/>; null removes the line. An incomplete
    /// last line is removed. The replacement is atomic. A file that stays the same is not written, and a missing file
    /// is not created.</summary>
    /// <exception cref="SaeException">The file cannot be read or written; it is unchanged.</exception>
    public static void Rewrite(string path, string newLine, Func<string, string?> keep)
    {
        if (!File.Exists(path)) return;
        try
        {
            if (IsWhole(path) && File.ReadLines(path).All(line => keep(line) == line)) return;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SaeException($"cannot read {path}: {e.Message.TrimEnd('.')}", e, SaeErrorKind.Files);
        }
        AtomicFile.Write(path, stream =>
        {
            using var text = new StreamWriter(stream, leaveOpen: true) { NewLine = newLine };
            foreach (var line in WholeLines(path))
                if (keep(line) is { } kept) text.WriteLine(kept);
        });
    }

    static bool IsWhole(string path)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        if (stream.Length == 0) return true;
        stream.Position = stream.Length - 1;
        return stream.ReadByte() == '\n';
    }

    static IEnumerable<string> WholeLines(string path) =>
        IsWhole(path) ? File.ReadLines(path) : File.ReadLines(path).SkipLast(1);
}
