using CudaSae.Distributed;

namespace CudaSae.Training.Checkpoints;

/// <summary>The checkpoints of a run: checkpoint/step-N.safetensors of one process, checkpoint/step-N.index.json of
/// several ranks, and checkpoint/best in either form.</summary>
static class CheckpointFolder
{
    public const string IndexEnd = ".index.json";
    const string Name = "checkpoint", SingleEnd = ".safetensors", Step = "step-", Best = "best";

    /// <summary>The folder of a run's checkpoints.</summary>
    public static string Of(string run) => Path.Combine(run, Name);

    /// <summary>Returns the folder of the run to which a file of a checkpoint belongs; null for any other
    /// file.</summary>
    public static string? RunOf(string file)
    {
        var folder = Path.GetDirectoryName(Path.GetFullPath(file));
        if (folder is not null && RankFolders.IsName(Path.GetFileName(folder))) folder = Path.GetDirectoryName(folder);
        return folder is not null && Path.GetFileName(folder) == Name ? Path.GetDirectoryName(folder) : null;
    }

    public static string StepPath(string run, long step) => Path.Combine(Of(run), NameOf(step) + SingleEnd);
    public static string IndexPath(string run, long step) => Path.Combine(Of(run), NameOf(step) + IndexEnd);
    public static string BestPath(string run) => Path.Combine(Of(run), Best + SingleEnd);
    public static string BestIndexPath(string run) => Path.Combine(Of(run), Best + IndexEnd);

    /// <summary>The name of a step's checkpoint, without an ending.</summary>
    public static string NameOf(long step) => $"{Step}{step:D9}";

    /// <summary>Returns the name of a checkpoint's file or index without its ending.</summary>
    public static string StepOf(string path) => Path.GetFileName(path).Split('.')[0];

    /// <summary>Returns whether a path has the name of the index of a checkpoint.</summary>
    public static bool IsIndex(string path) => Path.GetFileName(path) is var name
        && name.EndsWith(IndexEnd, StringComparison.Ordinal)
        && (name == Best + IndexEnd || name.StartsWith(Step, StringComparison.Ordinal));

    /// <summary>Returns the checkpoints from which a run may resume: the newest first, and the best one after all
    /// others.</summary>
    public static string[] Candidates(string run) =>
    [
        .. Enumerable.Reverse(Steps(run)),
        .. new[] { BestIndexPath(run), BestPath(run) }.Where(File.Exists),
    ];

    /// <summary>Returns the candidates that rank 0 finds, on all ranks.</summary>
    /// <param name="ranks">Null for one process.</param>
    public static string[] Candidates(string run, ICollective? ranks)
    {
        if (ranks is null) return Candidates(run);
        var names = ranks.Rank > 0 ? null
            : "/" + string.Join('/', Candidates(run).Select(path => Path.GetFileName(path)));
        return [.. ranks.Broadcast(names, 0).Split('/', StringSplitOptions.RemoveEmptyEntries)
            .Select(name => Path.Combine(Of(run), name))];
    }

    /// <summary>Returns the checkpoints of steps in both forms, the oldest first.</summary>
    public static string[] Steps(string run) => !Directory.Exists(Of(run)) ? []
        : [.. Directory.GetFiles(Of(run), Step + "*" + SingleEnd)
            .Concat(Directory.GetFiles(Of(run), Step + "*" + IndexEnd))
            .OrderBy(path => StepOf(path).Length).ThenBy(StepOf, StringComparer.Ordinal)
            .ThenBy(path => path, StringComparer.Ordinal)];

    /// <summary>Renames a damaged checkpoint. It no longer counts as a kept checkpoint, and can still be
    /// examined.</summary>
    public static void SetAside(string path)
    {
        try
        {
            File.Move(path, path + ".damaged", overwrite: true);
            if (IsIndex(path) && RunOf(path) is { } run) RankFolders.SetAside(run, path, path + ".damaged");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SaeException($"{path} is damaged and cannot be renamed: {e.Message.TrimEnd('.')}", e,
                SaeErrorKind.Files);
        }
    }
}
