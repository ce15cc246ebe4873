using System.CommandLine;
using CudaSae.Activations;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Cli;

/// <summary>Training rows and held-out rows of a run: one source cut in two, or two.</summary>
sealed class DataFiles : IDisposable
{
    DataFiles(ActivationSource source, ActivationSource held, long trainRows, long firstHeld, long heldRows,
        string[] paths, string? heldOut, string? tensor)
    {
        (Source, Held, TrainRows, FirstHeld, HeldRows) = (source, held, trainRows, firstHeld, heldRows);
        (Paths, HeldOut, Tensor) = (paths, heldOut, tensor);
    }

    /// <summary>Files or folders whose rows stand beside those of <see cref="Paths"/>.</summary>
    public string[] Beside { get; private init; } = [];

    /// <summary>Widths of the files side by side.</summary>
    public int[] Widths { get; private init; } = [];

    public ActivationSource Source { get; }
    public ActivationSource Held { get; }
    public long TrainRows { get; }
    public long FirstHeld { get; }
    public long HeldRows { get; }
    public string[] Paths { get; }
    public string? HeldOut { get; }
    public string? Tensor { get; }

    public static Option<string?> TensorOption() =>
        new("--tensor")
        {
            Description =
                "what to read where a file or folder holds several: the name of a tensor (.safetensors, .pt) or column "
                    + "(.arrow), or layer=13 of saev's shards, with ,tokens=all for the CLS token too"
        };

    /// <summary>What the rows are, of a run that trains on them.</summary>
    public RunFingerprint Fingerprint => field ??= new(
        DataFingerprint.Of(Source, Widths, 0, TrainRows),
        HeldRows > 0 ? DataFingerprint.Of(Held, Widths, FirstHeld, HeldRows) : null);

    /// <param name="heldOut">A number of rows at the end of the data, a file, or null for 1/10 at most 8192.</param>
    /// <param name="beside">Files or folders with the same rows of other sites, each joined to the right of
    /// <paramref name="paths"/>.</param>
    /// <param name="cut">A run that trained on these files: its rows are cut where they were then. Null to cut them
    /// anew.</param>
    public static DataFiles Open(string[] paths, string? heldOut, string? tensor, string[]? beside = null,
        RunFingerprint? cut = null)
    {
        var source = Activations.Open(paths, tensor);
        int[] widths = [source.Width];
        try
        {
            var number = HeldOutOption.Rows(heldOut, source.Rows);
            var file = heldOut is not null && number is null;
            if (beside is { Length: > 0 })
            {
                if (file)
                    throw new SaeException($"--held-out {heldOut}: "
                        + "with --beside it must be a number of rows at the end");
                (source, widths) = Join(source, beside, tensor);
            }
            if (file) return OpenHeldOut(source, paths, heldOut!, tensor, cut);
            var rows = cut is not null ? cut.Held?.Rows ?? 0 : number ?? Math.Min(8192, source.Rows / 10);
            var train = cut?.Train.Rows ?? source.Rows - rows;
            if (cut is not null && source.Rows - rows < train)
                throw new SaeException($"there were {train + rows} rows and there are now {source.Rows}; "
                    + "put the old files back", kind: SaeErrorKind.Files);
            if (train < 1)
                throw new SaeException($"--held-out {rows} leaves nothing to train on: "
                    + $"the data have {source.Rows} rows");
            return new(source, source, train, train, rows, paths, heldOut, tensor)
            {
                Beside = beside ?? [], Widths = widths,
            };
        }
        catch { source.Dispose(); throw; }
    }

    static (ActivationSource, int[] Widths) Join(ActivationSource source, string[] beside, string? tensor)
    {
        ActivationSource[] others = [.. beside.Select(path => Activations.Open([path], tensor))];
        return (ActivationSource.Join([source, .. others]), [source.Width, .. others.Select(o => o.Width)]);
    }

    static DataFiles OpenHeldOut(ActivationSource source, string[] paths, string heldOut, string? tensor,
        RunFingerprint? cut)
    {
        var held = Activations.OpenHeldOut(heldOut, tensor, source);
        try
        {
            if (held.Width != source.Width)
                throw new SaeException($"{heldOut} is {held.Width} wide but {paths[0]} is {source.Width}; "
                    + "both must agree");
            long train = cut?.Train.Rows ?? source.Rows, rows = cut is null ? held.Rows : cut.Held?.Rows ?? 0;
            if (source.Rows < train)
                throw new SaeException($"there were {train} training rows and there are now {source.Rows}; "
                    + "put the old files back", kind: SaeErrorKind.Files);
            if (held.Rows < rows)
                throw new SaeException($"there were {rows} held-out rows and there are now {held.Rows}; "
                    + "put the old files back", kind: SaeErrorKind.Files);
            return new(source, held, train, 0, rows, paths, heldOut, tensor) { Widths = [source.Width] };
        }
        catch { held.Dispose(); throw; }
    }

    /// <summary>Rows behind those that a run trains on and holds out, which came later: a line to print; null where
    /// there are none.</summary>
    public string? Behind
    {
        get
        {
            var more = ReferenceEquals(Source, Held)
                ? Source.Rows - FirstHeld - HeldRows
                : Source.Rows - TrainRows + Held.Rows - HeldRows;
            return more > 0 ? $"{more} rows behind those that it began with are left out" : null;
        }
    }

    /// <summary>--held-out as a record keeps it.</summary>
    public string? FullHeldOut =>
        HeldOut is null || HeldOutOption.IsNumber(HeldOut) ? HeldOut : Path.GetFullPath(HeldOut);

    /// <summary>As <see cref="Open"/>; without any files the shipped ones.</summary>
    public static DataFiles OpenOrShipped(string[] paths, string? heldOut, string? tensor, string[]? beside = null)
    {
        (paths, heldOut) = ShippedData.OrGiven(paths, heldOut);
        return Open(paths, heldOut, tensor, beside);
    }

    public void Dispose()
    {
        Source.Dispose();
        if (!ReferenceEquals(Source, Held)) Held.Dispose();
    }
}

/// <summary>The activations in data/, found from the current folder or the program's upwards.</summary>
static class ShippedData
{
    const string Train = "use_lite_resid_post0_train.npy", Held = "use_lite_resid_post0_held_out.npy";

    public static (string[] Paths, string? HeldOut) OrGiven(string[] paths, string? heldOut)
    {
        if (paths.Length > 0) return (paths, heldOut);
        foreach (var start in new[] { Environment.CurrentDirectory, AppContext.BaseDirectory })
            for (var folder = new DirectoryInfo(start); folder is not null; folder = folder.Parent)
            {
                var train = Path.Combine(folder.FullName, "data", Train);
                if (File.Exists(train)) return ([train], heldOut ?? Path.Combine(folder.FullName, "data", Held));
            }
        throw new SaeException($"no data were given and the shipped data/{Train} was not found; run from the checkout, "
            + "or name activation files");
    }
}
