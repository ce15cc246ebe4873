using CudaSae.Files;

namespace CudaSae.Activations.Stores;

/// <summary>Selects the files of a folder that are read, and their order. The table in docs/reference/formats.md states
/// the same rule.</summary>
static class DataFolder
{
    const string Hidden = "hidden", Inside = "folders inside are not entered: name one to read it";
    const string OtherFormat = "of a format that is not read from a folder";
    const string Images = "images: name the file to read it";
    const string OtherThanDataset = "not among the dataset's files", OtherThanChunks = "not among the numbered chunks";
    const string StrayTokens = "token ids without a .npy of that name";

    static readonly string[] BesideNpy = [FileFormat.Tokens, ".site.json", ".jsonl"];

    /// <summary>Returns the files to read, in their order.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="notes">Receives every other file and folder, with the reason.</param>
    /// <exception cref="SaeException">The folder has no such file, cannot be listed, or has files of two
    /// kinds.</exception>
    public static string[] Files(string folder, FolderNotes notes)
    {
        var (all, folders) = List(folder, notes);
        var (files, reason) = Choose(folder, all, folders, notes);
        var beside = files.SelectMany(Companions).ToHashSet();
        var others = all.Except(files).Where(file => !beside.Contains(file)).ToLookup(file => Why(file) ?? reason);
        foreach (var group in others) notes.LeaveOut(group, group.Key);
        notes.LeaveOut(folders, Inside);
        return files;
    }

    /// <summary>Returns a folder's files and folders in the order of their names, without hidden ones.</summary>
    /// <exception cref="SaeException">The folder cannot be listed.</exception>
    public static (string[] Files, string[] Folders) List(string folder, FolderNotes notes)
    {
        static bool IsHidden(string path) => Path.GetFileName(path).StartsWith('.');
        try
        {
            string[] files = [.. Directory.GetFiles(folder).Order(StringComparer.Ordinal)];
            string[] folders = [.. Directory.GetDirectories(folder).Order(StringComparer.Ordinal)];
            notes.LeaveOut(files.Concat(folders).Where(IsHidden), Hidden);
            return ([.. files.Where(f => !IsHidden(f))], [.. folders.Where(f => !IsHidden(f))]);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SaeException($"cannot list folder {folder}: {e.Message.TrimEnd('.')}", e, SaeErrorKind.Files);
        }
    }

    /// <summary>Returns the files to read, and the reason for which other activation files are not read.</summary>
    static (string[] Files, string Others) Choose(string folder, string[] all, string[] folders, FolderNotes notes)
    {
        if (ArrowDataset.Files(folder, all) is { Length: > 0 } dataset) return (dataset, OtherThanDataset);
        if (NumberedFiles.In(folder, all) is { Length: > 0 } chunks) return (chunks, OtherThanChunks);
        string[] plain = [.. all.Where(f => FileFormat.Of(f) is not null)];
        if (plain.Length == 0) throw Nothing(folder, all, folders);
        RequireOneKind(folder, plain);
        foreach (var line in NumbersInNames.Remarks(folder, plain)) notes.Remark(line);
        return (plain, "");
    }

    static SaeException Nothing(string folder, string[] all, string[] folders) => new(
        $"folder {folder} holds no {FileFormat.Known} file"
        + (all.Length > 0 ? $"; it holds {FolderNotes.Names(all)}" : "")
        + (all.Any(IdxFile.IsNamed) ? "; images are read by the names of their files" : "")
        + (folders.Length > 0 ? $"; name one of its folders: {FolderNotes.Names(folders)}" : ""));

    /// <summary>Refuses files of torch beside files of numpy, which may hold the same rows twice.</summary>
    static void RequireOneKind(string folder, string[] files)
    {
        var torch = files.ToLookup(file => FileFormat.Of(file) == FileFormat.Pt);
        if (!torch[true].Any() || !torch[false].Any()) return;
        var (pt, others) = (FolderNotes.Names(torch[true]), FolderNotes.Names(torch[false]));
        throw new SaeException($"folder {folder} holds .pt files ({pt}) and other activation files ({others}); "
            + "name the files to read, or move one kind into a separate folder");
    }

    /// <summary>Returns the reason for which a file is not read; null for activations.</summary>
    static string? Why(string file) =>
        FileFormat.IsTokens(file) ? StrayTokens
        : FileFormat.Of(file) is not null ? null
        : IdxFile.IsNamed(file) ? Images : OtherFormat;

    /// <summary>Returns the files that belong to a file that is read: its token ids, note and texts, and a dataset's
    /// description.</summary>
    static IEnumerable<string> Companions(string file) => FileFormat.Of(file) switch
    {
        FileFormat.Npy => BesideNpy.Select(end => Path.ChangeExtension(file, end)),
        FileFormat.Arrow => ArrowDataset.Descriptions.Select(name => Path.Combine(Path.GetDirectoryName(file)!, name)),
        _ => [],
    };
}
