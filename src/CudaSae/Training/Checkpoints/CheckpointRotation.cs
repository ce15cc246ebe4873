using System.Globalization;
using CudaSae.Files;

namespace CudaSae.Training.Checkpoints;

/// <summary>Keeps the best checkpoint of a run and the newest ones, and deletes the others.</summary>
static class CheckpointRotation
{
    /// <summary>Makes a new checkpoint the best one if its FVU is the lowest, and then deletes the checkpoints before
    /// the last <paramref name="keep"/>. The new checkpoint must be complete and synced.</summary>
    /// <param name="written">The file or the index of the new checkpoint.</param>
    public static void Rotate(string run, string written, double? fvu, int keep, bool keepBest)
    {
        try
        {
            if (keepBest && fvu is { } now && !(BestFvu(run) <= now)) MakeBest(run, written);
            // A run that changes from ranks to one process, or back, may write a step again in the other form.
            foreach (var same in CheckpointFolder.Steps(run).Where(path => IsOtherForm(path, written)))
                File.Delete(same);
            foreach (var old in CheckpointFolder.Steps(run).SkipLast(keep)) File.Delete(old);
            // A process that was killed leaves temporary files, and files of ranks that no index names.
            RankFolders.RemoveOthers(run);
            foreach (var cut in Directory.GetFiles(CheckpointFolder.Of(run), "*.tmp")) File.Delete(cut);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SaeException($"{written} is saved, but an older checkpoint cannot be removed: "
                + $"{e.Message.TrimEnd('.')}",
                e, SaeErrorKind.Files);
        }
    }

    static bool IsOtherForm(string path, string written) =>
        CheckpointFolder.StepOf(path) == CheckpointFolder.StepOf(written)
        && Path.GetFileName(path) != Path.GetFileName(written);

    /// <summary>Gives a checkpoint the name of the best one. The best checkpoint in the other form is deleted
    /// afterwards.</summary>
    static void MakeBest(string run, string written)
    {
        var (best, other) = CheckpointFolder.IsIndex(written)
            ? (CheckpointFolder.BestIndexPath(run), CheckpointFolder.BestPath(run))
            : (CheckpointFolder.BestPath(run), CheckpointFolder.BestIndexPath(run));
        AtomicFile.LinkOrCopy(written, best);
        File.Delete(other);
    }

    /// <summary>Returns the FVU of the best checkpoint; null if there is none or it cannot be read.</summary>
    static double? BestFvu(string run)
    {
        double? best = null;
        foreach (var path in new[] { CheckpointFolder.BestPath(run), CheckpointFolder.BestIndexPath(run) })
            if (File.Exists(path) && FvuOf(path) is { } fvu && !(best <= fvu)) best = fvu;
        return best;
    }

    static double? FvuOf(string path)
    {
        try
        {
            if (CheckpointFolder.IsIndex(path)) return IndexFvu(path);
            using var file = CheckpointFile.OpenHeader(path);
            return Fvu(file.Metadata);
        }
        catch (DamagedCheckpointException) { return null; }
    }

    static double? IndexFvu(string path)
    {
        var index = CheckpointIndex.Read(path);
        var folder = Path.GetDirectoryName(path)!;
        return index.Files.All(file => new FileInfo(Path.Combine(folder, file.Name)) is { Exists: true } there
            && there.Length == file.Bytes) ? Fvu(index.Metadata) : null;
    }

    static double? Fvu(IReadOnlyDictionary<string, string> metadata) =>
        metadata.TryGetValue("fvu", out var text)
            && double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var fvu)
            && fvu >= 0 ? fvu : null;       // a negative FVU is the result of cancellation
}
