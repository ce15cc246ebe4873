using System.Globalization;
using CudaSae.Files;
using CudaSae.Lab.Report;
using CudaSae.Runs;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Cli;

/// <summary>Creates and locks the folders that commands write. One process writes a folder at a time.</summary>
static class RunFolder
{
    const string OtherFolder = "choose another --out", AfterIt = "write into another folder with --out";

    // Limit of the wait for commands that add one file each.
    static readonly TimeSpan BesideOthers = TimeSpan.FromSeconds(10);

    /// <summary>Returns the folder of a new run or sweep, with its lock.</summary>
    /// <param name="output">The name that the user gave; null for a new folder below <paramref name="parent"/>, named
    /// by date and time.</param>
    /// <exception cref="SaeException">The folder holds a run or a sweep, another process writes it, or it cannot be
    /// written.</exception>
    public static (string Folder, FolderLock Lock) New(string? output, string parent)
    {
        var now = DateTime.Now.ToString("yyyy-MM-dd_HH-mm-ss", CultureInfo.InvariantCulture);
        if (output is null) return Unused(Path.Combine(parent, now));
        if (output.Trim().Length == 0) throw new SaeException("--out is empty; name a folder, or leave it out");
        if (File.Exists(output)) throw new SaeException($"--out {output} is a file; name a folder");
        if (Checkpoint.RunOf(Path.Combine(output, RunRecord.FileName)) is { } run
            && File.Exists(Path.Combine(run, RunRecord.FileName)))
            throw new SaeException($"{output} holds the checkpoints of {run}; {OtherFolder}");
        var taken = Take(output, OtherFolder);
        try
        {
            foreach (var (file, what) in new[] { (RunRecord.FileName, "run"), (SweepRecord.FileName, "sweep") })
                if (File.Exists(Path.Combine(output, file)))
                    throw new SaeException($"{output} already holds a {what}; {OtherFolder}, "
                        + $"or resume it with --resume {output}");
            return (output, taken);
        }
        catch
        {
            taken.Dispose();
            throw;
        }
    }

    /// <summary>Takes the first of NAME, NAME-2, NAME-3 that no other process holds. Processes that try at the same
    /// moment each get a different one.</summary>
    static (string, FolderLock) Unused(string name)
    {
        for (var number = 1; ; number++)
        {
            var folder = number == 1 ? name : $"{name}-{number}";
            if (FolderLock.Try(folder) is not { } taken) continue;
            var entries = Directory.EnumerateFileSystemEntries(folder);
            if (entries.All(path => Path.GetFileName(path) == FolderLock.FileName)) return (folder, taken);
            taken.Dispose();
        }
    }

    /// <summary>Takes the lock of a run or sweep that is resumed.</summary>
    /// <param name="wait">Time to wait until that process ends.</param>
    /// <exception cref="SaeException">Another process writes it.</exception>
    public static FolderLock Resume(string folder, TimeSpan wait = default) => Take(folder, "stop it", wait);

    static FolderLock Take(string folder, string advice, TimeSpan wait = default)
    {
        var taken = FolderLock.Take(folder, advice, wait);
        if (taken.TakenOver is { } line) Console.WriteLine(line);
        return taken;
    }

    /// <summary>Refuses early a folder that cannot be written at the end of a command.</summary>
    /// <param name="wait">Time to wait until that process ends.</param>
    /// <exception cref="SaeException">Another process writes it.</exception>
    public static void RequireFree(string folder, TimeSpan wait = default) =>
        FolderLock.RequireFree(folder, AfterIt, wait);

    /// <summary>Like <see cref="RequireFree"/>, for a folder that exists or for the folder of a file.</summary>
    public static void RequireFreeFor(string path)
    {
        if (path.Length == 0) return;
        var folder = Directory.Exists(path) ? path : Path.GetDirectoryName(Path.GetFullPath(path))!;
        FolderLock.RequireFree(folder, "name another folder");
    }

    /// <summary>Writes the chapters of a report into the folder of a run or an SAE.</summary>
    /// <exception cref="SaeException">Another process trains in this folder, or it cannot be written.</exception>
    public static void Add(string folder, params ReadOnlySpan<Chapter> chapters)
    {
        using var taken = FolderLock.Take(folder, AfterIt, BesideOthers);
        foreach (var chapter in chapters) chapter.Save(folder);
    }
}
