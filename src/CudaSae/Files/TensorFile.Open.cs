using CudaSae.Files.Zip;

namespace CudaSae.Files;

abstract partial class TensorFile
{
    /// <summary>No tensor's name is longer, where a format sets no limit.</summary>
    internal const int MaxNameLength = 1000;

    /// <summary>Opens a file as what its content is, whatever its name: torch's .pt, numpy's .npz or
    /// safetensors.</summary>
    /// <exception cref="SaeException">It is missing, damaged, or none of these.</exception>
    public static TensorFile Open(string path) => KindOf(path) switch
    {
        Kind.Pt => new PtFile(path),
        Kind.Npz => new NpzFile(path),
        _ => new SafetensorsFile(path),
    };

    enum Kind { Pt, Npz, Safetensors }

    static Kind KindOf(string path)
    {
        using var file = new MappedFile(path);
        if (PtFile.IsLegacy(file)) return Kind.Pt;
        if (NpyFile.Begins(file.Slice(0, (int)Math.Min(file.Length, 6))))
            throw new SaeException($"{path} is a single .npy array, which has no name; save it with numpy.savez");
        if (!ZipDirectory.Begins(file)) return Kind.Safetensors;
        var members = ZipDirectory.Read(file, why => new($"{path} is not a usable file of tensors: {why}"));
        return members.Any(m => PtFile.IsPickle(m.Name)) ? Kind.Pt : members.Any(m => NpzFile.IsArray(m.Name))
            ? Kind.Npz
            : throw new SaeException($"{path} is a zip archive without data.pkl or .npy members; .pt, .npz and "
                + ".safetensors files are read");
    }

    /// <summary>Text from a file as it may stand in a message: one line, not too long.</summary>
    internal static string Shown(string text) =>
        string.Concat((text.Length > 80 ? text[..80] + "…" : text).Select(c => char.IsControl(c) ? '?' : c));

    /// <summary>The offset, if [offset, offset + length) lies within the tensor's bytes.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It does not.</exception>
    protected static long Within(StoredTensor tensor, long offset, long length) =>
        offset >= 0 && length >= 0 && offset <= tensor.Bytes - length ? offset
            : throw new ArgumentOutOfRangeException(nameof(offset),
                $"{offset} + {length} of {tensor.Bytes} bytes of {tensor.Name}");
}
