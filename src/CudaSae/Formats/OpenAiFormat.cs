using System.Runtime.InteropServices;
using CudaSae.Files;
using CudaSae.Model;

namespace CudaSae.Formats;

/// <summary>openai/sparse_autoencoder: one .pt, a state_dict with pre_bias [d], encoder.weight [n, d], latent_bias [n],
/// decoder.weight [d, n] or, tied, decoder.linear.weight [n, d],
/// and the activation by name. pre_bias is subtracted from the input. Its loader normalizes the rows (layer norm) of
/// every TopK SAE, and of no other.</summary>
sealed class OpenAiFormat : ISaeFormat
{
    const string Activation = "activation", K = "activation_state_dict.k",
        PostActivation = "activation_state_dict.postact_fn", Frequency = "latents_activation_frequency";
    const string Tied = "decoder.linear.weight", TopK = "TopK", Relu = "ReLU";
    const float Floor = 1e-10f;      // added to a share before its logarithm, as SAELens does
    static readonly WeightNames Names = new(new("encoder.weight"), new("decoder.weight", Transposed: true),
        "latent_bias", "pre_bias")
    {
        Beside = [Frequency, "stats_last_nonzero", "latents_mean_square", K],
    };

    public string Name => "openai";
    public string Layout => "a .pt file with pre_bias, latent_bias, encoder.weight and its decoder";

    public bool Recognizes(string path)
    {
        if (!File.Exists(path)) return false;
        try
        {
            using var file = new WeightFile(new PtFile(path));
            return file.Tensors.ContainsKey(Names.DecoderBias) && file.Tensors.ContainsKey(Names.EncoderBias);
        }
        catch (SaeException) { return false; }
    }

    static bool IsNamed(string path) => Path.GetExtension(path).ToLowerInvariant() is ".pt" or ".pth";

    public SaeModel Read(string path)
    {
        using var file = new WeightFile(new PtFile(path));
        var names = file.Tensors.ContainsKey(Tied) ? Names with { Decoder = new(Tied) } : Names;
        var (d, n, _) = names.Widths(file);
        var activation = file.Metadata.GetValueOrDefault(Activation, Relu);
        var spec = Describe.Checked(new()
        {
            InputWidth = d, Latents = n, Selection = SelectionOf(file, activation, n),
            DecoderNorm = DecoderNorm.Free
        },
            path);
        return new(spec, names.Read(file, spec))
        {
            Normalization = activation == TopK ? InputNormalization.LayerNorm : InputNormalization.None,
            LogFiringFrequency = FrequencyOf(file, n),
        };
    }

    static Selection SelectionOf(WeightFile file, string activation, int latents)
    {
        if (activation == Relu) return Describe.Relu(latents);
        if (activation != TopK)
            throw file.Bad($"its activation '{TensorFile.Shown(activation)}' is not read; {Relu} and {TopK} are");
        if (file.Metadata.GetValueOrDefault(PostActivation, Relu) is not Relu and var post)
            throw file.Bad($"what follows its TopK, '{TensorFile.Shown(post)}', is not read; {Relu} is");
        return new Selection.TopK(file.Number(K) is { } k and >= 1 and <= int.MaxValue && k == Math.Floor(k) ? (int)k
            : throw file.Bad($"it lacks a whole number {K}"));
    }

    /// <summary>Null where no firing was counted: the buffer begins as 1 throughout.</summary>
    static float[]? FrequencyOf(TensorFile file, int latents) =>
        file.Tensors.ContainsKey(Frequency) && file.Vector(Frequency, latents) is var shares && shares.Any(s => s != 1)
        ? [.. shares.Select(s => MathF.Log10(s + Floor))] : null;

    public IReadOnlyList<string> Write(string path, SaeModel model)
    {
        using var draft = new Draft(model, Name);
        if (Directory.Exists(path) || !IsNamed(path))
            throw new SaeException($"{path}: {Name}'s layout is one file; name a .pt file");
        draft.Allow(InputNormalization.LayerNorm);
        draft.AllowTranscoder(any: false, skip: false, otherWidth: false);
        var ranks = draft.Spec.Selection is Selection.TopK;
        if (!ranks && draft.Spec.Selection is not Selection.Relu)
            throw draft.Refusal($"it knows ReLU and TopK, not {Describe.Selection(draft.Spec)}");
        if (ranks && model.Normalization != InputNormalization.LayerNorm)
            throw draft.Refusal("its loader normalizes the rows of every TopK SAE (layer norm), and this one's are "
                + "not");
        if (!ranks && model.Normalization != InputNormalization.None)
            throw draft.Refusal("its loader normalizes the rows of TopK SAEs alone, and those of this ReLU SAE are");
        draft.SubtractBias(true);
        if (model.About.Count > 0) draft.Note("the file has no room for where the activations come from");
        PtWriter.Write(path, [.. Names.Tensors(draft), .. Statistics(model)], Scalars(draft, ranks));
        return draft.Notes;
    }

    static TensorToWrite[] Statistics(SaeModel model)
    {
        var n = model.Spec.Latents;
        float[] shares = model.LogFiringFrequency is { } log
            ? [.. log.Select(l => MathF.Max(0, MathF.Pow(10, l) - Floor))] : [.. Enumerable.Repeat(1f, n)];
        var never = new TensorToWrite("stats_last_nonzero", "I64", [n],
            stream => stream.Write(MemoryMarshal.AsBytes<long>(new long[n])));
        return [never, TensorToWrite.Of(Frequency, shares), TensorToWrite.Of("latents_mean_square", new float[n])];
    }

    static Dictionary<string, object> Scalars(Draft draft, bool ranks)
    {
        var scalars = new Dictionary<string, object> { [Activation] = ranks ? TopK : Relu };
        scalars["activation_state_dict"] = ranks
            ? new Dictionary<string, object> { ["k"] = draft.K, ["postact_fn"] = Relu }
            : new Dictionary<string, object>();
        return scalars;
    }
}
