using CudaSae.Formats;
using CudaSae.Lab.Insight;
using CudaSae.Lab.Report;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Cli;

/// <summary>What a report is about: a run or an SAE with rows to look at, or what a folder holds besides.</summary>
sealed class ReportSubject : IDisposable
{
    RunData? data;

    /// <summary>Where records, logs and figures are, and where the page goes.</summary>
    public required string Folder { get; init; }

    public RunRecord? Record { get; init; }

    /// <summary>The SAE and its rows; null where one of them is not there.</summary>
    public RunSource? Rows { get; private set; }

    /// <summary>Whether the rows are others than the run's own held-out ones.</summary>
    public bool OtherData { get; private init; }

    /// <summary>Why there is no SAE or no rows to look at, for people.</summary>
    public string? Without { get; private set; }

    /// <summary>Rows whose contexts latents' pages show: training rows, which are more and have been seen, unless
    /// others were named. Not to be disposed: SAE and data are this subject's.</summary>
    /// <param name="limit">Rows at most; 0 for <see cref="Rows"/>.</param>
    public RunSource ContextRows(long limit) =>
        OtherData || limit == 0 ? Rows!
            : new(Rows!.Folder, Record, Rows.Model, data!.Train, 0, Math.Min(limit, data.TrainRows));

    public required string Name { get; init; }

    /// <summary>Name, SAE, the recipe, and where the rows come from, by the record.</summary>
    public string Title =>
        Name + (Rows is { } rows ? $": {rows.Model.Summary}" : "")
            + (Record?.Preset is { } preset ? $"; preset {preset}" : "")
            + (Record?.Site is { } site ? $"; {site}" : "");

    /// <param name="path">A run, an SAE, or a folder that holds figures.</param>
    /// <param name="named">Activation files; none for the run's held-out rows.</param>
    /// <param name="beside">Files beside those that were named.</param>
    /// <param name="limit">Rows at most; null for all.</param>
    /// <param name="parts">Takes the refusal of a damaged record or SAE; null where both are needed.</param>
    /// <param name="kind">What the SAE is read as where its files do not tell.</param>
    /// <exception cref="SaeException">Nothing of this can be looked at, or the data do not fit.</exception>
    public static ReportSubject Open(string path, string[] named, string? tensor, string[] beside, long? limit,
        Members? parts = null, SaeKind? kind = null)
    {
        if (limit is < 1) throw new SaeException($"--rows {limit}: it must be at least 1");
        var record = parts is null ? RunData.RecordOf(path)
            : parts.Get(RunRecord.FileName, () => RunData.RecordOf(path), Members.IsOfFile);
        var subject = new ReportSubject
        {
            Folder = SaePath.Folder(path), Record = record, OtherData = named.Length > 0, Name = SaePath.Name(path)
        };
        if (!SaeFormats.IsSae(path))
        {
            // says what is missing
            if (named.Length > 0 || record is null && !Directory.Exists(Path.Combine(path, Section.FolderName)))
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
        try { data = RunData.Open(path, Record, named, tensor, model.Spec, beside); }
        catch (SaeException e) when (named.Length == 0 && beside.Length == 0)
        {
            Without = e.Message;
            model.Dispose();
            return;
        }
        Rows = new(path, Record, model, data.Held, data.FirstRow, Math.Min(data.Rows, limit ?? data.Rows));
    }

    public void Dispose()
    {
        Rows?.Dispose();
        data?.Dispose();
    }
}
