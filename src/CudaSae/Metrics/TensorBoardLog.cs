using System.Globalization;
using CudaSae.Files;

namespace CudaSae.Metrics;

/// <summary>The metrics as TensorBoard's event file, one record a report with all its scalars
/// (tensorflow/core/util/event.proto): a crash leaves whole records and at most one that is cut,
/// which readers pass over. Every run and every resume begins a file; their names sort by time.</summary>
sealed class TensorBoardLog : IDisposable
{
    public const string FilePattern = Prefix + "*" + Writer + "*";
    const string Prefix = "events.out.tfevents.", Writer = ".cudasae.";

    // Fields of Event, of SessionLog, of Summary and of its values.
    const int WallTime =
        1, Step = 2, FileVersion = 3, Summary = 5, SessionLog = 7, Status = 1, Value = 1, Tag = 1, SimpleValue = 2;
    const int SessionStart = 1;

    readonly FileStream stream;

    /// <param name="from">The step that the run goes on behind; 0 for a new one.</param>
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
                + "another folder with --out",
                e, SaeErrorKind.Files);
        }
        Write(Event(0).Text(FileVersion, "brain.Event:2"));
        // a reader that is watching forgets later steps
        if (from > 0) Write(Event(from + 1).Message(SessionLog, new ProtoMessage().Integer(Status, SessionStart)));

        string PathOf(int number) => Path.Combine(folder, $"{Prefix}{second}{Writer}{number}");
    }

    /// <summary>Whether a run's folder holds such files.</summary>
    public static bool IsIn(string folder) => Directory.EnumerateFiles(folder, FilePattern).Any();

    /// <summary>Leaves the records up to a step in every file of the folder, atomically; what was cut at a file's end
    /// is left out.</summary>
    /// <exception cref="SaeException">A file cannot be read or written; it is untouched.</exception>
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

    /// <summary>Every number that the step has, as float32.</summary>
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
