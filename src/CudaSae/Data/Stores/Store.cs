namespace CudaSae.Data.Stores;

/// <summary>Which layout a file or folder has, and its shards in their order.</summary>
static class Store
{
    /// <param name="choice">What to read of it: a tensor of a safetensors file, a column of an Arrow dataset, a layer of saev's shards.</param>
    /// <exception cref="SaeException">It is missing, malformed, or of no known layout.</exception>
    public static IEnumerable<IShard> Open(string path, string? choice) =>
        !Directory.Exists(path) ? [OpenFile(path, choice)]
        : SaevMetadata.IsStore(path) ? SaevShard.Open(path, choice)
        : Files(path).Select(file => OpenFile(file, choice));

    static IShard OpenFile(string path, string? choice) =>
        !File.Exists(path) ? throw new SaeException($"{path} does not exist")
        : Is(path, ".npy") ? new NpyShard(path)
        : Is(path, ".safetensors") || Is(path, ".pt") ? new TensorShard(path, choice)
        : Is(path, ".arrow") ? new ArrowShard(path, choice)
        : IdxFile.IsNamed(path) ? new IdxShard(path)
        : throw new SaeException($"{path} is neither .npy, .safetensors, .pt, .arrow nor of MNIST's …-idx3-ubyte; convert it to one of these");

    static string[] Files(string folder)
    {
        string[] files = [.. Directory.GetFiles(folder).Order(StringComparer.Ordinal)];
        if (ArrowDataset.Files(folder, files) is { Length: > 0 } dataset) return dataset;
        if (NumberedFiles.In(folder, files) is { Length: > 0 } numbered) return numbered;
        string[] plain = [.. files.Where(f => (Is(f, ".npy") && !Is(f, NpyShard.TokensExtension)) || Is(f, ".safetensors"))];
        if (plain.Length > 0) return plain;
        var inside = Directory.GetDirectories(folder).Order(StringComparer.Ordinal).Select(Path.GetFileName).ToArray();
        throw new SaeException($"folder {folder} holds no .npy, .safetensors, .pt or .arrow file{(inside.Length > 0 ? $"; name one of its folders: {string.Join(", ", inside.Take(8))}" : "")}");
    }

    static bool Is(string path, string extension) => path.EndsWith(extension, StringComparison.Ordinal);
}
