using CudaSae.Checkpoints;
using CudaSae.Formats;
using CudaSae.Insight;
using CudaSae.Report;

namespace CudaSae.Cli;

/// <summary>What a report is about: a run or an SAE with rows to look at, or what a folder holds besides.</summary>
sealed class ReportSubject : IDisposable
{
    DataFiles? files;

    /// <summary>Where records, logs and figures are, and where the page goes.</summary>
    public required string Folder { get; init; }

    public RunRecord? Record { get; init; }

    /// <summary>The SAE and its rows; null where one of them is not there.</summary>
    public RunSource? Rows { get; private set; }

    /// <summary>Whether the rows are others than the run's own held-out ones.</summary>
    public bool OtherData { get; private init; }

    /// <summary>Why there is no SAE or no rows to look at, for people.</summary>
    public string? Without { get; private set; }

    /// <summary>Rows whose contexts latents' pages show: training rows, which are more and have been seen, unless others were named. Not to be disposed: SAE and data are this subject's.</summary>
    /// <param name="limit">Rows at most; 0 for <see cref="Rows"/>.</param>
    public RunSource ContextRows(long limit) => OtherData || limit == 0 ? Rows! : new(Rows!.Folder, Record, Rows.Model, files!.Source, 0, Math.Min(limit, files.TrainRows));

    public required string Name { get; init; }

    public string Title => Name + (Rows is { } rows ? $": {rows.Model.Summary}" : "");

    /// <param name="path">A run, an SAE, or a folder that holds figures.</param>
    /// <param name="data">Activation files; none for the run's held-out rows.</param>
    /// <param name="limit">Rows at most; null for all.</param>
    /// <exception cref="SaeException">Nothing of this can be looked at, or the data do not fit.</exception>
    public static ReportSubject Open(string path, string[] data, string? tensor, long? limit)
    {
        if (limit is < 1) throw new SaeException($"--rows {limit}: it must be at least 1");
        var record = File.Exists(Path.Combine(path, RunRecord.FileName)) ? RunRecord.Load(path) : null;
        var subject = new ReportSubject
        {
            Folder = File.Exists(path) ? Path.GetDirectoryName(Path.GetFullPath(path))! : path, Record = record, OtherData = data.Length > 0,
            Name = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(path))),
        };
        if (!HoldsSae(path))
        {
            if (data.Length > 0 || record is null && !Directory.Exists(Path.Combine(path, Section.FolderName))) SaeFormats.Of(path);      // says what is missing
            subject.Without = record is null ? null : $"{path} holds no finished SAE yet: curves of the training only";
            return subject;
        }
        subject.OpenRows(path, data, tensor, limit);
        return subject;
    }

    static bool HoldsSae(string path) => SaeFormats.All.Any(format => format.Recognizes(path));

    void OpenRows(string path, string[] data, string? tensor, long? limit)
    {
        if (data.Length == 0 && Record is null)
        {
            Without = $"{path} does not say which rows it was trained on: name activation files after it to look at its latents";
            return;
        }
        try { files = data.Length > 0 ? DataFiles.Open(data, "0", tensor) : DataFiles.Open(Record!.Data, Record.HeldOut, tensor ?? Record.Tensor, Record.Beside); }
        catch (SaeException e) when (data.Length == 0)
        {
            Without = $"the data of this run cannot be opened ({e.Message}): curves of the training only";
            return;
        }
        var (first, count) = data.Length > 0 ? (0, files.Held.Rows) : (files.FirstHeld, files.HeldRows);
        if (count == 0)
        {
            Without = "this run held no rows out: name activation files after the folder to look at its latents";
            return;
        }
        Rows = new(path, Record, SaeModel.Load(path), files.Held, first, Math.Min(count, limit ?? count));
    }

    public void Dispose()
    {
        Rows?.Dispose();
        files?.Dispose();
    }
}
