using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using CudaSae.Activations;
using CudaSae.Backends;
using CudaSae.Distributed;
using CudaSae.Feeding;
using CudaSae.Files;
using CudaSae.Model;

namespace CudaSae.Training.Checkpoints;

/// <summary>The position from which a run resumes.</summary>
/// <param name="Step">The last step that was finished.</param>
/// <param name="Cursor">The next unread row.</param>
/// <param name="State">The state of the trainer, by name.</param>
/// <param name="Fvu">Fraction of variance unexplained on that step's batch, before its update; null if it was not
/// measured.</param>
readonly record struct CheckpointPosition(long Step, RowCursor Cursor,
    IReadOnlyDictionary<string, string>? State = null, double? Fvu = null);

/// <summary>A checkpoint: all of a backend's state in one safetensors file, checkpoint/step-N.safetensors, with
/// checksums. Several ranks write a file each and checkpoint/step-N.index.json (<see cref="RankedSave"/>). Any number
/// of ranks, or one process, restores a checkpoint in either form. It is written atomically. The newest ones are kept,
/// and the one of the lowest FVU.</summary>
static class Checkpoint
{
    /// <summary>Writes a checkpoint directly from the backend, and returns when it is complete. All ranks of a run call
    /// it at the same step. <see cref="CheckpointWriter"/> writes in the background.</summary>
    /// <exception cref="SaeException">The folder cannot be written or the disk is full; older checkpoints are
    /// unchanged.</exception>
    public static string Save(string run, IBackend backend, CheckpointPosition at)
    {
        var save = CheckpointSave.Begin(run, backend, at);
        save.Write(backend.State, backend.ReadState);
        return save.Commit();
    }

    /// <summary>Returns whether a run has a checkpoint, whole or damaged. A run that was killed before its first
    /// checkpoint has none.</summary>
    /// <param name="ranks">The ranks of the run, which all call it and get the result of rank 0; null for one
    /// process.</param>
    public static bool Exists(string run, ICollective? ranks = null) =>
        CheckpointFolder.Candidates(run, ranks).Length > 0;

    /// <inheritdoc cref="CheckpointFolder.RunOf"/>
    public static string? RunOf(string file) => CheckpointFolder.RunOf(file);

    internal static Dictionary<string, string> Metadata(IBackend backend, CheckpointPosition at)
    {
        var metadata = new Dictionary<string, string>(at.State ?? new Dictionary<string, string>())
        {
            ["step"] = at.Step.ToString(CultureInfo.InvariantCulture),
            ["epoch"] = at.Cursor.Epoch.ToString(CultureInfo.InvariantCulture),
            ["position"] = at.Cursor.Position.ToString(CultureInfo.InvariantCulture),
            ["backend"] = backend.StateFormat,
            [SpecKey] = SaeRecords.Write(backend.Spec).ToJsonString(),
            [ConfigKey] = ResumeRules.Identity(backend.Config).ToJsonString(),
        };
        if (at.Fvu is { } fvu) metadata["fvu"] = fvu.ToString("R", CultureInfo.InvariantCulture);
        return metadata;
    }

    /// <summary>Keys of the metadata that hold, as JSON, the spec and the part of the config that shapes the SAE
    /// (<see cref="ResumeRules.Identity"/>). Older checkpoints lack them.</summary>
    internal const string SpecKey = "spec", ConfigKey = "config";

    /// <summary>Key of the metadata that hold the fingerprint of the training rows, as JSON.</summary>
    internal const string DataKey = "data";

    /// <summary>Returns the fingerprint of a checkpoint's training rows; null for an older checkpoint, and for a
    /// trainer that reads no file.</summary>
    internal static DataFingerprint? DataOf(CheckpointPosition at)
    {
        if (at.State?.GetValueOrDefault(DataKey) is not { } json) return null;
        try { return JsonSerializer.Deserialize(json, CheckpointJson.Compact.DataFingerprint); }
        catch (JsonException e)
        {
            throw new SaeException($"a checkpoint's metadata {DataKey} cannot be read: {e.Message.Split(". ")[0]}", e,
                SaeErrorKind.Files);
        }
    }

    /// <summary>Restores the newest checkpoint of a run. Its checksums are compared before any state is written. The
    /// ranks of a run all call it, restore the same checkpoint, and each compare a share of the checksums.</summary>
    /// <param name="note">Takes one line on each damaged checkpoint, with the older one that is used instead; damaged
    /// ones are renamed to *.damaged. Null to refuse a damaged one.</param>
    /// <exception cref="SaeException">There is no checkpoint, all are damaged, or it belongs to another architecture or
    /// backend.</exception>
    public static CheckpointPosition Restore(string run, IBackend backend, uint deadAfterSteps,
        Action<string>? note = null)
    {
        var ranks = backend.Shard?.Collective;
        using var file = OpenNewest(run, note, out var damaged, ranks);
        if (file is SafetensorsFile single && !CheckpointFile.HasChecksums(single))
            note?.Invoke($"{file.Path} is of version 1, without checksums: it is restored unchecked");
        if (file.Metadata.TryGetValue("backend", out var writtenBy) && writtenBy != backend.StateFormat)
            throw new SaeException($"{file.Path} holds the state of the {writtenBy} backend, but this run's backend is "
                + $"{backend.StateFormat}; resume it with Backend = "
                + (writtenBy == "cuda" ? "Cuda or Backend = Emulator" : "Cpu"));
        var at = Position(file);
        if (RecordsOf(file) is var (spec, config))
            ResumeRules.RequireSame(file.Path, (spec, config), (backend.Spec, backend.Config));
        RankAgreement.Do(ranks, () => CheckpointFile.WriteInto(file, backend));
        backend.AfterRestore((uint)at.Step, deadAfterSteps);
        foreach (var one in damaged)
        {
            RankAgreement.OnRoot(ranks, () => CheckpointFolder.SetAside(one.Path));
            note!($"{one.Message}; {(CheckpointFolder.IsIndex(one.Path) ? "its index" : "it")} is now "
                + $"{Path.GetFileName(one.Path)}.damaged, and the run resumes from "
                + $"{Path.GetFileName(file.Path)}, step {at.Step}");
        }
        return at;
    }

    /// <summary>Returns spec and config of the run that wrote a checkpoint; null for an older checkpoint. Config fields
    /// that a checkpoint does not keep have their defaults.</summary>
    /// <exception cref="SaeException">They cannot be read.</exception>
    internal static (SaeSpec Spec, TrainConfig Config)? RecordsOf(TensorFile file)
    {
        if (!file.Metadata.TryGetValue(SpecKey, out var spec) || !file.Metadata.TryGetValue(ConfigKey, out var config))
            return null;
        try
        {
            return (SaeRecords.ReadSpec(JsonNode.Parse(spec)!).Validate(),
                SaeRecords.ReadConfig(JsonNode.Parse(config)!).Validate());
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or NotSupportedException
            or ArgumentException or NullReferenceException)
        {
            throw new SaeException($"{file.Path} is not a checkpoint of this version: {e.Message.Split(". ")[0]}", e,
                SaeErrorKind.Files);
        }
    }

    internal static CheckpointPosition Position(TensorFile file)
    {
        return new(Number("step"), new(Number("epoch"), Number("position")), file.Metadata);

        long Number(string key) =>
            file.Metadata.TryGetValue(key, out var text)
                && long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            ? number : throw new SaeException($"{file.Path} is not a checkpoint: its metadata lacks {key}");
    }

    /// <summary>Opens a checkpoint by its file or its index, and compares the checksums of a share of the
    /// tensors.</summary>
    /// <exception cref="DamagedCheckpointException">A byte differs from the one that was written, or a rank's file is
    /// missing; names the file.</exception>
    /// <exception cref="SaeException">The checkpoint is of a later version, or access is denied.</exception>
    internal static TensorFile Open(string path, int share = 0, int shares = 1) => CheckpointFolder.IsIndex(path)
        ? RankedFile.OpenVerified(path, share, shares) : CheckpointFile.OpenVerified(path, share, shares);

    /// <summary>Opens a checkpoint on all ranks. Each rank compares the checksums of a share of the tensors, and what
    /// one rank finds applies to all.</summary>
    static TensorFile Open(string path, ICollective? ranks)
    {
        if (ranks is null) return Open(path);
        TensorFile? file = null;
        SaeException? own = null;
        try { file = Open(path, ranks.Rank, ranks.Size); }
        catch (SaeException e) { own = e; }
        var (level, rank) = RankAgreement.Worst(ranks, own is null ? Whole : own is DamagedCheckpointException ? Damaged
            : Refused);
        if (level == Whole) return file!;
        file?.Dispose();
        var message = ranks.Broadcast(own?.Message, rank);
        throw level == Damaged ? new DamagedCheckpointException(message)
            : new SaeException(message, own, SaeErrorKind.Files);
    }

    const int Whole = 0, Damaged = 1, Refused = 2;      // what a rank finds; the highest applies

    /// <summary>Opens the newest checkpoint that is whole.</summary>
    /// <param name="note">Null to refuse a run whose newest checkpoint is damaged.</param>
    /// <param name="damaged">Receives the newer checkpoints, which are damaged, with the reasons.</param>
    /// <param name="ranks">The ranks of the run, which all call it; null for one process.</param>
    internal static TensorFile OpenNewest(string run, Action<string>? note,
        out List<(string Path, string Message)> damaged, ICollective? ranks = null)
    {
        damaged = [];
        foreach (var path in CheckpointFolder.Candidates(run, ranks))
            try
            {
                var file = Open(path, ranks);
                if (damaged.Count == 0 || note is not null) return file;
                file.Dispose();
                throw new SaeException($"{damaged[0].Message}; {path} is whole: move the damaged one away to resume "
                    + "from it",
                    kind: SaeErrorKind.Files);
            }
            catch (DamagedCheckpointException e) { damaged.Add((path, e.Message)); }
        throw damaged.Count == 0 ? new SaeException($"{run} holds no checkpoint to resume from")
            : new SaeException($"{damaged[0].Message}; no older checkpoint is whole, so the run cannot be resumed: "
                + "start it again",
                kind: SaeErrorKind.Files);
    }
}
