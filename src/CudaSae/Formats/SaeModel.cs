using System.Text.Json.Nodes;
using CudaSae.Model;

namespace CudaSae.Formats;

/// <summary>A finished SAE of raw activations in host memory. Every format is read into this form and written from
/// it.</summary>
/// <param name="spec">The architecture.</param>
/// <param name="parameters">The weights, which this object owns from now on.</param>
public sealed class SaeModel(SaeSpec spec, SaeParameters parameters) : IDisposable
{
    /// <summary>The architecture. Scales and norms are folded into the weights, so it is untied and its decoder norms
    /// are free.</summary>
    public SaeSpec Spec { get; } =
        (spec with { Tying = Tying.Untied, DecoderNorm = DecoderNorm.Free }).ValidateFinished();

    /// <summary>The weights.</summary>
    public SaeParameters Parameters { get; } = parameters;

    /// <summary>The normalization of each row before it is encoded, which is undone after decoding.</summary>
    public InputNormalization Normalization { get; init; }

    /// <summary>log₁₀ of the share of rows on which each latent fires, [n]; null if firings were not counted.</summary>
    public float[]? LogFiringFrequency { get; init; }

    /// <summary>The origin of the activations, under SAELens' names: model_name, hook_name, dataset_path, context_size,
    /// prepend_bos and any other metadata of the file.</summary>
    public JsonObject About { get; init; } = [];

    /// <summary>One line with the selection, the widths, and the treatment of rows.</summary>
    public string Summary => Describe.Line(this);

    /// <summary>Returns a text of <see cref="About"/>; null if it is absent or not a text.</summary>
    internal string? Said(string key) =>
        About[key] is JsonValue value && value.TryGetValue(out string? text) ? text : null;

    /// <summary>Whether the files do not determine if this is an SAE or a transcoder. It is then the kind that the
    /// caller requested, or an SAE.</summary>
    public bool KindIsAssumed { get; init; }

    /// <summary>Notes of one line each about parts that reading changed without changing the function.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];

    /// <summary>Reads an SAE of any known format.</summary>
    /// <param name="path">A file or a folder. Its name and the names of parent folders do not matter.</param>
    /// <param name="kind">The kind as which it is read if its contents do not determine it; null for an SAE.</param>
    /// <returns>The SAE, which the caller must dispose.</returns>
    /// <exception cref="SaeException">The format is unknown, the files are damaged, or their contents determine another
    /// kind.</exception>
    public static SaeModel Load(string path, SaeKind? kind = null)
    {
        var model = SaeFormats.Of(path).Read(path);
        if (kind is not { } asked) return model;
        try { return SaeKinds.As(model, asked, path); }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>Writes the SAE in a format.</summary>
    /// <param name="path">The file or folder to write.</param>
    /// <param name="format">Name of the format; the default is SAELens.</param>
    /// <returns>Notes of one line each about parts that are written in another form; the function is the
    /// same.</returns>
    /// <exception cref="SaeException">The format is unknown or cannot express the SAE, or the files cannot be
    /// written.</exception>
    public IReadOnlyList<string> Save(string path, string format = SaeLensFormat.FormatName) =>
        SaeFormats.Named(format).Write(path, this);

    /// <summary>Frees the weights.</summary>
    public void Dispose() => Parameters.Dispose();
}

/// <summary>A normalization of single rows that is part of an SAE.</summary>
public enum InputNormalization
{
    /// <summary>Rows are not normalized.</summary>
    None,
    /// <summary>(x − mean) / (std + 1e-5) with the unbiased std of the row's numbers, and x̂ · std + mean (OpenAI;
    /// SAELens: layer_norm).</summary>
    LayerNorm,
    /// <summary>x · √d / ‖x‖, undone on the output (SAELens: constant_norm_rescale).</summary>
    ConstantNorm,
}
