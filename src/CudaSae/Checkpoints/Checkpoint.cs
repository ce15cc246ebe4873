using System.Globalization;
using CudaSae.Backends;
using CudaSae.Backends.Cpu;
using CudaSae.Data;

namespace CudaSae.Checkpoints;

/// <summary>Where a resumed run goes on.</summary>
/// <param name="Step">The last step that was finished.</param>
/// <param name="Cursor">The next unread row.</param>
/// <param name="State">What the trainer decided so far, by name.</param>
/// <param name="Fvu">Fraction of variance unexplained on that step's batch, before its update; null where it was not measured.</param>
public readonly record struct CheckpointPosition(long Step, RowCursor Cursor, IReadOnlyDictionary<string, string>? State = null, double? Fvu = null);

/// <summary>All of a backend's state in one safetensors file, checkpoint/step-N.safetensors, with checksums. Written atomically; the last few are kept, and the one of the lowest FVU.</summary>
public static class Checkpoint
{
    /// <summary>Writes one from the backend itself, which waits for it. <see cref="CheckpointWriter"/> writes in the background.</summary>
    /// <exception cref="SaeException">The folder cannot be written or the disk is full; older checkpoints are untouched.</exception>
    public static string Save(string run, IBackend backend, CheckpointPosition at) => Save(run, backend, backend.State, backend.ReadState, at);

    internal static string Save(string run, IBackend backend, IReadOnlyList<StateArray> arrays, StateReader read, CheckpointPosition at)
    {
        var path = CheckpointFolder.StepPath(run, at.Step);
        CheckpointFile.Write(path, arrays, read, Metadata(backend, at));
        CheckpointFolder.Rotate(run, path, at.Fvu, backend.Config.KeepCheckpoints, backend.Config.KeepBest);
        return path;
    }

    /// <summary>Whether a run has any, whole or not. One that was killed before its first has none.</summary>
    public static bool Exists(string run) => CheckpointFolder.Candidates(run).Length > 0;

    static Dictionary<string, string> Metadata(IBackend backend, CheckpointPosition at)
    {
        var metadata = new Dictionary<string, string>(at.State ?? new Dictionary<string, string>())
        {
            ["step"] = at.Step.ToString(CultureInfo.InvariantCulture),
            ["epoch"] = at.Cursor.Epoch.ToString(CultureInfo.InvariantCulture),
            ["position"] = at.Cursor.Position.ToString(CultureInfo.InvariantCulture),
            ["backend"] = NameOf(backend),
        };
        if (at.Fvu is { } fvu) metadata["fvu"] = fvu.ToString("R", CultureInfo.InvariantCulture);
        return metadata;
    }

    static string NameOf(IBackend backend) => backend is CpuBackend ? "cpu" : "cuda";

    /// <summary>Restores the newest checkpoint of a run. Its checksums are compared before any state is written.</summary>
    /// <param name="note">Told in one line each which checkpoints are damaged and which older one is taken instead; the damaged ones are renamed to *.damaged. Without it a damaged one is refused.</param>
    /// <exception cref="SaeException">There is none, all are damaged, or it belongs to another architecture or backend.</exception>
    public static CheckpointPosition Restore(string run, IBackend backend, uint deadAfterSteps, Action<string>? note = null)
    {
        using var file = OpenNewest(run, note, out var damaged);
        if (!CheckpointFile.HasChecksums(file)) note?.Invoke($"{file.Path} is of version 1, without checksums: it is taken as it is");
        if (file.Metadata.TryGetValue("backend", out var writtenBy) && writtenBy != NameOf(backend))
            throw new SaeException($"{file.Path} holds the state of the {writtenBy} backend, this run's is {NameOf(backend)}; go on with --backend {writtenBy}{(writtenBy == "cuda" ? " or emulator" : "")}");
        var at = Position(file);
        CheckpointFile.WriteInto(file, backend);
        backend.AfterRestore((uint)at.Step, deadAfterSteps);
        foreach (var one in damaged)
        {
            CheckpointFolder.SetAside(one.Path);
            note!($"{one.Message}; it is now {Path.GetFileName(one.Path)}.damaged, and the run goes on from {Path.GetFileName(file.Path)}, step {at.Step}");
        }
        return at;
    }

    internal static CheckpointPosition Position(SafetensorsFile file)
    {
        return new(Number("step"), new(Number("epoch"), Number("position")), file.Metadata);

        long Number(string key) => file.Metadata.TryGetValue(key, out var text) && long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            ? number : throw new SaeException($"{file.Path} is no checkpoint: its metadata lacks {key}");
    }

    /// <summary>The newest one that is whole, and what is wrong with those after it.</summary>
    static SafetensorsFile OpenNewest(string run, Action<string>? note, out List<(string Path, string Message)> damaged)
    {
        damaged = [];
        foreach (var path in CheckpointFolder.Candidates(run))
            try
            {
                var file = CheckpointFile.OpenVerified(path);
                if (damaged.Count == 0 || note is not null) return file;
                file.Dispose();
                throw new SaeException($"{damaged[0].Message}; {path} is whole: move the damaged one away to go on from there", kind: SaeErrorKind.Files);
            }
            catch (DamagedCheckpointException e) { damaged.Add((path, e.Message)); }
        throw damaged.Count == 0 ? new SaeException($"{run} holds no checkpoint to resume from")
            : new SaeException($"{damaged[0].Message}; no older checkpoint is whole, so the run cannot go on: start it again", kind: SaeErrorKind.Files);
    }
}
