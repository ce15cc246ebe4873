using System.Text.Json;
using System.Text.Json.Nodes;
using CudaSae.Files;
using CudaSae.Model;

namespace CudaSae.Formats;

/// <summary>cfg.json of SAELens: the fields that define the function, and the fields that are kept as they
/// are.</summary>
sealed class SaeLensConfig
{
    const string SpecKey = "cudasae_spec", ReshapeKey = "reshape_activations";
    const string LayoutVersion = "6.18.0";      // readers treat anything below 6 as an older layout

    // What SAELens keeps of a flat configuration before 6 (LLM_METADATA_KEYS), and its older names.
    static readonly string[] FlatMetadata =
    [
        "model_name", "hook_name", "model_class_name", "hook_head_index", "model_from_pretrained_kwargs", "prepend_bos",
        "exclude_special_tokens", "neuronpedia_id", "context_size",
        "seqpos_slice", "dataset_path", "sae_lens_training_version", "hook_name_out", "hook_head_index_out",
    ];
    static readonly (string Old, string New)[] Renamed = [("hook_point", "hook_name"),
        ("hook_point_head_index", "hook_head_index"), ("activation_fn_str", "activation_fn")];
    static readonly string[] Known = ["standard", "topk", "jumprelu", "gated", "transcoder", "skip_transcoder",
        "jumprelu_transcoder", "jumprelu_skip_transcoder"];

    readonly ConfigFile file;

    public required SaeSpec Spec { get; init; }

    /// <summary>The spec that this project wrote into the metadata, if it still describes the same function.</summary>
    public SaeSpec? OwnSpec { get; init; }

    /// <summary>Null where activations are scaled by a number that is not in the configuration.</summary>
    public InputNormalization? Normalization { get; init; }
    public required string NormalizationName { get; init; }
    public bool RescalesByDecoderNorm { get; init; }
    public bool FineTuned { get; init; }
    public required JsonObject About { get; init; }
    public IReadOnlyList<string> Notes { get; init; } = [];

    SaeLensConfig(ConfigFile file) => this.file = file;

    public SaeException Bad(string why) => file.Bad(why);

    public static bool IsKnown(string architecture) => Known.Contains(architecture);

    /// <summary>SAELens' name of an architecture; a name of our own, made like its, where it has none.</summary>
    public static string Architecture(SaeSpec spec)
    {
        var selection = spec.Selection switch
        {
            Selection.Relu => "standard",
            Selection.JumpRelu or Selection.BatchTopK => "jumprelu",
            Selection.Gated => "gated",
            Selection.TopK => "topk",
            Selection.AbsTopK => "abstopk",
            _ => "groupmax",
        };
        if (spec.Transcoder is not { } transcoder) return selection;
        return (selection == "standard" ? "" : selection + "_") + (transcoder.Skip ? "skip_transcoder" : "transcoder");
    }

    public static JsonObject Write(SaeModel model)
    {
        var spec = model.Spec;
        var metadata = new JsonObject { ["sae_lens_version"] = LayoutVersion, ["written_with"] = "CudaSae" };
        foreach (var (key, value) in model.About)
            if (key is not ("sae_lens_version" or "written_with" or ReshapeKey)) metadata[key] = value?.DeepClone();
        metadata[SpecKey] = JsonSerializer.SerializeToNode(spec, ModelJson.Compact.SaeSpec);
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
            [ReshapeKey] = model.About[ReshapeKey]?.DeepClone() ?? "none",
            ["metadata"] = metadata,
            ["architecture"] = Architecture(spec),
        };
        if (spec.Selection is Selection.TopK or Selection.AbsTopK or Selection.GroupMax)
            config["k"] = spec.ActiveAtInference;
        if (spec.Selection is Selection.TopK) config["rescale_acts_by_decoder_norm"] = false;
        if (spec.Transcoder is { } transcoder) config["d_out"] = transcoder.OutputWidth;
        return config;
    }

    /// <param name="widths">d and n of the weights, for those that the file lacks.</param>
    public static SaeLensConfig Read(string path, Func<(int Input, int Latents)?> widths)
    {
        var file = ConfigFile.Read(path);
        var metadata = file.Section("metadata");
        var version = file.Text("sae_lens_version") ?? metadata?.Text("sae_lens_version");
        var flat = !IsSixOrNewer(version);
        if (flat) Rename(file.Fields);
        var about = flat ? Flat(file.Fields) : (JsonObject?)metadata?.Fields.DeepClone() ?? [];
        var own = about[SpecKey];
        foreach (var key in (string[])[SpecKey, "written_with", "trained_with", "sae_lens_version"]) about.Remove(key);
        var architecture = flat ? FlatArchitecture(file)
            : file.Text("architecture") ?? throw file.Bad("it lacks architecture");
        if (Reshape(file, flat)) about[ReshapeKey] = "hook_z";

        var described = own is null ? null : Own(own);
        var spec = FromFields(file, architecture, described, widths);
        var agrees = described is not null && Agree(described, spec);
        var normalization = NormalizedBy(file);
        if (spec.Transcoder is not null && normalization is "layer_norm" or "constant_norm_rescale")
            throw file.Bad("a transcoder of normalized rows is not read: SAELens does not undo the normalization");
        return new(file)
        {
            Spec = spec,
            OwnSpec = agrees ? described : null,
            NormalizationName = normalization,
            Normalization = normalization switch
            {
                "none" => InputNormalization.None,
                "layer_norm" => InputNormalization.LayerNorm,
                "constant_norm_rescale" => InputNormalization.ConstantNorm,
                _ => null,
            },
            RescalesByDecoderNorm = file.Flag("rescale_acts_by_decoder_norm")
                ?? architecture is "batchtopk" or "matryoshka_batchtopk",
            FineTuned = file.Has("finetuning_scaling_factor") && file.Flag("finetuning_scaling_factor") == true,
            About = about,
            Notes = own is null || agrees ? []
                : [$"metadata.{SpecKey} describes another SAE than the rest of cfg.json and is left aside"],
        };
    }

    static bool IsSixOrNewer(string? version) =>
        version is not null && int.TryParse(version.Split('.')[0], out var major) && major >= 6;

    static void Rename(JsonObject fields)
    {
        foreach (var (old, name) in Renamed)
        {
            if (fields[old] is not { } value) continue;
            fields.Remove(old);
            fields[name] = value;
        }
    }

    static JsonObject Flat(JsonObject fields)
    {
        var about = new JsonObject();
        foreach (var key in FlatMetadata)
            if (fields[key] is { } value) about[key] = value.DeepClone();
        return about;
    }

    static string FlatArchitecture(ConfigFile file)
    {
        var activation = file.Text("activation_fn") ?? "relu";
        if (activation == "topk" || file.Text("architecture") == "topk")
        {
            var arguments = file.Section("activation_fn_kwargs");
            if (!file.Has("k") && arguments?.Whole("k") is { } k) file.Fields["k"] = (double)k;
            if (activation is "topk" or "relu") return "topk";
        }
        return activation == "relu" ? file.Text("architecture") ?? "standard"
            : throw file.Bad($"its activation function '{activation}' is not read; relu and topk are");
    }

    /// <summary>Whether rows are [heads, d_head] flattened: the same function on flat rows.</summary>
    static bool Reshape(ConfigFile file, bool flat) =>
        (file.Text(ReshapeKey)
            ?? (flat && file.Text("hook_name") is { } hook && hook.Contains("hook_z") ? "hook_z" : "none")) switch
        {
            "none" => false,
            "hook_z" => true,
            var other => throw file.Bad($"{ReshapeKey} '{other}' is unknown; none and hook_z are read"),
        };

    static string NormalizedBy(ConfigFile file) =>
        file.Fields["normalize_activations"] is JsonValue value && value.TryGetValue(out bool flag)
        ? flag ? "expected_average_only_in" : "none" : file.Text("normalize_activations") ?? "none";

    static SaeSpec? Own(JsonNode own)
    {
        try { return own.Deserialize(ModelJson.Compact.SaeSpec)?.ValidateFinished(); }
        catch (Exception e) when (e is JsonException or SaeException or NotSupportedException
            or InvalidOperationException or ArgumentException)
        {
            return null;
        }
    }

    static bool Agree(SaeSpec own, SaeSpec read) => Architecture(own) == Architecture(read)
        && (own.InputWidth, own.Latents, own.OutputWidth, own.PreEncoderBias) == (read.InputWidth, read.Latents,
            read.OutputWidth, read.PreEncoderBias)
        && (own.IsThresholded || own.Selection is Selection.BatchTopK
            || own.ActiveAtInference == read.ActiveAtInference);

    static SaeSpec FromFields(
        ConfigFile file, string architecture, SaeSpec? own, Func<(int Input, int Latents)?> widths)
    {
        var d = file.Whole("d_in") ?? widths()?.Input ?? file.RequiredWhole("d_in");
        var n = file.Whole("d_sae") ?? widths()?.Latents ?? file.RequiredWhole("d_sae");
        var (selection, transcodes, skips) = Parts(architecture);
        var transcoder = transcodes ? new Transcoding(file.RequiredWhole("d_out"), skips) : null;
        return Describe.Checked(new()
        {
            InputWidth = d,
            Latents = n,
            Transcoder = transcoder,
            Selection = selection switch
            {
                "standard" => Describe.Relu(n),
                "jumprelu" or "batchtopk" or "matryoshka_batchtopk" => Describe.JumpRelu(n),
                "gated" => Describe.Gated(n),
                "topk" => new Selection.TopK(file.RequiredWhole("k")),
                "abstopk" => new Selection.AbsTopK(file.RequiredWhole("k")),
                "groupmax" when own is not null => new Selection.GroupMax(file.RequiredWhole("k")),
                _ =>
                    throw file.Bad($"it describes a '{architecture}' SAE; {string.Join(", ", Known)}, abstopk and the "
                        + "training forms batchtopk and matryoshka_batchtopk are read"),
            },
            DecoderNorm = DecoderNorm.Free,
            PreEncoderBias = transcoder is null && file.Flag("apply_b_dec_to_input") != false,
        }, file.Path);
    }

    /// <summary>jumprelu_skip_transcoder is jumprelu, a transcoder, with a skip connection; this project once wrote the
    /// selection behind.</summary>
    static (string Selection, bool Transcodes, bool Skips) Parts(string architecture)
    {
        var (transcodes, skips) = (architecture.Contains("transcoder"), architecture.Contains("skip_transcoder"));
        var selection = architecture.Replace("skip_transcoder", "").Replace("transcoder", "").Trim('_');
        return (transcodes && selection == "" ? "standard" : selection, transcodes, skips);
    }
}
