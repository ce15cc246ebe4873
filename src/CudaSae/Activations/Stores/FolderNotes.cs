using CudaSae.Files;

namespace CudaSae.Activations.Stores;

/// <summary>Notes on the folders of a source: files that are not read, and remarks on file names.</summary>
sealed class FolderNotes
{
    const int MostNames = 6;        // in one line

    readonly List<LeftOutFile> leftOut = [];
    readonly List<string> remarks = [];

    public IReadOnlyList<LeftOutFile> LeftOut => leftOut;

    /// <summary>One line for each folder and reason, then the remarks.</summary>
    public IEnumerable<string> Lines => leftOut.GroupBy(f => (Folder: Path.GetDirectoryName(f.Path), f.Reason))
        .Select(g => $"left out of {Clean(g.Key.Folder!)}: {Names(g.Select(f => f.Path))} ({g.Key.Reason})")
        .Concat(remarks);

    public void LeaveOut(IEnumerable<string> paths, string reason) =>
        leftOut.AddRange(paths.Select(path => new LeftOutFile(path, reason)));

    public void Remark(string line) => remarks.Add(Clean(line));

    /// <summary>Replaces control characters, which a terminal would interpret, by '?'.</summary>
    static string Clean(string text) => string.Concat(text.Select(c => char.IsControl(c) ? '?' : c));

    /// <summary>Returns the names of files without their folder; a long list is cut.</summary>
    public static string Names(IEnumerable<string> paths)
    {
        string[] names = [.. paths.Select(path => TensorFile.Shown(Path.GetFileName(path)))];
        var more = names.Length > MostNames + 1 ? names.Length - MostNames : 0;
        return string.Join(", ", names.Take(names.Length - more)) + (more > 0 ? $" and {more} more" : "");
    }
}
