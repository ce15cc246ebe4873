using System.Text.RegularExpressions;

namespace CudaSae.Training.Checkpoints;

/// <summary>The folders checkpoint/step-N of the files that ranks write. A folder counts if an index names it. The
/// index of the best checkpoint names the folder of its step, which is kept as long as that index exists.</summary>
static partial class RankFolders
{
    const string Temporary = ".tmp", Damaged = ".damaged";

    /// <summary>Returns whether a folder's name is one that ranks write.</summary>
    public static bool IsName(string name) => FolderName().IsMatch(name);

    /// <summary>Returns the name of a folder for a new checkpoint, and removes files that a run without a commit left
    /// there. If an index names the folder step-N, the name is step-N-2 and so on, so that no committed file is
    /// replaced.</summary>
    public static string New(string run, string step)
    {
        var named = Named(run);
        var name = step;
        for (var number = 2; named.Contains(name); number++) name = $"{step}-{number}";
        Remove(Path.Combine(CheckpointFolder.Of(run), name));
        return name;
    }

    /// <summary>Removes the folders that no index names.</summary>
    public static void RemoveOthers(string run)
    {
        var named = Named(run);
        foreach (var folder in Directory.GetDirectories(CheckpointFolder.Of(run)))
            if (Path.GetFileName(folder) is var name && IsName(name) && !named.Contains(name)) Remove(folder);
    }

    /// <summary>Renames the folder of an index that was set aside, unless another index names it.</summary>
    /// <param name="index">The former path of the index.</param>
    /// <param name="aside">Its path now.</param>
    public static void SetAside(string run, string index, string aside)
    {
        var name = FolderOf(index, aside);
        var folder = Path.Combine(CheckpointFolder.Of(run), name);
        if (!Directory.Exists(folder) || Named(run).Contains(name)) return;
        Remove(folder + Damaged);
        if (!Directory.Exists(folder + Damaged)) Directory.Move(folder, folder + Damaged);
    }

    static HashSet<string> Named(string run) => !Directory.Exists(CheckpointFolder.Of(run)) ? []
        : [.. Directory.GetFiles(CheckpointFolder.Of(run), "*" + CheckpointFolder.IndexEnd)
            .Select(path => FolderOf(path, path))];

    /// <summary>Returns the folder that an index names; that of its step if it cannot be read.</summary>
    static string FolderOf(string index, string path)
    {
        try { return CheckpointIndex.Read(path).Files[0].Folder; }
        catch (SaeException) { return CheckpointFolder.StepOf(index); }
    }

    /// <summary>Removes the files of ranks from a folder, and the folder if it is empty then.</summary>
    static void Remove(string folder)
    {
        if (!Directory.Exists(folder)) return;
        foreach (var file in Directory.GetFiles(folder))
            if (FileName().IsMatch(Path.GetFileName(file).Replace(Temporary, ""))) File.Delete(file);
        if (!Directory.EnumerateFileSystemEntries(folder).Any()) Directory.Delete(folder);
    }

    [GeneratedRegex(@"\Astep-[0-9]{9,19}(-[0-9]{1,9})?\z")]
    private static partial Regex FolderName();

    [GeneratedRegex(@"\Arank-[0-9]{5,}-of-[0-9]{5,}\.safetensors\z")]
    private static partial Regex FileName();
}
