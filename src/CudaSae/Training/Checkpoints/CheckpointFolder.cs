using System.Globalization;
using CudaSae.Files;

namespace CudaSae.Training.Checkpoints;

/// <summary>The checkpoint files of a run: checkpoint/step-N.safetensors and checkpoint/best.safetensors.</summary>
static class CheckpointFolder
{
    const string Name = "checkpoint", Pattern = "step-*.safetensors";

    static string Folder(string run) => Path.Combine(run, Name);

    /// <summary>Returns the folder of the run whose checkpoint folder holds a file; null for any other file.</summary>
    public static string? RunOf(string file) =>
        Path.GetDirectoryName(Path.GetFullPath(file)) is { } folder && Path.GetFileName(folder) == Name
            ? Path.GetDirectoryName(folder)
            : null;

    public static string StepPath(string run, long step) => Path.Combine(Folder(run), $"step-{step:D9}.safetensors");
    public static string BestPath(string run) => Path.Combine(Folder(run), "best.safetensors");

    /// <summary>Returns the checkpoints from which a run may resume: the newest first, and the best one after all
    /// others.</summary>
    public static string[] Candidates(string run) =>
        [.. Enumerable.Reverse(Steps(run)), .. File.Exists(BestPath(run)) ? [BestPath(run)] : Array.Empty<string>()];

    static string[] Steps(string run) => !Directory.Exists(Folder(run)) ? []
        : [.. Directory.GetFiles(Folder(run), Pattern).OrderBy(path => path.Length)
            .ThenBy(path => path, StringComparer.Ordinal)];

    /// <summary>Makes a new checkpoint the best one if its FVU is the lowest, and then deletes the checkpoints before
    /// the last <paramref name="keep"/>. The new checkpoint must be complete and synced.</summary>
    public static void Rotate(string run, string written, double? fvu, int keep, bool keepBest)
    {
        try
        {
            if (keepBest && fvu is { } now && !(BestFvu(run) <= now)) AtomicFile.LinkOrCopy(written, BestPath(run));
            foreach (var old in Steps(run).SkipLast(keep)) File.Delete(old);
            // A process that was killed leaves temporary files.
            foreach (var cut in Directory.GetFiles(Folder(run), "*.tmp")) File.Delete(cut);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SaeException($"{written} is saved, but an older checkpoint cannot be removed: "
                + $"{e.Message.TrimEnd('.')}",
                e, SaeErrorKind.Files);
        }
    }

    /// <summary>Returns the FVU of the best checkpoint; null if there is none or it cannot be read.</summary>
    static double? BestFvu(string run)
    {
        if (!File.Exists(BestPath(run))) return null;
        try
        {
            using var file = CheckpointFile.OpenHeader(BestPath(run));
            return file.Metadata.TryGetValue("fvu", out var text)
                && double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var fvu)
                && fvu >= 0 ? fvu : null;       // a negative FVU is the result of cancellation
        }
        catch (DamagedCheckpointException) { return null; }
    }

    /// <summary>Renames a damaged checkpoint. It no longer counts as a kept checkpoint, and can still be
    /// examined.</summary>
    public static void SetAside(string path)
    {
        try { File.Move(path, path + ".damaged", overwrite: true); }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SaeException($"{path} is damaged and cannot be renamed: {e.Message.TrimEnd('.')}", e,
                SaeErrorKind.Files);
        }
    }
}
