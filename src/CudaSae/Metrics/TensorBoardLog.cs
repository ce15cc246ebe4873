using System.Globalization;
using CudaSae.Files;

namespace CudaSae.Metrics;

/// <summary>The metrics as TensorBoard's event file, one record per report with all its scalars
/// (tensorflow/core/util/event.proto). A crash leaves whole records and at most one incomplete record, which readers
/// skip. Every run and every resume starts a new file; the names sort by time.</summary>
sealed class TensorBoardLog : IDisposable
{
    public const string FilePattern = Prefix + "*" + Writer + "*";
    const string Prefix = "events.out.tfevents.", Writer = ".cudasae.";

    // These are the fields of Event, SessionLog, Summary and its values.
    const int WallTime =
        1, Step = 2, FileVersion = 3, Summary = 5, SessionLog = 7, Status = 1, Value = 1, Tag = 1, SimpleValue = 2;
    const int SessionStart = 1;

    readonly FileStream stream;

    /// <summary>Starts a file.</summary>
    /// <param name="folder">The run's folder.</param>
    /// <param name="from">The step after which the run resumes; 0 for a new run.</param>
    /// <exception cref="SaeException">The folder cannot be written.</exception>
    public TensorBoardLog(string folder, long from)
    {
        var second = DateTimeOffset.UtcNow.ToUnixTimeSeconds().ToString("D10", CultureInfo.InvariantCulture);
        try
        {
            var number = Directory.EnumerateFiles(folder, FilePattern).Count();
            while (File.Exists(PathOf(number))) number++;
            stream = new(PathOf(number), FileMode.CreateNew, FileAccess.Write, FileShare.Read);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SaeException($"cannot write TensorBoard's events in {folder}: {e.Message.TrimEnd('.')}; choose "
                + "another folder",
                e, SaeErrorKind.Files);
        }
        Write(Event(0).Text(FileVersion, "brain.Event:2"));
        // This makes a reader that follows the file discard later steps.
        if (from > 0) Write(Event(from + 1).Message(SessionLog, new ProtoMessage().Integer(Status, SessionStart)));

        string PathOf(int number) => Path.Combine(folder, $"{Prefix}{second}{Writer}{number}");
    }

    /// <summary>Returns whether a run's folder has such files.</summary>
    public static bool IsIn(string folder) => Directory.EnumerateFiles(folder, FilePattern).Any();

    /// <summary>Keeps the records up to a step in every file of the folder, atomically; incomplete records are
    /// removed.</summary>
    /// <exception cref="SaeException">A file cannot be read or written; it is unchanged.</exception>
    public static void CutBack(string folder, long step)
    {
        foreach (var path in Directory.GetFiles(folder, FilePattern))
        {
            long kept = 0, length;
            try
            {
                using var reader = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, 1 << 16);
                length = reader.Length;
                while (TfRecords.Next(reader) is { } record && ProtoMessage.FindInteger(record, Step) <= step)
                    kept = reader.Position;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new SaeException($"cannot read {path}: {e.Message.TrimEnd('.')}", e, SaeErrorKind.Files);
            }
            if (kept < length) AtomicFile.Write(path, into => CopyStart(path, kept, into));
        }
    }

    static void CopyStart(string path, long bytes, Stream into)
    {
        using var from = File.OpenRead(path);
        var buffer = new byte[1 << 16];
        for (int count; bytes > 0
            && (count = from.Read(buffer, 0, (int)Math.Min(buffer.Length, bytes))) > 0; bytes -= count)
            into.Write(buffer, 0, count);
    }

    /// <summary>Writes all numbers of a step, as float32.</summary>
    public void Write(StepMetrics metrics)
    {
        var summary = new ProtoMessage();
        foreach (var field in MetricField.All)
            if (field.Name != "step" && field.Of(metrics) is { } number)
                summary.Message(Value, new ProtoMessage().Text(Tag, field.Tag).Float(SimpleValue, (float)number));
        Write(Event(metrics.Step).Message(Summary, summary));
    }

    static ProtoMessage Event(long step) =>
        new ProtoMessage().Double(WallTime, DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() / 1000.0)
            .Integer(Step, step);

    void Write(ProtoMessage message)
    {
        stream.Write(TfRecords.Frame(message.ToArray()));
        stream.Flush();
    }

    public void Dispose() => stream.Dispose();
}
