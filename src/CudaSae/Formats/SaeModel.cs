using System.Text.Json.Nodes;
using CudaSae.Model;

namespace CudaSae.Formats;

/// <summary>A finished SAE in host memory, of raw activations: what every format is read into and written
/// from.</summary>
public sealed class SaeModel(SaeSpec spec, SaeParameters parameters) : IDisposable
{
    // Scales and norms are folded in, so that a tie no longer holds.
    public SaeSpec Spec { get; } =
        (spec with { Tying = Tying.Untied, DecoderNorm = DecoderNorm.Free }).ValidateFinished();
    public SaeParameters Parameters { get; } = parameters;

    /// <summary>What is done to each row before it is encoded, and undone after decoding.</summary>
    public InputNormalization Normalization { get; init; }

    /// <summary>log₁₀ of the share of rows on which each latent fires, [n]; null where it was not counted.</summary>
    public float[]? LogFiringFrequency { get; init; }

    /// <summary>Where the activations come from, in SAELens' words: model_name, hook_name, dataset_path, context_size,
    /// prepend_bos and whatever else a file said of itself.</summary>
    public JsonObject About { get; init; } = [];

    /// <summary>One line: selection, widths, and what is done to the rows.</summary>
    public string Summary => Describe.Line(this);

    /// <summary>A text of <see cref="About"/>; null if it is absent or no text.</summary>
    internal string? Said(string key) =>
        About[key] is JsonValue value && value.TryGetValue(out string? text) ? text : null;

    /// <summary>Whether the files do not say if this is an SAE or a transcoder. It is then what the caller asked for,
    /// or an SAE.</summary>
    public bool KindIsAssumed { get; init; }

    /// <summary>What reading changed without changing the function: a line each.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];

    /// <summary>Reads an SAE of any known format.</summary>
    /// <param name="path">A file or a folder. Its name and the names of the folders above it mean nothing.</param>
    /// <param name="kind">What it is read as where its contents do not tell; null for an SAE.</param>
    /// <exception cref="SaeException">No format knows it, it is damaged, or its contents say another kind.</exception>
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

    /// <summary>Writes the SAE in a format, SAELens' unless another is named.</summary>
    /// <returns>What is written otherwise than it is here, a line each; the function is the same.</returns>
    /// <exception cref="SaeException">The format cannot express it, or the disk is full.</exception>
    public IReadOnlyList<string> Save(string path, string format = SaeLensFormat.FormatName) =>
        SaeFormats.Named(format).Write(path, this);

    public void Dispose() => Parameters.Dispose();
}

/// <summary>A normalization of single rows that an SAE carries with it.</summary>
public enum InputNormalization
{
    None,
    /// <summary>(x − mean) / (std + 1e-5) with the unbiased std of the row's numbers, and x̂ · std + mean (OpenAI;
    /// SAELens: layer_norm).</summary>
    LayerNorm,
    /// <summary>x · √d / ‖x‖, undone on the output (SAELens: constant_norm_rescale).</summary>
    ConstantNorm,
}
