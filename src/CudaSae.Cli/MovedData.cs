using CudaSae.Runs;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Cli;

/// <summary>New paths of the rows that a run or a sweep began with, given beside --resume. The record's fingerprint
/// decides whether they are the same rows.</summary>
sealed record MovedData(string[] Data, string[] Beside, string? HeldOut)
{
    /// <summary>Returns the new paths; null if none are given.</summary>
    public static MovedData? Of(string[]? data, string[]? beside, string? heldOut) =>
        data is { Length: > 0 } || beside is { Length: > 0 } || heldOut is not null
            ? new(data ?? [], beside ?? [], heldOut)
            : null;

    /// <summary>Returns a copy of the record's names with the new paths.</summary>
    /// <exception cref="SaeException">The rows cannot be compared with the record, or --held-out would cut the data at
    /// another row.</exception>
    public DataNames Over(string run, DataNames old, RunFingerprint? fingerprint)
    {
        if (fingerprint is null)
            throw new SaeException($"{run} was begun by an older version, whose record does not identify its rows: "
                + $"put the data back where they were ({string.Join(", ", old.Data)}) and name none");
        if (HeldOut is not null
            && (old.HeldOut is null || DataNames.IsNumber(old.HeldOut) || DataNames.IsNumber(HeldOut)))
            throw new SaeException("--held-out cannot be changed when a run is resumed: "
                + "its rows are cut as they were when it began; leave it out, or start a new run");
        if (Beside.Length > 0 && Beside.Length != old.Beside.Length)
            throw new SaeException($"--beside names {Beside.Length} files or folders, "
                + $"{run} began with {old.Beside.Length}; name as many, in the same order");
        return old with
        {
            Data = Full(Data, old.Data),
            Beside = Full(Beside, old.Beside),
            HeldOut = HeldOut is null ? old.HeldOut : Path.GetFullPath(HeldOut),
        };
    }

    static string[] Full(string[] named, string[] old) => named.Length > 0 ? [.. named.Select(Path.GetFullPath)] : old;

    /// <summary>Lists each path that changed, one line each.</summary>
    public static IEnumerable<string> Describe(DataNames old, DataNames now)
    {
        (string, string[], string[])[] paths =
        [
            ("data", old.Data, now.Data), ("beside", old.Beside, now.Beside),
            ("held_out", [old.HeldOut ?? ""], [now.HeldOut ?? ""]),
        ];
        foreach (var (what, before, after) in paths)
            if (!before.AsSpan().SequenceEqual(after))
                yield return $"{what} {string.Join(", ", before)} → {string.Join(", ", after)}";
    }
}
