using CudaSae.Activations;
using CudaSae.Model;
using CudaSae.Runs;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Cli;

/// <summary>The rows on which a command evaluates an SAE: the named files, or the held-out rows of its run. All
/// commands that take an SAE open its rows here.</summary>
sealed class SaeRows : IDisposable
{
    readonly RunData data;

    SaeRows(RunData data, bool named) =>
        (this.data, Rows) = (data, named ? RowSlice.All(data.Source) : data.Held);

    /// <summary>The rows to evaluate on.</summary>
    public RowSlice Rows { get; }

    /// <summary>Training rows; all rows if files are named.</summary>
    public RowSlice Train => data.Train;

    /// <summary>Returns the number of rows that an SAE computes together in an evaluation.</summary>
    /// <param name="rows">The number of rows that are evaluated.</param>
    public static int BatchRows(long rows) => (int)Math.Clamp(rows, 1, 1024);

    /// <summary>Returns the record of an SAE from a run's folder or one of its checkpoints; null if there is no
    /// record.</summary>
    public static RunRecord? RecordOf(string path) => RunOf(path) is { } run ? RunRecord.Load(run) : null;

    /// <summary>Returns the folder of the run that a path belongs to; null if it belongs to none.</summary>
    static string? RunOf(string path)
    {
        var folder = Directory.Exists(path) ? path : File.Exists(path) ? Checkpoint.RunOf(path) : null;
        return folder is not null && File.Exists(Path.Combine(folder, RunRecord.FileName)) ? folder : null;
    }

    /// <param name="path">Path of the SAE, for messages.</param>
    /// <param name="named">Activation files; none for the run's held-out rows.</param>
    /// <param name="tensor">Name of the tensor; null for the run's own.</param>
    /// <param name="spec">Spec of the SAE; null to skip the check of its rows.</param>
    /// <param name="beside">Files beside the named files; none for a run's held-out rows.</param>
    /// <param name="shipped">Whether an SAE without a record is evaluated on the shipped rows.</param>
    /// <param name="advice">Advice on how to name files in this command.</param>
    /// <exception cref="SaeException">The rows do not exist, cannot be opened, or differ from those of the
    /// run.</exception>
    public static SaeRows Open(string path, RunRecord? record, string[] named, string? tensor, SaeSpec? spec = null,
        string[]? beside = null, bool shipped = false, string advice = "name activation files after it")
    {
        if (named.Length > 0)
            return Checked(new(DataOptions.Open(named, "0", tensor, beside), named: true), path, spec);
        if (beside is { Length: > 0 })
            throw new SaeException("--beside needs activation files: "
                + "name those of the input too");
        if (record is null && spec is not null && Beside.Missing(spec) is { } missing)
            throw new SaeException($"{path} does not state which rows it was trained on; "
                + $"name activation files after it: {missing}");
        if (record is null && !shipped)
            throw new SaeException($"{path} does not state which rows it was trained on; {advice}");
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

/// <summary>Methods for the path of an SAE: a file or folder.</summary>
static class SaePath
{
    /// <summary>Returns the folder of its figures.</summary>
    public static string Folder(string path) =>
        File.Exists(path) ? Path.GetDirectoryName(Path.GetFullPath(path))! : path;

    /// <summary>Returns its name for captions.</summary>
    public static string Name(string path) =>
        Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(path)));
}
