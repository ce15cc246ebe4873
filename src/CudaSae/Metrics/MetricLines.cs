using CudaSae.Files;

namespace CudaSae.Metrics;

/// <summary>Text files of one line a report, taken back to where a resumed run goes on: what a killed process wrote
/// behind its last checkpoint comes again and must not stand twice.</summary>
static class MetricLines
{
    /// <summary>Each whole line becomes what <paramref name="keep"/> makes of it, and is left out where that is null; a
    /// last line that was cut is left out. Atomic; a file that stays
    /// the same is not touched, and none is made.</summary>
    /// <exception cref="SaeException">The file cannot be read or written; it is untouched.</exception>
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
