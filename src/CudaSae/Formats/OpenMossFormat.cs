using System.Text.Json.Nodes;
using CudaSae.Files;
using CudaSae.Model;

namespace CudaSae.Formats;

/// <summary>OpenMOSS/Language-Model-SAEs: config.json and sae_weights.safetensors with W_E [d, n], W_D [n, d], b_E,
/// b_D, log θ, and the average norms that activations were scaled by,
/// which reading folds in. Files of 2025 (encoder.weight, …) and of Llama Scope (hyperparams.json,
/// checkpoints/final.safetensors) are read too.</summary>
sealed class OpenMossFormat : ISaeFormat
{
    const string ConfigName = "config.json", WeightsName = "sae_weights.safetensors",
        Norms = "dataset_average_activation_norm", AboutKey = "metadata", Version = "2.0.0";
    static readonly WeightNames Names = new(new("W_E", Transposed: true), new("W_D"), "b_E", "b_D")
    {
        Threshold = "activation_function.log_jumprelu_threshold", LogThreshold = true, MayLackDecoderBias = true,
    };
    static readonly WeightNames Older = Names with
    {
        Encoder = new("encoder.weight"),
        Decoder = new("decoder.weight", Transposed: true),
        EncoderBias = "encoder.bias",
        DecoderBias = "decoder.bias",
    };

    public string Name => "openmoss";
    public string Layout =>
        $"a folder with {ConfigName} and {WeightsName}, or with {LlamaScope.ConfigName} and {LlamaScope.WeightsName}";
    public bool Recognizes(string path) =>
        File.Exists(Path.Combine(path, ConfigName)) && File.Exists(Path.Combine(path, WeightsName))
            || LlamaScope.Recognizes(path);

    public SaeModel Read(string path)
    {
        if (LlamaScope.Recognizes(path)) return LlamaScope.Read(path);
        var config = ConfigFile.Read(Path.Combine(path, ConfigName));
        using var file = new WeightFile(new SafetensorsFile(Path.Combine(path, WeightsName)));
        if (config.Text("sae_type") is { } type and not ("sae" or "transcoder"))
            throw config.Bad($"a '{type}' is not read; sae is");
        if (config.Flag("use_glu_encoder") == true) throw config.Bad("its GLU encoder is not read");
        var names = NamesIn(file, config);
        var (d, n, output) = names.Widths(file);
        var (into, from) = (config.Text("hook_point_in"), config.Text("hook_point_out"));
        var said = Transcodes(config);
        var transcodes = output != d || said == true;
        var centres = !transcodes && names.Encoder == Older.Encoder && file.Tensors.ContainsKey(names.DecoderBias)
            && config.Flag("apply_decoder_bias_to_pre_encoder") == true;
        var spec = Describe.Checked(new()
        {
            InputWidth = d,
            Latents = n,
            Selection = SelectionOf(config, n),
            Transcoder = transcodes ? new(output) : null,
            DecoderNorm = DecoderNorm.Free,
            PreEncoderBias = centres,
        }, config.Path);
        var p = names.Read(file, spec);
        if (names.Threshold.Length == 0) Array.Fill(p.Threshold, (float)ThresholdIn(config)!.Value);
        List<string> notes = [];
        if (config.Flag("sparsity_include_decoder_norm") != false) FoldNorms(spec, p, notes);
        var normalization = FoldScale(config, file, spec, p, notes);
        return new(spec, p)
        {
            Normalization = normalization, About = About(config, into ?? from, transcodes ? from : null), Notes = notes,
            KindIsAssumed = !transcodes && said is null,
        };
    }

    /// <summary>Null where the configuration does not tell: it lacks one of the two hooks.</summary>
    internal static bool? Transcodes(ConfigFile config) => config.Text("sae_type") == "transcoder" ? true
        : (config.Text("hook_point_in"), config.Text("hook_point_out")) is ({ } into, { } from) ? into != from : null;

    static WeightNames NamesIn(TensorFile file, ConfigFile config)
    {
        var names = file.Tensors.ContainsKey("W_E") ? Names : Older;
        string[] beside = [.. file.Tensors.Keys.Where(k => k.StartsWith(Norms + "."))];
        if (file.Tensors.ContainsKey("log_jumprelu_threshold"))
            names = names with { Threshold = "log_jumprelu_threshold" };
        return file.Tensors.ContainsKey(names.Threshold) || ThresholdIn(config) is null ? names with { Beside = beside }
            : names with { Threshold = "", Beside = [.. beside, ""] };
    }

    /// <summary>One θ for all latents, of older configurations.</summary>
    static double? ThresholdIn(ConfigFile config) => config.Number("jump_relu_threshold") is not { } threshold ? null
        : threshold >= 0 ? threshold : throw config.Bad($"jump_relu_threshold is {threshold}, 0 or more was expected");

    static Selection SelectionOf(ConfigFile config, int latents) => config.Text("act_fn")?.ToLowerInvariant() switch
    {
        null or "relu" => Describe.Relu(latents),
        "jumprelu" => Describe.JumpRelu(latents),
        "topk" => new Selection.TopK(config.RequiredWhole("top_k")),
        "batchtopk" =>
            throw config.Bad("batchtopk keeps no threshold in its file; convert it to jumprelu in its own project "
                + "first"),
        var other => throw config.Bad($"act_fn '{other}' is not read; relu, jumprelu and topk are"),
    };

    /// <summary>Latents are chosen by z ‖W_D‖, codes stay as they are: θ / ‖W_D‖ for JumpReLU, nothing for ReLU, and
    /// for TopK the norms into the encoder.</summary>
    static void FoldNorms(SaeSpec spec, SaeParameters p, List<string> notes)
    {
        if (spec.Selection is Selection.TopK) Folding.ReadNorms(p);
        if (spec.Selection is Selection.Relu) return;
        var norms = Folding.DecoderNorms(p.WDec);
        for (var f = 0; f < p.Threshold.Length; f++) p.Threshold[f] = (float)(p.Threshold[f] / norms[f]);
        notes.Add("sparsity_include_decoder_norm: decoder norms are folded into "
            + $"{(spec.Selection is Selection.TopK ? "the encoder" : "θ")}");
    }

    static InputNormalization FoldScale(ConfigFile config, TensorFile file, SaeSpec spec, SaeParameters p,
        List<string> notes)
    {
        switch (config.Text("norm_activation") ?? "dataset-wise")
        {
            case "inference" or "none": return InputNormalization.None;
            case "token-wise" when spec.Transcoder is null: return InputNormalization.ConstantNorm;
            case "dataset-wise": break;
            case var other:
                throw config.Bad($"norm_activation '{other}' is not read; inference, dataset-wise and an SAE's "
                    + "token-wise are");
        }
        var either = config.Text("hook_point_in") ?? config.Text("hook_point_out");
        var (input, output) = (Factor("hook_point_in"), Factor("hook_point_out"));
        Folding.ReadScales(p, input, output);
        notes.Add("the average activation norms are folded into the weights (√d / norm = "
            + FormattableString.Invariant($"{input:g6})"));
        return InputNormalization.None;

        double Factor(string hook)
        {
            var name = $"{Norms}.{config.Text(hook) ?? either}";
            if (!file.Tensors.ContainsKey(name))
                throw file.Bad($"it holds no {name}, which its activations were scaled by");
            return file.Scalar(name) is var norm and > 0 and < double.PositiveInfinity
                ? Math.Sqrt(spec.InputWidth) / norm : throw file.Bad($"{name} is no norm above 0");
        }
    }

    static JsonObject About(ConfigFile config, string? into, string? from)
    {
        var about = (JsonObject?)config.Section(AboutKey)?.Fields.DeepClone() ?? [];
        if (into is not (null or "unknown")) about["hook_name"] = into;
        if (from is not null && from != into + ".out") about["hook_name_out"] = from;
        return about;
    }

    public IReadOnlyList<string> Write(string path, SaeModel model)
    {
        using var draft = new Draft(model, Name);
        draft.Allow(model.Spec.Transcoder is null ? InputNormalization.ConstantNorm : InputNormalization.None);
        draft.AllowTranscoder(any: true, skip: false, otherWidth: false);
        if (draft.Spec.Selection is Selection.Gated or Selection.BatchTopK) draft.AsJumpRelu();
        var spec = draft.Spec;
        if (spec.Selection is not (Selection.Relu or Selection.JumpRelu or Selection.TopK))
            throw draft.Refusal($"it knows ReLU, JumpReLU and TopK, not {Describe.Selection(spec)}");
        draft.SubtractBias(false);
        if (spec.Selection is Selection.JumpRelu)
            draft.Note("θ is written as its logarithm: it changes in the last bits");
        var into = model.Said("hook_name") ?? "unknown";
        var from = spec.Transcoder is null ? into : model.Said("hook_name_out") ?? into + ".out";
        var tensors = Names.Tensors(draft);
        foreach (var hook in (string[])[into, from])
            if (tensors.All(t => t.Name != $"{Norms}.{hook}"))
                tensors.Add(One($"{Norms}.{hook}", (float)Math.Sqrt(spec.InputWidth)));
        SafetensorsWriter.Write(Path.Combine(path, WeightsName), tensors,
            new Dictionary<string, string> { ["version"] = Version });
        ConfigFile.Write(Path.Combine(path, ConfigName), Config(draft, into, from));
        return draft.Notes;
    }

    static TensorToWrite One(string name, float value) =>
        new(name, "F32", [], stream => stream.Write(BitConverter.GetBytes(value)));

    static JsonObject Config(Draft draft, string into, string from)
    {
        var (spec, model) = (draft.Spec, draft.Model);
        var config = new JsonObject
        {
            ["sae_type"] = "sae",
            ["d_model"] = spec.InputWidth,
            ["expansion_factor"] = Expansion(spec),
            ["use_decoder_bias"] = true,
            ["act_fn"] = spec.Selection switch { Selection.TopK => "topk", Selection.Relu => "relu", _ => "jumprelu" },
            ["norm_activation"] = model.Normalization == InputNormalization.ConstantNorm ? "token-wise" : "inference",
            ["sparsity_include_decoder_norm"] = false,
            ["top_k"] = spec.Selection is Selection.TopK ? draft.K : 50,
            ["hook_point_in"] = into,
            ["hook_point_out"] = from,
            ["use_glu_encoder"] = false,
        };
        if (model.About.Count > 0) config[AboutKey] = model.About.DeepClone();
        return config;
    }

    /// <summary>n / d as a double that d times rounds down to n again, as the reader computes it.</summary>
    static double Expansion(SaeSpec spec)
    {
        var factor = (double)spec.Latents / spec.InputWidth;
        return (int)(spec.InputWidth * factor) == spec.Latents ? factor : double.BitIncrement(factor);
    }
}
