using CudaSae.Files;
using CudaSae.Formats;

namespace CudaSae.Cli;

/// <summary>cudasae convert of a folder that is no SAE but holds some, such as a release: each one to the same place
/// below the output folder.</summary>
static class ConvertFolder
{
    static readonly string[] Weights = [".pt", ".pth", ".npz", ".safetensors"];
    static readonly string[] Configs = ["cfg.json", "config.json", "hyperparams.json"];

    /// <summary>Whether a path is such a folder: at least one SAE is below it.</summary>
    public static bool Is(string path) =>
        Directory.Exists(path) && !IsSae(path) && Below(path, null).Any(found => found.Reason is null);

    /// <param name="output">Folder to write; null for the names of the SAEs alone.</param>
    /// <param name="asked">What an SAE is read as where its contents do not tell; null for an SAE.</param>
    /// <returns>The exit code: 1 where one cannot be converted.</returns>
    public static int Run(string folder, string? output, ISaeFormat target, SaeKind? asked)
    {
        var members = new Members();
        var found = Below(folder, output).ToArray();
        foreach (var (name, reason) in found)
            if (reason is null) Convert(members, folder, name, output, target, asked);
            else members.Refuse(name, reason);
        var done = found.Length - members.Refused.Count;
        var what = output is null ? "read" : $"converted to {target.Name} in {output}";
        Console.WriteLine($"{done} of {found.Length} SAEs {what}");
        return members.ExitCode;
    }

    static void Convert(
        Members members, string folder, string name, string? output, ISaeFormat target, SaeKind? asked)
    {
        var path = Path.Combine(folder, name);
        using var sae = members.Get(name, () => SaeModel.Load(path, asked), Members.IsOfFile);
        if (sae is null) return;
        Console.WriteLine($"{name}: {SaeFormats.Of(path).Name}, {sae.Summary}");
        ConvertCommand.PrintReading(sae, asked);
        if (output is null) return;
        var to = Path.Combine(output, File.Exists(path) ? Path.ChangeExtension(name, null) : name)
            + (target is OpenAiFormat ? ".pt" : "");
        if (File.Exists(to) || Directory.Exists(to))
            members.Refuse(name, $"{to} exists, and nothing is overwritten; move it away, or name another folder");
        else members.Try(name, () => ConvertCommand.Print(target.Write(to, sae)), Members.IsOfRun);
    }

    /// <summary>What is below a folder, in the order of its names: SAEs, and folders or files with weights that are
    /// none, with the reason. What lies in an SAE's own folder belongs to that SAE.</summary>
    /// <param name="except">A folder that is not looked into.</param>
    static IEnumerable<(string Name, string? Reason)> Below(string root, string? except)
    {
        var seen = new HashSet<string> { Path.GetFullPath(root) };
        if (except is not null) seen.Add(Path.GetFullPath(except));
        return Below(root, root, Path.GetFullPath(root), seen);
    }

    /// <param name="real">The folder's path without links, which may lead back.</param>
    /// <param name="seen">Such paths of the folders that were looked into.</param>
    static IEnumerable<(string Name, string? Reason)> Below(
        string root, string folder, string real, HashSet<string> seen)
    {
        var entries = Entries(folder, out var why);
        if (why is not null) yield return (Path.GetRelativePath(root, folder), why);
        foreach (var entry in entries)
        {
            var path = Path.Combine(folder, entry.Name);
            var name = Path.GetRelativePath(root, path);
            if (!Directory.Exists(path))
            {
                if (Weights.Contains(Path.GetExtension(path))) yield return (name, IsSae(path) ? null : WhyNot(path));
                continue;
            }
            var target = entry.ResolveLinkTarget(returnFinalTarget: true)?.FullName ?? Path.Combine(real, entry.Name);
            if (!seen.Add(Path.TrimEndingDirectorySeparator(target))) continue;
            var empty = true;
            foreach (var below in IsSae(path) ? [(name, null)] : Below(root, path, target, seen))
            {
                empty = false;
                yield return below;
            }
            if (empty && Configs.FirstOrDefault(config => File.Exists(Path.Combine(path, config))) is { } found)
                yield return (name, $"it holds {found} but no weights of a known format");
        }
    }

    static FileSystemInfo[] Entries(string folder, out string? why)
    {
        why = null;
        try
        {
            var all = new DirectoryInfo(folder).EnumerateFileSystemInfos();
            return [.. all.Where(e => !e.Name.StartsWith('.')).OrderBy(e => e.Name, StringComparer.Ordinal)];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException) { why = AtomicFile.Reason(e); }
        return [];
    }

    static bool IsSae(string path) => SaeFormats.All.Any(format => format.Recognizes(path));

    static string WhyNot(string path)
    {
        try { return $"it is a file of {SaeFormats.Of(path).Name}"; }
        catch (SaeException e) { return e.Message; }
    }
}
