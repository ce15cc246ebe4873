using System.Text.Json.Nodes;
using CudaSae.Files;
using CudaSae.Model;

namespace CudaSae.Formats;

/// <summary>Gemma Scope 2 (Google DeepMind): config.json and params.safetensors with w_enc [d, n], w_dec [n, d_out],
/// b_enc, b_dec, threshold and affine_skip_connection [d, d_out], which
/// x multiplies from the left. JumpReLU alone; b_dec is not subtracted from the input.</summary>
sealed class GemmaScope2Format : ISaeFormat
{
    const string ConfigName = "config.json", WeightsName = "params.safetensors", SkipName = "affine_skip_connection";
    static readonly WeightNames Names = new(new("w_enc", Transposed: true), new("w_dec"), "b_enc", "b_dec")
    {
        Skip = new(SkipName, Transposed: true)
    };

    // Theirs, and SAELens' word for the same.
    static readonly (string Theirs, string Ours)[] Words = [("hf_hook_point_in", "hook_name"),
        ("hf_hook_point_out", "hook_name_out"), ("model_name", "model_name")];

    public string Name => "gemma-scope-2";
    public string Layout => $"a folder with {ConfigName} and {WeightsName}";
    public bool Recognizes(string path) =>
        File.Exists(Path.Combine(path, ConfigName)) && File.Exists(Path.Combine(path, WeightsName));

    public SaeModel Read(string path)
    {
        var config = ConfigFile.Read(Path.Combine(path, ConfigName));
        using var file = new WeightFile(new SafetensorsFile(Path.Combine(path, WeightsName)));
        if (config.Text("architecture") is { } architecture and not ("jump_relu" or "jumprelu"))
            throw config.Bad($"architecture '{architecture}' is not read; jump_relu is");
        if (config.Text("type") is { } type && (type.Contains("clt", StringComparison.OrdinalIgnoreCase)
            || type.Contains("crosscoder", StringComparison.OrdinalIgnoreCase)))
            throw config.Bad($"a '{type}' has an encoder for each of several sites, which is not read");
        var (d, n, output) = Names.Widths(file);
        var skips = file.Tensors.ContainsKey(SkipName);
        var said = Transcodes(config);
        var transcodes = skips || output != d || said == true;
        var spec = Describe.Checked(new()
        {
            InputWidth = d,
            Latents = n,
            Selection = Describe.JumpRelu(n),
            Transcoder = transcodes ? new(output, skips) : null,
            DecoderNorm = DecoderNorm.Free,
            PreEncoderBias = false,
        }, config.Path);
        return new(spec, Names.Read(file, spec)) { About = About(config), KindIsAssumed = !transcodes && said is null };
    }

    /// <summary>Null where the configuration does not tell: it lacks type and one of the two hooks.</summary>
    static bool? Transcodes(ConfigFile config) => config.Text("type") is { } type ? type switch
    {
        _ when Text.Names.Same(type, "sae") => false,
        _ when type.Contains("transcoder", StringComparison.OrdinalIgnoreCase) => true,
        _ => throw config.Bad($"type '{type}' is not read; sae and transcoder are"),
    }
        : (config.Text("hf_hook_point_in"), config.Text("hf_hook_point_out")) is ({ } into, { } from) ? into != from
        : null;

    static JsonObject About(ConfigFile config)
    {
        var about = (JsonObject?)config.Section("metadata")?.Fields.DeepClone() ?? [];
        foreach (var (theirs, ours) in Words)
            if (config.Text(theirs) is { } text) about[ours] = text;
        if (config.Number("l0") is { } l0) about["l0"] = l0;
        return about;
    }

    public IReadOnlyList<string> Write(string path, SaeModel model)
    {
        using var draft = new Draft(model, Name);
        draft.Allow();
        draft.AsJumpRelu();
        draft.SubtractBias(false);
        var transcoder = model.Spec.Transcoder;
        var config = new JsonObject
        {
            ["architecture"] = "jump_relu",
            ["type"] = transcoder is null ? "sae" : "transcoder", ["width"] = model.Spec.Latents,
            ["affine_connection"] = transcoder is { Skip: true }
        };
        foreach (var (theirs, ours) in Words)
            if (model.About[ours] is { } value && (transcoder is not null || ours != "hook_name_out"))
                config[theirs] = value.DeepClone();
        if (model.About["l0"] is { } l0) config["l0"] = l0.DeepClone();
        if (model.About.Count > 0) config["metadata"] = model.About.DeepClone();
        SafetensorsWriter.Write(Path.Combine(path, WeightsName), Names.Tensors(draft));
        ConfigFile.Write(Path.Combine(path, ConfigName), config);
        return draft.Notes;
    }
}
