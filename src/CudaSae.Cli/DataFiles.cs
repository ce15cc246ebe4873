using System.CommandLine;
using CudaSae.Data;

namespace CudaSae.Cli;

/// <summary>Training rows and held-out rows of a run: one source cut in two, or two.</summary>
sealed class DataFiles : IDisposable
{
    DataFiles(ActivationSource source, ActivationSource held, long trainRows, long firstHeld, long heldRows, string[] paths, string? heldOut, string? tensor)
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

    public static Option<string?> TensorOption() => new("--tensor") { Description = "what to read where a file or folder holds several: the name of a tensor (.safetensors, .pt) or column (.arrow), or layer=13 of saev's shards, with ,tokens=all for the CLS token too" };

    /// <param name="heldOut">A number of rows at the end of the data, a file, or null for 1/10 at most 8192.</param>
    /// <param name="beside">Files or folders with the same rows of other sites, each joined to the right of <paramref name="paths"/>.</param>
    public static DataFiles Open(string[] paths, string? heldOut, string? tensor, string[]? beside = null)
    {
        var source = Activations.Open(paths, tensor);
        int[] widths = [source.Width];
        try
        {
            if (beside is { Length: > 0 })
            {
                if (heldOut is not null && !long.TryParse(heldOut, out _)) throw new SaeException($"--held-out {heldOut}: with --beside it must be a number of rows at the end");
                ActivationSource[] others = [.. beside.Select(path => Activations.Open([path], tensor))];
                widths = [source.Width, .. others.Select(o => o.Width)];
                source = ActivationSource.Join([source, .. others]);
            }
            if (heldOut is not null && !long.TryParse(heldOut, out _))
            {
                var held = Activations.OpenHeldOut(heldOut, tensor, source);
                if (held.Width == source.Width) return new(source, held, source.Rows, 0, held.Rows, paths, heldOut, tensor) { Widths = widths };
                var message = $"{heldOut} is {held.Width} wide but {paths[0]} is {source.Width}; both must agree";
                held.Dispose();
                throw new SaeException(message);
            }
            var rows = heldOut is null ? Math.Min(8192, source.Rows / 10) : long.Parse(heldOut);
            if (rows < 0 || rows >= source.Rows) throw new SaeException($"--held-out {rows} leaves nothing to train on: the data have {source.Rows} rows");
            return new(source, source, source.Rows - rows, source.Rows - rows, rows, paths, heldOut, tensor) { Beside = beside ?? [], Widths = widths };
        }
        catch { source.Dispose(); throw; }
    }

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
        throw new SaeException($"no data were given and the shipped data/{Train} was not found; run from the checkout, or name activation files");
    }
}
