using CudaSae.Activations;
using CudaSae.Model;
using CudaSae.Runs;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Cli;

/// <summary>The rows on which a command evaluates an SAE: the files that are named, else the held-out rows of its run.
/// All commands that take an SAE open its rows here.</summary>
sealed class SaeRows : IDisposable
{
    readonly RunData data;

    SaeRows(RunData data, bool named) =>
        (this.data, Rows) = (data, named ? RowSlice.All(data.Source) : data.Held);

    /// <summary>The rows to evaluate on.</summary>
    public RowSlice Rows { get; }

    /// <summary>Training rows. With files that are named, all rows.</summary>
    public RowSlice Train => new(data.Source, 0, data.TrainRows);

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
    public static SaeRows Open(string path, RunRecord? record, string[] named, string? tensor, SaeSpec? spec = null,
        string[]? beside = null, bool shipped = false, string advice = "name activation files after it")
    {
        if (named.Length > 0)
            return Checked(new(DataOptions.Open(named, "0", tensor, beside), named: true), path, spec);
        if (beside is { Length: > 0 })
            throw new SaeException("--beside stands beside activation files that are named: "
                + "name those of the input too");
        if (record is null && spec is not null && Beside.Missing(spec) is { } missing)
            throw new SaeException($"{path} does not say which rows it was trained on; "
                + $"name activation files after it: {missing}");
        if (record is null && !shipped)
            throw new SaeException($"{path} does not say which rows it was trained on; {advice}");
        var own = new SaeRows(record is null ? DataOptions.OpenOrShipped([], null, tensor)
            : RunData.Reopen(path, record, Console.WriteLine, tensor: tensor), named: false);
        if (own.Rows.Count > 0) return Checked(own, path, spec);
        own.Dispose();
        throw new SaeException($"{path} held no rows out; {advice}");
    }

    static SaeRows Checked(SaeRows rows, string path, SaeSpec? spec)
    {
        try
        {
            var (names, widths) = (rows.data.Names, rows.data.Widths);
            if (spec is not null) Beside.Check(path, spec, names.Data, names.Beside, widths);
            return rows;
        }
        catch
        {
            rows.Dispose();
            throw;
        }
    }

    public void Dispose() => data.Dispose();
}

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
