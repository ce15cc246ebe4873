using CudaSae.Files;
using CudaSae.Text;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Formats;

/// <summary>The layout of a finished SAE on disk in one project.</summary>
public interface ISaeFormat
{
    /// <summary>Name of the format, for <c>convert --to</c> and <see cref="SaeFormats.Named"/>.</summary>
    string Name { get; }

    /// <summary>One line that describes the files of the format.</summary>
    string Layout { get; }

    /// <summary>Returns whether a file or folder has this format. It does not throw on damaged content.</summary>
    /// <param name="path">A file or a folder.</param>
    bool Recognizes(string path);

    /// <summary>Reads an SAE.</summary>
    /// <param name="path">A file or a folder of this format.</param>
    /// <returns>The SAE, which the caller must dispose.</returns>
    /// <exception cref="SaeException">The files are damaged, or describe an SAE that is not supported; the message
    /// states the reason.</exception>
    SaeModel Read(string path);

    /// <summary>Writes an SAE.</summary>
    /// <param name="path">The file or folder to write.</param>
    /// <param name="model">The SAE; it is not changed.</param>
    /// <returns>Notes of one line each about parts that the format expresses by an equivalent SAE.</returns>
    /// <exception cref="SaeException">The format cannot express this SAE, in which case the message states the reason
    /// and nothing was written; or a file cannot be written.</exception>
    IReadOnlyList<string> Write(string path, SaeModel model);
}

/// <summary>The formats of finished SAEs.</summary>
public static class SaeFormats
{
    /// <summary>All formats; those with the most specific files come first.</summary>
    public static IReadOnlyList<ISaeFormat> All { get; } =
        [new SaeLensFormat(), new SparsifyFormat(), new GemmaScopeFormat(), new GemmaScope2Format(),
            new OpenMossFormat(), new DictionaryLearningFormat(), new OpenAiFormat()];

    /// <summary>Returns the format of a name, in any case of letters.</summary>
    /// <param name="name">One of the names in <see cref="All"/>.</param>
    /// <exception cref="SaeException">The name is unknown; the message lists the known names.</exception>
    public static ISaeFormat Named(string name) => All.FirstOrDefault(f => Names.Same(f.Name, name))
        ?? throw new SaeException($"format '{name}' is unknown{Names.Hint(name, All.Select(f => f.Name))}; one of "
            + $"{string.Join(", ", All.Select(f => f.Name))}");

    static readonly CheckpointFormat Unfinished = new();

    /// <summary>Returns the format of a finished SAE; null if none fits.</summary>
    /// <param name="path">A file or a folder.</param>
    public static ISaeFormat? Recognize(string path) => All.FirstOrDefault(f => f.Recognizes(path));

    /// <summary>Returns whether a file or folder holds an SAE, finished or in a checkpoint.</summary>
    /// <param name="path">A file or a folder.</param>
    public static bool IsSae(string path) => Find(path) is not null;

    static ISaeFormat? Find(string path) =>
        File.Exists(path) && Unfinished.Recognizes(path)
            ? Unfinished
            : Recognize(path) ?? (Unfinished.Recognizes(path) ? Unfinished : null);

    /// <summary>Returns the format of a file or folder. For a run that has not finished it is the format of its newest
    /// checkpoint.</summary>
    /// <param name="path">A file or a folder.</param>
    /// <exception cref="SaeException">The path does not exist or is damaged, or no format fits.</exception>
    public static ISaeFormat Of(string path)
    {
        if (!File.Exists(path) && !Directory.Exists(path))
            throw new SaeException($"{path} does not exist; name an SAE's file or folder");
        if (Find(path) is { } format) return format;
        // Opening a damaged file reports the fault.
        if (Path.GetExtension(path) is ".pt" or ".pth" or ".npz" or ".safetensors" && File.Exists(path))
            TensorFile.Open(path).Dispose();
        if (File.Exists(Path.Combine(path, RunRecord.FileName)))
            throw new SaeException($"{path} is a run without a checkpoint yet; resume it, and train it to its end");
        throw new SaeException($"{path} is not an SAE of a known format: "
            + $"{string.Join("; ", All.Select(f => $"{f.Name} ({f.Layout})"))}");
    }
}
