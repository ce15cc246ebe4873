using CudaSae.Activations;
using CudaSae.Files;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Runs;

/// <summary>The rows of a run. Training rows are the first rows of a source. Held-out rows follow them or come from a
/// file.</summary>
sealed class RunData : IDisposable
{
    const long MostHeldOut = 8192;

    /// <param name="source">Owned, like the source of <paramref name="held"/>.</param>
    RunData(ActivationSource source, long trainRows, RowSlice held, DataNames names, int[] widths) =>
        (Train, Held, Names, Widths) = (new(source, 0, trainRows), held, names, widths);

    /// <summary>The training rows.</summary>
    public RowSlice Train { get; }

    /// <summary>The source that begins with the training rows.</summary>
    public ActivationSource Source => Train.Source;

    /// <summary>The number of training rows.</summary>
    public long TrainRows => Train.Count;

    /// <summary>The held-out rows.</summary>
    public RowSlice Held { get; }

    /// <summary>The names of the files that hold the rows.</summary>
    public DataNames Names { get; }

    /// <summary>Widths of the files that are joined side by side.</summary>
    public int[] Widths { get; }

    /// <summary>Identifies the rows.</summary>
    public RunFingerprint Fingerprint => field ??= new(
        DataFingerprint.Of(Train, Widths), Held.Count > 0 ? DataFingerprint.Of(Held, Widths) : null);

    /// <summary>Makes a run's rows from a source in memory; the last rows are held out.</summary>
    /// <param name="source">Owned.</param>
    /// <param name="heldRows">Number of held-out rows.</param>
    public static RunData Of(ActivationSource source, long heldRows) => new(source, source.Rows - heldRows,
        new(source, source.Rows - heldRows, heldRows), new([], [], null, null), [source.Width]);

    /// <summary>Opens the named rows. If HeldOut is null, a tenth of the rows is held out, at most 8192.</summary>
    /// <param name="note">Takes one line on each fact that a person should see, such as files that were left
    /// out.</param>
    /// <param name="cut">The fingerprint of a run that trained on these files, whose numbers of training and held-out
    /// rows are used again; null to choose them anew.</param>
    /// <exception cref="SaeException">The rows cannot be opened, do not agree in width, or are too few.</exception>
    public static RunData Open(DataNames names, Action<string> note, RunFingerprint? cut = null)
    {
        var source = ActivationSource.Open(names.Data, names.Tensor, note);
        int[] widths = [source.Width];
        try
        {
            var number = names.HeldOutRows(source.Rows);
            var file = names.HeldOut is not null && number is null;
            if (names.Beside.Length > 0)
            {
                if (file)
                    throw new SaeException($"HeldOut = {names.HeldOut}: "
                        + "with files beside the data it must be a number of rows at the end");
                var others = Beside(names, note);
                widths = [source.Width, .. others.Select(other => other.Width)];
                try { source = ActivationSource.Join([source, .. others]); }
                catch { others.ForEach(other => other.Dispose()); throw; }
            }
            return file ? WithFile(source, names, note, cut) : Cut(source, names, number, widths, cut);
        }
        catch { source.Dispose(); throw; }
    }

    static List<ActivationSource> Beside(DataNames names, Action<string> note)
    {
        var opened = new List<ActivationSource>();
        try
        {
            foreach (var path in names.Beside) opened.Add(ActivationSource.Open([path], names.Tensor, note));
            return opened;
        }
        catch { opened.ForEach(source => source.Dispose()); throw; }
    }

    static RunData Cut(ActivationSource source, DataNames names, long? heldOut, int[] widths, RunFingerprint? cut)
    {
        var rows = cut is not null ? cut.Held?.Rows ?? 0 : heldOut ?? Math.Min(MostHeldOut, source.Rows / 10);
        var train = cut?.Train.Rows ?? source.Rows - rows;
        if (cut is not null && source.Rows - rows < train)
            throw new SaeException($"there were {train + rows} rows and there are now {source.Rows}; "
                + "put the old files back", kind: SaeErrorKind.Files);
        if (train < 1)
            throw new SaeException($"HeldOut = {rows} leaves no rows to train on: the data have {source.Rows} rows");
        return new(source, train, new(source, train, rows), names, widths);
    }

    static RunData WithFile(ActivationSource source, DataNames names, Action<string> note, RunFingerprint? cut)
    {
        var held = ActivationSource.Open([names.HeldOut!], names.Tensor, note);
        try
        {
            if (held.FileSharedWith(source) is { } shared)
                note($"{TensorFile.Shown(shared)} is both held out and trained on: "
                    + "its figures are not those of new rows");
            if (held.Width != source.Width)
                throw new SaeException($"{names.HeldOut} is {held.Width} wide but {names.Data[0]} is {source.Width}; "
                    + "both must agree");
            long train = cut?.Train.Rows ?? source.Rows, rows = cut is null ? held.Rows : cut.Held?.Rows ?? 0;
            if (source.Rows < train) throw Fewer("training", train, source.Rows);
            if (held.Rows < rows) throw Fewer("held-out", rows, held.Rows);
            return new(source, train, new(held, 0, rows), names, [source.Width]);
        }
        catch { held.Dispose(); throw; }
    }

    static SaeException Fewer(string which, long then, long now) =>
        new($"there were {then} {which} rows and there are now {now}; put the old files back",
            kind: SaeErrorKind.Files);

    /// <summary>Opens the rows of a run or a sweep again, with its numbers of training and held-out rows. The rows must
    /// be the same; more rows may follow them.</summary>
    /// <param name="folder">The run's folder, for messages.</param>
    /// <param name="fingerprint">The fingerprint of the rows that the run began with; null if its record has
    /// none.</param>
    /// <exception cref="SaeException">The rows cannot be opened, or differ from those of the run.</exception>
    public static RunData Reopen(string folder, DataNames names, RunFingerprint? fingerprint, Action<string> note)
    {
        RunData data;
        try { data = Open(names, note, fingerprint); }
        catch (SaeException e)
        {
            throw new SaeException($"the data of {folder} cannot be opened: {e.Message}", e, e.Kind);
        }
        try
        {
            data.RequireThoseOf(folder, fingerprint);
            return data;
        }
        catch { data.Dispose(); throw; }
    }

    /// <summary>Opens the rows of a run again.</summary>
    /// <param name="heldOut">Other held-out rows; null for those of the run.</param>
    /// <param name="tensor">Another tensor or column; null for that of the run.</param>
    /// <exception cref="SaeException">The rows cannot be opened, or differ from those of the run.</exception>
    public static RunData Reopen(string folder, RunRecord record, Action<string> note, string? heldOut = null,
        string? tensor = null)
    {
        var own = heldOut is null && (tensor is null || tensor == record.Tensor);
        var names = new DataNames(record.Data, record.Beside, heldOut ?? record.HeldOut, tensor ?? record.Tensor);
        var data = Reopen(folder, names, own ? record.Fingerprint : null, note);
        try
        {
            if (heldOut is null && record.Fingerprint is null) data.RequireTrainRows(folder, record.TrainRows);
            return data;
        }
        catch { data.Dispose(); throw; }
    }

    /// <summary>Refuses these rows if a run began with others.</summary>
    /// <exception cref="SaeException">The rows differ from those of the run.</exception>
    public void RequireThoseOf(string folder, RunRecord record)
    {
        RequireThoseOf(folder, record.Fingerprint);
        RequireTrainRows(folder, record.TrainRows);
    }

    void RequireThoseOf(string folder, RunFingerprint? fingerprint)
    {
        if (fingerprint?.Difference(Fingerprint) is { } difference)
            throw new SaeException($"the data of {folder} are not those that it began with: {difference}; "
                + "put the old files back", kind: SaeErrorKind.Files);
    }

    void RequireTrainRows(string folder, long rows)
    {
        if (TrainRows != rows)
            throw new SaeException($"the data of {folder} had {rows} training rows and now have {TrainRows}; "
                + "put the old files back", kind: SaeErrorKind.Files);
    }

    /// <summary>One line on rows that were added to the files after the run began; null if there are none.</summary>
    public string? Behind
    {
        get
        {
            var more = ReferenceEquals(Source, Held.Source) ? Source.Rows - Held.End
                : Source.Rows - TrainRows + Held.Source.Rows - Held.Count;
            return more > 0 ? $"{more} rows that follow those of the run are left out" : null;
        }
    }

    public void Dispose()
    {
        Source.Dispose();
        if (!ReferenceEquals(Source, Held.Source)) Held.Source.Dispose();
    }
}
