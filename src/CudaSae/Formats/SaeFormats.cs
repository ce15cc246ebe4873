using CudaSae.Files;
using CudaSae.Text;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Formats;

/// <summary>How one project lays out a finished SAE on disk.</summary>
public interface ISaeFormat
{
    /// <summary>As <c>convert --to</c> takes it.</summary>
    string Name { get; }

    /// <summary>One line: whose it is, and which files it consists of.</summary>
    string Layout { get; }

    /// <summary>Whether a file or folder looks like this format. Never throws on strange content.</summary>
    bool Recognizes(string path);

    /// <exception cref="SaeException">Damaged, or of a kind that cannot be computed here: says which.</exception>
    SaeModel Read(string path);

    /// <returns>Notes, a line each: what the format expresses by an equal SAE.</returns>
    /// <exception cref="SaeException">The format cannot express this SAE: says why. Nothing was written.</exception>
    IReadOnlyList<string> Write(string path, SaeModel model);
}

/// <summary>All formats, the most telling first.</summary>
public static class SaeFormats
{
    public static IReadOnlyList<ISaeFormat> All { get; } =
        [new SaeLensFormat(), new SparsifyFormat(), new GemmaScopeFormat(), new GemmaScope2Format(),
            new OpenMossFormat(), new DictionaryLearningFormat(), new OpenAiFormat()];

    public static ISaeFormat Named(string name) => All.FirstOrDefault(f => Names.Same(f.Name, name))
        ?? throw new SaeException($"format '{name}' is unknown{Names.Hint(name, All.Select(f => f.Name))}; one of "
            + $"{string.Join(", ", All.Select(f => f.Name))}");

    static readonly CheckpointFormat Unfinished = new();

    /// <summary>The format of a file or folder that holds a finished SAE; null where none fits.</summary>
    public static ISaeFormat? Recognize(string path) => All.FirstOrDefault(f => f.Recognizes(path));

    /// <summary>Whether a file or folder holds an SAE, finished or in a checkpoint.</summary>
    public static bool IsSae(string path) => Find(path) is not null;

    static ISaeFormat? Find(string path) =>
        File.Exists(path) && Unfinished.Recognizes(path)
            ? Unfinished
            : Recognize(path) ?? (Unfinished.Recognizes(path) ? Unfinished : null);

    /// <summary>The format of a file or folder. Of a run that has not finished it is that of its newest
    /// checkpoint.</summary>
    /// <exception cref="SaeException">It does not exist, is damaged, or none fits.</exception>
    public static ISaeFormat Of(string path)
    {
        if (!File.Exists(path) && !Directory.Exists(path))
            throw new SaeException($"{path} does not exist; name an SAE's file or folder");
        if (Find(path) is { } format) return format;
        // a damaged one says what is wrong with it
        if (Path.GetExtension(path) is ".pt" or ".pth" or ".npz" or ".safetensors" && File.Exists(path))
            TensorFile.Open(path).Dispose();
        if (File.Exists(Path.Combine(path, RunRecord.FileName)))
            throw new SaeException($"{path} is a run without a checkpoint yet; train it with --resume {path}");
        throw new SaeException($"{path} is no SAE of a known format: "
            + $"{string.Join("; ", All.Select(f => $"{f.Name} ({f.Layout})"))}");
    }
}
