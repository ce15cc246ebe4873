using System.Text.Json.Nodes;
using CudaSae.Data;
using CudaSae.Model;

namespace CudaSae.Formats;

/// <summary>saprmarks/dictionary_learning: ae.pt, a state_dict, and config.json, whose trainer.dict_class names one of seven classes. All subtract their bias from the input,
/// except AutoEncoderNew and JumpReluAutoEncoder.</summary>
public sealed class DictionaryLearningFormat : ISaeFormat
{
    const string ConfigName = "config.json", WeightsName = "ae.pt", AboutKey = "metadata";
    static readonly WeightNames Linear = new(new("encoder.weight"), new("decoder.weight", Transposed: true), "encoder.bias", "b_dec");
    static readonly WeightNames Plain = new(new("W_enc", Transposed: true), new("W_dec"), "b_enc", "b_dec");

    // Without config.json the one that a file's tensors fit is meant.
    static readonly (string Class, WeightNames Names, string Trainer)[] Classes =
    [
        ("AutoEncoder", Linear with { DecoderBias = "bias" }, "StandardTrainer"),
        ("AutoEncoderNew", Linear with { DecoderBias = "decoder.bias" }, "StandardTrainerAprilUpdate"),
        ("GatedAutoEncoder", Linear with { EncoderBias = "gate_bias", DecoderBias = "decoder_bias", MagnitudeBias = "mag_bias" }, "GatedSAETrainer"),
        ("AutoEncoderTopK", Linear with { Beside = ["k", "threshold"] }, "TopKTrainer"),
        ("BatchTopKSAE", Linear with { Beside = ["k", "threshold"] }, "BatchTopKTrainer"),
        ("JumpReluAutoEncoder", Plain, "JumpReluTrainer"),
        ("MatryoshkaBatchTopKSAE", Plain with { Beside = ["k", "threshold", "group_sizes"] }, "MatryoshkaBatchTopKTrainer"),
    ];

    // config.json's words in trainer and buffer, and SAELens'.
    static readonly (string Section, string Theirs, string Ours)[] Words =
        [("trainer", "lm_name", "model_name"), ("trainer", "submodule_name", "hook_name"), ("trainer", "layer", "layer"), ("buffer", "ctx_len", "context_size")];

    public string Name => "dictionary_learning";
    public string Layout => $"a folder with {WeightsName} and {ConfigName}";
    public bool Recognizes(string path) => File.Exists(Path.Combine(path, WeightsName));

    public SaeModel Read(string path)
    {
        var config = File.Exists(Path.Combine(path, ConfigName)) ? ConfigFile.Read(Path.Combine(path, ConfigName)) : null;
        using var file = new PtFile(Path.Combine(path, WeightsName));
        var name = config?.Section("trainer")?.Text("dict_class") ?? Guess(file);
        if (Classes.FirstOrDefault(c => c.Class == name) is not { Names: { } names })
            throw file.Bad($"dict_class '{TensorFile.Shown(name)}' is not read; {string.Join(", ", Classes.Select(c => c.Class))} are");
        var (d, n, output) = names.Widths(file);
        if (output != d) throw file.Bad($"its encoder reads {d} numbers, its decoder predicts {output}");
        var spec = Describe.Checked(new()
        {
            InputWidth = d,
            Latents = n,
            Selection = SelectionOf(name, file, n),
            Nested = name == "MatryoshkaBatchTopKSAE" ? Prefixes(file, n) : null,
            DecoderNorm = DecoderNorm.Free,
            PreEncoderBias = name is not ("AutoEncoderNew" or "JumpReluAutoEncoder"),
        }, file.Path);
        var p = names.Read(file, spec);
        if (spec.Selection is Selection.BatchTopK) p.BatchThreshold = MathF.Max(0, (float)file.Scalar("threshold"));       // −1: not measured, all above 0 fire
        return new(spec, p) { About = About(config) };
    }

    static string Guess(TensorFile file)
    {
        string[] fitting = [.. Classes.Where(c => Fits(c.Names)).Select(c => c.Class)];
        return fitting.Length == 1 ? fitting[0] : throw file.Bad($"there is no {ConfigName} beside it, and its tensors fit {(fitting.Length == 0 ? "no class" : string.Join(" and ", fitting))}");

        bool Fits(WeightNames names)
        {
            HashSet<string> needed = [names.Encoder.Name, names.Decoder.Name, names.EncoderBias, names.DecoderBias, .. names.Beside];
            string[] possible = [names.MagnitudeBias, names.MagnitudeScale, names.Threshold];
            return needed.IsSubsetOf(file.Tensors.Keys) && file.Tensors.Keys.All(k => needed.Contains(k) || possible.Contains(k));
        }
    }

    static Selection SelectionOf(string name, TensorFile file, int latents) => name switch
    {
        "AutoEncoder" or "AutoEncoderNew" => Describe.Relu(latents),
        "GatedAutoEncoder" => Describe.Gated(latents),
        "JumpReluAutoEncoder" => Describe.JumpRelu(latents),
        "AutoEncoderTopK" => new Selection.TopK(K(file)),
        _ => new Selection.BatchTopK(K(file)),
    };

    static int K(TensorFile file) => file.Scalar("k") is var k and >= 1 and <= int.MaxValue ? (int)k : throw file.Bad("its k is no number above 0");

    static Nesting? Prefixes(TensorFile file, int latents)
    {
        if (!file.Tensors.TryGetValue("group_sizes", out var groups) || groups.Type != "I64" || groups.Shape is not [> 0 and <= 64 and var count])
            throw file.Bad("its group_sizes are no list of whole numbers");
        var (widths, sum) = (new List<int>(), 0L);
        for (var i = 0; i < count; i++)
        {
            var size = BitConverter.ToInt64(file.Slice(groups, 8 * i * (groups.Strides?[0] ?? 1), 8));
            if (size < 1 || (sum += size) > latents) throw file.Bad($"its group_sizes do not add up to {latents} latents");
            if (i < count - 1) widths.Add((int)sum);
        }
        return sum != latents ? throw file.Bad($"its group_sizes do not add up to {latents} latents") : widths.Count > 0 ? new Nesting.Prefixes([.. widths], Mean: true) : null;
    }

    static JsonObject About(ConfigFile? config)
    {
        var about = (JsonObject?)config?.Section(AboutKey)?.Fields.DeepClone() ?? [];
        foreach (var (section, theirs, ours) in Words)
            if (config?.Section(section)?.Fields[theirs] is JsonValue value) about[ours] = value.DeepClone();
        return about;
    }

    public IReadOnlyList<string> Write(string path, SaeModel model)
    {
        using var draft = new Draft(model, Name);
        draft.Allow();
        draft.AllowTranscoder(any: false, skip: false, otherWidth: false);
        var name = ClassOf(draft);
        if (name is "JumpReluAutoEncoder") draft.SubtractBias(false);
        else if (name is not "AutoEncoderNew") draft.SubtractBias(true);
        var (_, names, trainer) = Classes.Single(c => c.Class == name);
        var tensors = names.Tensors(draft);
        if (names.Beside.Contains("k")) tensors.Add(new("k", "I32", [], stream => stream.Write(BitConverter.GetBytes(K(draft)))));
        if (names.Beside.Contains("threshold")) tensors.Add(new("threshold", "F32", [], stream => stream.Write(BitConverter.GetBytes(draft.BatchThreshold))));
        if (names.Beside.Contains("group_sizes")) tensors.Add(GroupSizes(draft.Spec));
        PtWriter.Write(Path.Combine(path, WeightsName), tensors);
        ConfigFile.Write(Path.Combine(path, ConfigName), Config(draft, name, trainer));
        return draft.Notes;
    }

    /// <summary>BatchTopK's mean, not its capacity.</summary>
    static int K(Draft draft) => draft.Spec.Selection is Selection.BatchTopK batch ? batch.K : draft.K;

    static string ClassOf(Draft draft) => draft.Spec.Selection switch
    {
        Selection.Relu => draft.Spec.PreEncoderBias ? "AutoEncoder" : "AutoEncoderNew",
        Selection.Gated => "GatedAutoEncoder",
        Selection.TopK => "AutoEncoderTopK",
        Selection.JumpRelu => "JumpReluAutoEncoder",
        Selection.BatchTopK => draft.Spec.Nested is Nesting.Prefixes { Random: false } ? "MatryoshkaBatchTopKSAE" : "BatchTopKSAE",
        _ => throw draft.Refusal($"it has no dict_class for {Describe.Selection(draft.Spec)}"),
    };

    static TensorToWrite GroupSizes(SaeSpec spec)
    {
        int[] widths = [0, .. ((Nesting.Prefixes)spec.Nested!).Widths, spec.Latents];
        return new("group_sizes", "I64", [widths.Length - 1], stream =>
        {
            for (var i = 1; i < widths.Length; i++) stream.Write(BitConverter.GetBytes((long)(widths[i] - widths[i - 1])));
        });
    }

    static JsonObject Config(Draft draft, string name, string trainer)
    {
        var (spec, about) = (draft.Spec, draft.Model.About);
        var config = new JsonObject
        {
            ["trainer"] = new JsonObject { ["dict_class"] = name, ["trainer_class"] = trainer, ["activation_dim"] = spec.InputWidth, ["dict_size"] = spec.Latents },
            ["buffer"] = new JsonObject { ["d_submodule"] = spec.InputWidth },
        };
        if (spec.Selection is Selection.TopK or Selection.BatchTopK) config["trainer"]!["k"] = K(draft);
        foreach (var (section, theirs, ours) in Words)
            if (about[ours] is { } value) config[section]![theirs] = value.DeepClone();
        if (about.Count > 0) config[AboutKey] = about.DeepClone();
        return config;
    }
}
