using System.Text.Json.Nodes;
using CudaSae.Files;
using CudaSae.Model;

namespace CudaSae.Formats;

/// <summary>Llama Scope (OpenMOSS, October 2024), read only: hyperparams.json and checkpoints/final.safetensors with
/// encoder.weight [n, d], decoder.weight [d, n] and their biases.
/// One θ for all latents, compared with what its loader makes of the weights: b_enc / s, b_dec / s_out, W_dec · s /
/// s_out, then decoder norms into the encoder,
/// s = √d over the average norm.</summary>
static class LlamaScope
{
    public const string ConfigName = "hyperparams.json", WeightsName = "checkpoints/final.safetensors";
    static readonly WeightNames Names = new(new("encoder.weight"), new("decoder.weight", Transposed: true),
        "encoder.bias", "decoder.bias")
    {
        MayLackDecoderBias = true, Threshold = "", Beside = [""],       // θ is in the configuration
    };

    public static bool Recognizes(string path) =>
        File.Exists(Path.Combine(path, ConfigName)) && File.Exists(Path.Combine(path, WeightsName));

    public static SaeModel Read(string path)
    {
        var config = ConfigFile.Read(Path.Combine(path, ConfigName));
        using var file = new WeightFile(new SafetensorsFile(Path.Combine(path, WeightsName)));
        if (config.Flag("use_glu_encoder") == true) throw config.Bad("its GLU encoder is not read");
        var (d, n, output) = Names.Widths(file);
        var said = OpenMossFormat.Transcodes(config);
        var transcodes = output != d || said == true;
        var centres = file.Tensors.ContainsKey(Names.DecoderBias)
            && config.Flag("apply_decoder_bias_to_pre_encoder") != false;
        if (centres && transcodes)
            throw config.Bad("a transcoder that subtracts its target's bias from its input is not read");
        var threshold = config.Number("jump_relu_threshold") ?? 0;
        if (!(threshold >= 0)) throw config.Bad($"jump_relu_threshold is {threshold}, 0 or more was expected");
        var spec = Describe.Checked(new()
        {
            InputWidth = d,
            Latents = n,
            Selection = SelectionOf(config, threshold, n),
            Transcoder = transcodes ? new(output) : null,
            DecoderNorm = DecoderNorm.Free,
            PreEncoderBias = centres,
        }, config.Path);
        var p = Names.Read(file, spec);
        List<string> notes = [];
        var normalization = Standardize(config, spec, p, notes);
        if (config.Flag("sparsity_include_decoder_norm") != false) Folding.ReadNorms(p);
        Array.Fill(p.Threshold, (float)threshold);
        return new(spec, p)
        {
            Normalization = normalization, About = About(config), Notes = notes,
            KindIsAssumed = !transcodes && said is null,
        };
    }

    static Selection SelectionOf(ConfigFile config, double threshold, int latents) =>
        config.Text("act_fn")?.ToLowerInvariant() switch
        {
            "jumprelu" => Describe.JumpRelu(latents),
            "topk" when threshold > 0 => Describe.JumpRelu(latents),       // as its loader has it
            "topk" => new Selection.TopK(config.RequiredWhole("top_k")),
            null or "relu" => Describe.Relu(latents),
            var other => throw config.Bad($"act_fn '{other}' is not read; relu, jumprelu and topk are"),
        };

    static InputNormalization Standardize(ConfigFile config, SaeSpec spec, SaeParameters p, List<string> notes)
    {
        switch (config.Text("norm_activation") ?? "token-wise")
        {
            case "none" or "inference": return InputNormalization.None;
            case "token-wise" when spec.Transcoder is null: return InputNormalization.ConstantNorm;
            case "dataset-wise": break;
            case var other:
                throw config.Bad($"norm_activation '{other}' is not read; none, dataset-wise and an SAE's token-wise "
                    + "are");
        }
        var norms = config.Section("dataset_average_activation_norm")
            ?? throw config.Bad("it lacks dataset_average_activation_norm, which its activations were scaled by");
        var (input, output) = (Factor("in"), Factor(spec.Transcoder is null && !norms.Has("out") ? "in" : "out"));
        Folding.ReadScales(p, 1, output / input);
        for (var f = 0; f < p.BEnc.Length; f++) p.BEnc[f] = (float)(p.BEnc[f] / input);
        for (var i = 0; i < p.BDec.Length; i++) p.BDec[i] = (float)(p.BDec[i] / input); // the other factor of output
        notes.Add("the average activation norms are folded into the weights (√d / norm = "
            + FormattableString.Invariant($"{input:g6})"));
        return InputNormalization.None;

        double Factor(string side) =>
            norms.Number(side) is { } norm and > 0 ? Math.Sqrt(spec.InputWidth) / norm
                : throw norms.Bad($"dataset_average_activation_norm.{side} is no norm above 0");
    }

    static JsonObject About(ConfigFile config)
    {
        var about = new JsonObject();
        foreach (var (theirs, ours) in ((string, string)[])[("hook_point_in", "hook_name"),
            ("hook_point_out", "hook_name_out"), ("model_name", "model_name")])
            if (config.Text(theirs) is { } text) about[ours] = text;
        return about;
    }
}
