using CudaSae.Files;

namespace CudaSae.Activations.Stores;

/// <summary>Recognizes the layout of a file or folder and opens its shards in their order.</summary>
static class Store
{
    /// <summary>Opens the shards of a file or folder.</summary>
    /// <param name="path">The file or folder.</param>
    /// <param name="choice">Selects a tensor of a safetensors file, a column of an Arrow dataset, or a layer of saev
    /// shards.</param>
    /// <param name="notes">Receives the other files of a folder.</param>
    /// <exception cref="SaeException">The file or folder is missing or malformed, or its layout is unknown.</exception>
    public static IEnumerable<IShard> Open(string path, string? choice, FolderNotes notes)
    {
        if (!Directory.Exists(path)) return [OpenFile(path, choice)];
        if (!SaevMetadata.IsStore(path)) return DataFolder.Files(path, notes).Select(file => OpenFile(file, choice));
        var metadata = SaevMetadata.Load(path);
        var (files, folders) = DataFolder.List(path, notes);
        var others = files.Where(file => !metadata.Names(Path.GetFileName(file)));
        notes.LeaveOut(others.Concat(folders), "not named by shards.json");
        return SaevShard.Open(metadata, choice);
    }

    static IShard OpenFile(string path, string? choice)
    {
        if (Problem(path) is { } problem) throw new SaeException($"{path} {problem}");
        return FileFormat.Of(path) switch
        {
            FileFormat.Npy => new NpyShard(path),
            FileFormat.Safetensors or FileFormat.Pt => new TensorShard(path, choice),
            FileFormat.Arrow => new ArrowShard(path, choice),
            _ when FileFormat.IsTokens(path) => new NpyShard(path),
            _ when IdxFile.IsNamed(path) => new IdxShard(path),
            _ => throw new SaeException($"{path} is not a .npy, .safetensors, .pt, .arrow or …-idx3-ubyte (MNIST) file"
                + "; convert it to one of these"),
        };
    }

    /// <summary>Returns the reason for which a path does not name a file with content; null if it does.</summary>
    static string? Problem(string path)
    {
        if (path.Contains('\uFFFD') && !File.Exists(path)) return "cannot be opened: its name is not UTF-8; rename it";
        if (!File.Exists(path))
            return "does not exist"
                + (path.AsSpan().ContainsAny('*', '?') ? "; the shell expands patterns such as * outside quotes" : "");
        try
        {
            var target = File.ResolveLinkTarget(path, returnFinalTarget: true);
            return target is { Exists: false } ? $"is a link to {target.FullName}, which does not exist"
                : new FileInfo(target?.FullName ?? path).Length == 0
                    ? "is empty or not a regular file; write it again or remove it" : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return $"cannot be read: {e.Message.TrimEnd('.')}";
        }
    }
}
