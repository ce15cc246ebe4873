using CudaSae.Activations;
using CudaSae.Model;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Cli;

/// <summary>What a command looks at an SAE with: the files that were named, else the held-out rows of its run. All
/// commands that take an SAE open its data here, and so refuse in the same words.</summary>
sealed class RunData : IDisposable
{
    readonly DataFiles files;

    RunData(DataFiles files, bool named) =>
        (this.files, FirstRow, Rows) = (files, named ? 0 : files.FirstHeld, named ? files.Held.Rows : files.HeldRows);

    /// <summary>Holds the rows to look at: <see cref="Rows"/> of them, from <see cref="FirstRow"/> on.</summary>
    public ActivationSource Held => files.Held;
    public long FirstRow { get; }
    public long Rows { get; }

    /// <summary>Holds training rows: the first <see cref="TrainRows"/>. Of files that were named all rows, which are
    /// those to look at too.</summary>
    public ActivationSource Train => files.Source;
    public long TrainRows => files.TrainRows;

    /// <summary>How the SAE at a path was trained, a run's folder or one of its checkpoints; null where there is no
    /// record.</summary>
    public static RunRecord? RecordOf(string path) => RunOf(path) is { } run ? RunRecord.Load(run) : null;

    /// <summary>The folder of the run that a path is of; null where it is of none.</summary>
    static string? RunOf(string path)
    {
        var folder = Directory.Exists(path) ? path : File.Exists(path) ? Checkpoint.RunOf(path) : null;
        return folder is not null && File.Exists(Path.Combine(folder, RunRecord.FileName)) ? folder : null;
    }

    /// <param name="path">Of the SAE, for messages.</param>
    /// <param name="named">Activation files; none for the run's held-out rows.</param>
    /// <param name="tensor">Null for the run's own.</param>
    /// <param name="spec">Of the SAE; null where its rows are not checked.</param>
    /// <param name="beside">Files beside those that were named; none for a run's held-out rows.</param>
    /// <param name="shipped">Whether an SAE without a record is looked at with the shipped rows.</param>
    /// <param name="advice">How files are named in this command.</param>
    /// <exception cref="SaeException">There are no such rows, they cannot be opened, or they are not those that the run
    /// had.</exception>
    public static RunData Open(string path, RunRecord? record, string[] named, string? tensor, SaeSpec? spec = null,
        string[]? beside = null, bool shipped = false, string advice = "name activation files after it")
    {
        if (named.Length > 0) return Checked(new(DataFiles.Open(named, "0", tensor, beside), named: true), path, spec);
        if (beside is { Length: > 0 })
            throw new SaeException("--beside stands beside activation files that are named: "
                + "name those of the input too");
        if (record is null && spec is not null && Beside.Missing(spec) is { } missing)
            throw new SaeException($"{path} does not say which rows it was trained on; "
                + $"name activation files after it: {missing}");
        if (record is null && !shipped)
            throw new SaeException($"{path} does not say which rows it was trained on; {advice}");
        var own = new RunData(record is null ? DataFiles.OpenOrShipped([], null, tensor)
            : Reopen(path, record, tensor: tensor),
            named: false);
        if (own.Rows > 0) return Checked(own, path, spec);
        own.Dispose();
        throw new SaeException($"{path} held no rows out; {advice}");
    }

    static RunData Checked(RunData data, string path, SaeSpec? spec)
    {
        try
        {
            if (spec is not null) Beside.Check(path, spec, data.files.Paths, data.files.Beside, data.files.Widths);
            return data;
        }
        catch
        {
            data.Dispose();
            throw;
        }
    }

    /// <summary>The files that a run was trained on, cut as they were then. Their rows must be the same; more may stand
    /// behind them.</summary>
    /// <param name="heldOut">Held-out rows other than the run's own.</param>
    /// <param name="tensor">Null for the run's own.</param>
    /// <exception cref="SaeException">They cannot be opened, or hold other rows than the run had.</exception>
    public static DataFiles Reopen(string run, RunRecord record, string? heldOut = null, string? tensor = null)
    {
        var own = heldOut is null && (tensor is null || tensor == record.Tensor);
        var names = new DataNames(record.Data, record.Beside, heldOut ?? record.HeldOut, tensor ?? record.Tensor);
        var files = Reopen(run, names, own ? record.Fingerprint : null);
        if (heldOut is not null || record.Fingerprint is not null || files.TrainRows == record.TrainRows) return files;
        var now = files.TrainRows;
        files.Dispose();
        throw new SaeException($"the data of {run} had {record.TrainRows} training rows and now have {now}; put the "
            + "old files back",
            kind: SaeErrorKind.Files);
    }

    /// <summary>As the other, of a run or a sweep.</summary>
    /// <param name="fingerprint">Of the rows that it began with; null where a record has none.</param>
    public static DataFiles Reopen(string run, DataNames names, RunFingerprint? fingerprint)
    {
        DataFiles files;
        try { files = DataFiles.Open(names.Data, names.HeldOut, names.Tensor, names.Beside, fingerprint); }
        catch (SaeException e)
        {
            throw new SaeException($"the data of {run} cannot be opened: {e.Message}", e, e.Kind);
        }
        try
        {
            return fingerprint?.Difference(files.Fingerprint) is not { } difference ? files
                : throw new SaeException($"the data of {run} are not those that it began with: {difference}; "
                    + "put the old files back, or start a new run", kind: SaeErrorKind.Files);
        }
        catch { files.Dispose(); throw; }
    }

    public void Dispose() => files.Dispose();
}

/// <summary>The files of a run or a sweep, as its record names them.</summary>
sealed record DataNames(string[] Data, string[] Beside, string? HeldOut, string? Tensor);

/// <summary>File or folder of an SAE.</summary>
static class SaePath
{
    /// <summary>Where its figures are left.</summary>
    public static string Folder(string path) =>
        File.Exists(path) ? Path.GetDirectoryName(Path.GetFullPath(path))! : path;

    /// <summary>For captions.</summary>
    public static string Name(string path) =>
        Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(path)));
}
