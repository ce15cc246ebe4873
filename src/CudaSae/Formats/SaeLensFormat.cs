using System.Text.Json;
using System.Text.Json.Nodes;
using CudaSae.Data;
using CudaSae.Model;

namespace CudaSae.Formats;

/// <summary>SAELens 6: cfg.json and sae_weights.safetensors with W_enc [d, n], W_dec [n, d], b_enc [n], b_dec [d]. What it has no name for carries one of ours, and
/// metadata.cudasae_spec holds the whole spec. docs/formats.md.</summary>
public sealed class SaeLensFormat : ISaeFormat
{
    public const string FormatName = "saelens";
    const string ConfigName = "cfg.json", WeightsName = "sae_weights.safetensors";
    const string SpecKey = "cudasae_spec";
    const string LayoutVersion = "6.18.0";      // readers treat anything below 6 as an older layout

    public string Name => FormatName;
    public string Layout => $"a folder with {ConfigName} and {WeightsName}";
    public bool Recognizes(string path) => File.Exists(Path.Combine(path, ConfigName)) && File.Exists(Path.Combine(path, WeightsName));

    public void Write(string path, SaeModel model)
    {
        var (spec, p) = (model.Spec, model.Parameters);
        List<TensorToWrite> tensors = [TensorToWrite.Transposed("W_enc", p.WEnc), TensorToWrite.Of("W_dec", p.WDec), TensorToWrite.Of("b_dec", p.BDec)];
        Add(spec.Selection is Selection.Gated ? "b_gate" : "b_enc", p.BEnc);
        Add("threshold", spec.Selection is Selection.BatchTopK ? [.. Enumerable.Repeat(p.BatchThreshold, spec.Latents)] : p.Threshold);
        Add("b_mag", p.BMag);
        Add("r_mag", p.RMag);
        if (p.WSkip.Rows > 0) tensors.Add(TensorToWrite.Of("W_skip", p.WSkip));
        SafetensorsWriter.Write(Path.Combine(path, WeightsName), tensors);
        AtomicFile.WriteText(Path.Combine(path, ConfigName), Config(model).ToJsonString(SaeJson.Indented.Options) + "\n");

        void Add(string name, float[] numbers)
        {
            if (numbers.Length > 0) tensors.Add(TensorToWrite.Of(name, numbers));
        }
    }

    /// <summary>SAELens' name of an architecture; a name of our own where it has none.</summary>
    static string Architecture(SaeSpec spec) => (spec.Transcoder is null ? "" : spec.Transcoder.Skip ? "skip_transcoder_" : "transcoder_") + spec.Selection switch
    {
        Selection.Relu => "standard",
        Selection.JumpRelu or Selection.BatchTopK => "jumprelu",
        Selection.Gated => "gated",
        Selection.TopK => "topk",
        Selection.AbsTopK => "abstopk",
        _ => "groupmax",
    };

    static JsonObject Config(SaeModel model)
    {
        var spec = model.Spec;
        var metadata = new JsonObject { ["sae_lens_version"] = LayoutVersion, ["trained_with"] = "CudaSae" };
        foreach (var (key, value) in model.About) metadata[key] = value?.DeepClone();
        metadata[SpecKey] = JsonSerializer.SerializeToNode(spec, SaeJson.Default.SaeSpec);
        var config = new JsonObject
        {
            ["d_in"] = spec.InputWidth,
            ["d_sae"] = spec.Latents,
            ["dtype"] = "float32",
            ["device"] = "cpu",
            ["apply_b_dec_to_input"] = spec.PreEncoderBias,
            ["normalize_activations"] = model.Normalization switch
            {
                InputNormalization.LayerNorm => "layer_norm",
                InputNormalization.ConstantNorm => "constant_norm_rescale",
                _ => "none",
            },
            ["reshape_activations"] = "none",
            ["metadata"] = metadata,
            ["architecture"] = Architecture(spec),
        };
        if (spec.Selection is Selection.TopK or Selection.AbsTopK or Selection.GroupMax) config["k"] = spec.ActiveAtInference;
        if (spec.Selection is Selection.TopK) config["rescale_acts_by_decoder_norm"] = false;
        if (spec.Transcoder is { } transcoder) config["d_out"] = transcoder.OutputWidth;
        return config;
    }

    public SaeModel Read(string path)
    {
        var (spec, normalization, about) = ReadConfig(Path.Combine(path, ConfigName));
        using var file = new SafetensorsFile(Path.Combine(path, WeightsName));
        var p = new SaeParameters(spec);
        file.Matrix("W_enc", p.WEnc, transposed: true);
        file.Matrix("W_dec", p.WDec);
        if (p.WSkip.Rows > 0) file.Matrix("W_skip", p.WSkip);
        Read(spec.Selection is Selection.Gated ? "b_gate" : "b_enc", p.BEnc);
        Read("b_dec", p.BDec);
        Read("threshold", p.Threshold);
        Read("b_mag", p.BMag);
        Read("r_mag", p.RMag);
        if (spec.Selection is Selection.BatchTopK) p.BatchThreshold = file.Vector("threshold", spec.Latents)[0];
        return new(spec, p) { Normalization = normalization, About = about };

        void Read(string name, float[] into)
        {
            if (into.Length > 0) file.Vector(name, into.Length).CopyTo(into, 0);
        }
    }

    static (SaeSpec Spec, InputNormalization Normalization, JsonObject About) ReadConfig(string path)
    {
        try
        {
            var config = JsonNode.Parse(File.ReadAllText(path)) as JsonObject ?? throw new SaeException($"{path} is not a JSON object");
            var about = config["metadata"]?.DeepClone() as JsonObject ?? [];
            var own = about[SpecKey];
            about.Remove(SpecKey);
            var spec = own is null ? SpecOf(config, path) : own.Deserialize(SaeJson.Default.SaeSpec) ?? throw new SaeException($"{path} has an empty {SpecKey}");
            return (spec.Validate(), NormalizationOf((string?)config["normalize_activations"], path), about);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException) { throw new SaeException($"{path} cannot be read; name a folder that holds {ConfigName} and {WeightsName}", e); }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException or NotSupportedException) { throw new SaeException($"{path} is not a usable cfg.json: {e.Message.Split(". ")[0]}", e); }
    }

    static InputNormalization NormalizationOf(string? name, string path) => name switch
    {
        null or "none" => InputNormalization.None,
        "layer_norm" => InputNormalization.LayerNorm,
        "constant_norm_rescale" => InputNormalization.ConstantNorm,
        _ => throw new SaeException($"{path} normalizes activations by '{name}', whose scale is not in the file; fold it into the weights first (SAELens does on save_inference_model)"),
    };

    static SaeSpec SpecOf(JsonObject config, string path)
    {
        if ((bool?)config["rescale_acts_by_decoder_norm"] == true) throw new SaeException($"{path} rescales by decoder norms; fold them first (SAELens does on save_inference_model)");
        var n = Whole("d_sae");
        return new()
        {
            InputWidth = Whole("d_in"),
            Latents = n,
            Selection = (string?)config["architecture"] switch
            {
                "topk" => new Selection.TopK(Whole("k")),
                "standard" => new Selection.Relu(Math.Min(n, SaeSpec.MaxActive)),
                "jumprelu" => new Selection.JumpRelu(InitialThreshold: 0, Form: ThresholdForm.Direct, Room: Math.Min(n, SaeSpec.MaxActive)),
                "gated" => new Selection.Gated(Room: Math.Min(n, SaeSpec.MaxActive)),
                var other => throw new SaeException($"{path} describes a '{other}' SAE; standard, jumprelu, gated and topk are read"),
            },
            DecoderNorm = DecoderNorm.Free,
            PreEncoderBias = (bool?)config["apply_b_dec_to_input"] != false,
        };

        int Whole(string key) => config[key] is JsonValue value && value.TryGetValue(out int whole) ? whole : throw new SaeException($"{path} lacks a whole number {key}");
    }
}
