using CudaSae.Files;
using CudaSae.Formats;

namespace CudaSae.Cli;

/// <summary>Converts a folder that is not an SAE but holds some, such as a release. Each SAE goes to the same place
/// below the output folder.</summary>
static class ConvertFolder
{
    static readonly string[] Weights = [".pt", ".pth", ".npz", ".safetensors"];
    static readonly string[] Configs = ["cfg.json", "config.json", "hyperparams.json"];

    /// <summary>Whether a path is a folder with at least one SAE below it that is not an SAE itself.</summary>
    public static bool Is(string path) =>
        Directory.Exists(path) && !IsSae(path) && Below(path, null).Any(found => found.Reason is null);

    /// <param name="output">Folder to write; null to print only the names of the SAEs.</param>
    /// <param name="asked">How to read an SAE whose files do not state its kind; null for an SAE.</param>
    /// <returns>The exit code: 1 if an SAE cannot be converted.</returns>
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

    /// <summary>Lists what is below a folder in the order of its names: SAEs, and folders or files with weights that
    /// are not an SAE, with the reason. Everything in the folder of an SAE belongs to that SAE.</summary>
    /// <param name="except">A folder to skip.</param>
    static IEnumerable<(string Name, string? Reason)> Below(string root, string? except)
    {
        var seen = new HashSet<string> { Path.GetFullPath(root) };
        if (except is not null) seen.Add(Path.GetFullPath(except));
        return Below(root, root, Path.GetFullPath(root), seen);
    }

    /// <param name="real">The folder's path with links resolved; a link may lead back to a parent.</param>
    /// <param name="seen">Resolved paths of the folders already visited.</param>
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
