using CudaSae.Formats;
using CudaSae.Lab.Insight;
using CudaSae.Lab.Report;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Cli;

/// <summary>The subject of a report: a run or an SAE with its rows, or a folder that holds only figures.</summary>
sealed class ReportSubject : IDisposable
{
    SaeRows? data;

    /// <summary>Folder of the records, logs and figures. The page is written there.</summary>
    public required string Folder { get; init; }

    public RunRecord? Record { get; init; }

    /// <summary>The SAE and its rows; null if one of them is missing.</summary>
    public RunSource? Rows { get; private set; }

    /// <summary>Whether the rows differ from the run's own held-out rows.</summary>
    public bool OtherData { get; private init; }

    /// <summary>The reason why the SAE or its rows are missing, for people.</summary>
    public string? Without { get; private set; }

    /// <summary>Returns the rows whose contexts the pages of latents show: training rows, which are more numerous and
    /// were seen by the SAE, unless other rows were named. The caller must not dispose the result: this subject owns
    /// the SAE and the data.</summary>
    /// <param name="limit">Rows at most; 0 for <see cref="Rows"/>.</param>
    public RunSource ContextRows(long limit) =>
        OtherData || limit == 0 ? Rows!
            : new(Rows!.Folder, Record, Rows.Model, data!.Train.AtMost(limit));

    public required string Name { get; init; }

    /// <summary>Title of the report from the record: name, SAE, recipe, and the site of the rows.</summary>
    public string Title =>
        Name + (Rows is { } rows ? $": {rows.Model.Summary}" : "")
            + (Record?.Preset is { } preset ? $"; preset {preset}" : "")
            + (Record?.Site is { } site ? $"; {site}" : "");

    /// <param name="path">A run, an SAE, or a folder that holds figures.</param>
    /// <param name="named">Activation files; none for the run's held-out rows.</param>
    /// <param name="beside">Files beside the named files.</param>
    /// <param name="limit">Rows at most; null for all.</param>
    /// <param name="parts">Records the refusal of a damaged record or SAE; null if both are required.</param>
    /// <param name="kind">How to read an SAE whose files do not state its kind.</param>
    /// <exception cref="SaeException">The path holds nothing to report on, or the data do not fit.</exception>
    public static ReportSubject Open(string path, string[] named, string? tensor, string[] beside, long? limit,
        Members? parts = null, SaeKind? kind = null)
    {
        if (limit is < 1) throw new SaeException($"--rows {limit}: it must be at least 1");
        var record = parts is null ? SaeRows.RecordOf(path)
            : parts.Get(RunRecord.FileName, () => SaeRows.RecordOf(path), Members.IsOfFile);
        var subject = new ReportSubject
        {
            Folder = SaePath.Folder(path), Record = record, OtherData = named.Length > 0, Name = SaePath.Name(path)
        };
        if (!SaeFormats.IsSae(path))
        {
            // throws with what is missing
            if (named.Length > 0 || record is null && !Directory.Exists(Path.Combine(path, Chapter.FolderName)))
                SaeFormats.Of(path);
            subject.Without = record is null ? null : $"{path} holds neither a finished SAE nor a checkpoint yet";
            return subject;
        }
        var model = parts is null || named.Length > 0 ? SaeModel.Load(path, kind)
            : parts.Get("SAE", () => SaeModel.Load(path, kind), Members.IsOfFile);
        if (model is null) subject.Without = $"the SAE of {path} cannot be read";
        else subject.OpenRows(path, model, named, tensor, beside, limit);
        return subject;
    }

    void OpenRows(string path, SaeModel model, string[] named, string? tensor, string[] beside, long? limit)
    {
        try { data = SaeRows.Open(path, Record, named, tensor, model.Spec, beside); }
        catch (SaeException e) when (named.Length == 0 && beside.Length == 0)
        {
            Without = e.Message;
            model.Dispose();
            return;
        }
        Rows = new(path, Record, model, data.Rows.AtMost(limit ?? long.MaxValue));
    }

    public void Dispose()
    {
        Rows?.Dispose();
        data?.Dispose();
    }
}
