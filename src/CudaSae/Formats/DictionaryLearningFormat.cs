using System.Text.Json.Nodes;
using CudaSae.Files;
using CudaSae.Model;

namespace CudaSae.Formats;

/// <summary>The format of saprmarks/dictionary_learning: ae.pt, a state_dict, and config.json, whose trainer.dict_class
/// names one of seven classes. All classes subtract their bias from the input, except AutoEncoderNew and
/// JumpReluAutoEncoder.</summary>
sealed class DictionaryLearningFormat : ISaeFormat
{
    const string ConfigName = "config.json", WeightsName = "ae.pt", AboutKey = "metadata";
    static readonly WeightNames Linear = new(new("encoder.weight"), new("decoder.weight", Transposed: true),
        "encoder.bias", "b_dec");
    static readonly WeightNames Plain = new(new("W_enc", Transposed: true), new("W_dec"), "b_enc", "b_dec");

    // Without config.json the class is the one that fits the file's tensors.
    static readonly (string Class, WeightNames Names, string Trainer)[] Classes =
    [
        ("AutoEncoder", Linear with { DecoderBias = "bias" }, "StandardTrainer"),
        ("AutoEncoderNew", Linear with { DecoderBias = "decoder.bias" }, "StandardTrainerAprilUpdate"),
        ("GatedAutoEncoder",
            Linear with { EncoderBias = "gate_bias", DecoderBias = "decoder_bias", MagnitudeBias = "mag_bias" },
            "GatedSAETrainer"),
        ("AutoEncoderTopK", Linear with { Beside = ["k", "threshold"] }, "TopKTrainer"),
        ("BatchTopKSAE", Linear with { Beside = ["k", "threshold"] }, "BatchTopKTrainer"),
        ("JumpReluAutoEncoder", Plain, "JumpReluTrainer"),
        ("MatryoshkaBatchTopKSAE", Plain with { Beside = ["k", "threshold", "group_sizes"] },
            "MatryoshkaBatchTopKTrainer"),
    ];

    // These trainers have tensors that fit several classes, or configurations that are older than dict_class.
    static readonly (string Trainer, string Class)[] Trained =
    [
        ("StandardTrainer", "AutoEncoder"), ("PAnnealTrainer", "AutoEncoder"),
        ("StandardTrainerAprilUpdate", "AutoEncoderNew"), ("StandardTrainerNew", "AutoEncoderNew"),
        ("GatedSAETrainer", "GatedAutoEncoder"), ("GatedAnnealTrainer", "GatedAutoEncoder"),
        ("TopKTrainer", "AutoEncoderTopK"), ("TrainerTopK", "AutoEncoderTopK"), ("BatchTopKTrainer", "BatchTopKSAE"),
        ("JumpReluTrainer", "JumpReluAutoEncoder"), ("MatryoshkaBatchTopKTrainer", "MatryoshkaBatchTopKSAE"),
    ];

    // Each entry has a section of config.json, its name of a field, and the name in SAELens.
    static readonly (string Section, string Theirs, string Ours)[] Words =
        [("trainer", "lm_name", "model_name"), ("trainer", "submodule_name", "hook_name"),
            ("trainer", "layer", "layer"), ("buffer", "ctx_len", "context_size")];

    public string Name => "dictionary_learning";
    public string Layout => $"a folder with {WeightsName} and {ConfigName}";
    public bool Recognizes(string path) => File.Exists(Path.Combine(path, WeightsName));

    public SaeModel Read(string path)
    {
        var config = File.Exists(Path.Combine(path, ConfigName)) ? ConfigFile.Read(Path.Combine(path, ConfigName))
            : null;
        using var file = new WeightFile(new PtFile(Path.Combine(path, WeightsName)));
        var trainer = config?.Section("trainer");
        var name = ClassIn(trainer) ?? Guess(file, config is not null);
        if (Classes.FirstOrDefault(c => c.Class == name) is not { Names: { } names })
            throw file.Bad($"dict_class '{TensorFile.Shown(name)}' is not read; "
                + $"{string.Join(", ", Classes.Select(c => c.Class))} are");
        var (d, n, output) = names.Widths(file);
        if (output != d) throw file.Bad($"its encoder reads {d} numbers, its decoder predicts {output}");
        var spec = Describe.Checked(new()
        {
            InputWidth = d,
            Latents = n,
            Selection = SelectionOf(name, file, trainer, n),
            Nested = name == "MatryoshkaBatchTopKSAE" ? Prefixes(file, n) : null,
            DecoderNorm = DecoderNorm.Free,
            PreEncoderBias = name is not ("AutoEncoderNew" or "JumpReluAutoEncoder"),
        }, file.Path);
        var p = names.Read(file, spec);
        if (spec.Selection is Selection.BatchTopK)
            p.BatchThreshold = MathF.Max(0, (float)Number(file, trainer, "threshold"));     // −1 until it is measured
        var io = config?.Section("buffer")?.Text("io");
        var model = new SaeModel(spec, p)
        {
            About = About(config), KindIsAssumed = io is not ("in" or "out" or "in_and_out"),
        };
        return io == "in_and_out" ? SaeKinds.AsTranscoder(model) : model;
    }

    /// <summary>Returns the class by its name, its full name or Python's text of it, or by its trainer; null if the
    /// configuration names none.</summary>
    static string? ClassIn(ConfigFile? trainer)
    {
        if (trainer?.Text("dict_class") is { Length: > 0 } text) return text.Trim('<', '>', '\'', ' ').Split('.')[^1];
        var by = trainer?.Text("trainer_class")?.Trim('<', '>', '\'', ' ').Split('.')[^1];
        return Trained.FirstOrDefault(t => t.Trainer == by).Class;
    }

    static string Guess(WeightFile file, bool configured)
    {
        string[] keys = [.. file.Tensors.Keys, .. file.Metadata.Keys];
        string[] fitting = [.. Classes.Where(c => Fits(c.Names)).Select(c => c.Class)];
        var where = configured ? $"its {ConfigName} names no dict_class" : $"there is no {ConfigName} beside it";
        var what = fitting.Length == 0 ? "no class" : string.Join(" and ", fitting);
        return fitting.Length == 1 ? fitting[0] : throw file.Bad($"{where}, and its tensors fit {what}");

        bool Fits(WeightNames names)
        {
            HashSet<string> needed = [names.Encoder.Name, names.Decoder.Name, names.EncoderBias, names.DecoderBias];
            string[] possible = [names.MagnitudeBias, names.MagnitudeScale, names.Threshold];
            return needed.IsSubsetOf(keys)
                && names.Beside.All(beside => keys.Any(k => k == beside || k.StartsWith(beside + ".")))
                && file.Tensors.Keys.All(k => needed.Contains(k) || names.Beside.Contains(k) || possible.Contains(k));
        }
    }

    static Selection SelectionOf(string name, WeightFile file, ConfigFile? trainer, int latents) => name switch
    {
        "AutoEncoder" or "AutoEncoderNew" => Describe.Relu(latents),
        "GatedAutoEncoder" => Describe.Gated(latents),
        "JumpReluAutoEncoder" => Describe.JumpRelu(latents),
        "AutoEncoderTopK" => new Selection.TopK(K(file, trainer)),
        _ => new Selection.BatchTopK(K(file, trainer)),
    };

    static int K(WeightFile file, ConfigFile? trainer) =>
        Number(file, trainer, "k") is var k and >= 1 and <= int.MaxValue && k == Math.Floor(k) ? (int)k
            : throw file.Bad("its k is not a whole number above 0");

    /// <summary>Returns a scalar of the file, or of the configuration for older files, which lack the scalar.</summary>
    static double Number(WeightFile file, ConfigFile? trainer, string name) =>
        file.Number(name) ?? trainer?.Number(name)
        ?? throw file.Bad($"it lacks {name}, and {ConfigName} does not name it either");

    static Nesting.Prefixes? Prefixes(WeightFile file, int latents)
    {
        var sizes = GroupSizesIn(file);
        var (widths, sum) = (new List<int>(), 0L);
        for (var i = 0; i < sizes.Count; i++)
        {
            if (sizes[i] < 1 || (sum += sizes[i]) > latents)
                throw file.Bad($"its group_sizes do not add up to {latents} latents");
            if (i < sizes.Count - 1) widths.Add((int)sum);
        }
        return sum != latents ? throw file.Bad($"its group_sizes do not add up to {latents} latents") : widths.Count > 0
            ? new Nesting.Prefixes([.. widths], Mean: true) : null;
    }

    /// <summary>Reads the group sizes from a tensor of whole numbers or from a list.</summary>
    static List<long> GroupSizesIn(WeightFile file)
    {
        const string Name = "group_sizes";
        const int Most = 64;
        var sizes = new List<long>();
        if (file.Tensors.TryGetValue(Name, out var groups)
            && groups is { Type: "I64" or "I32", Shape: [> 0 and <= Most and var count] })
        {
            for (var i = 0; i < count; i++)
            {
                var width = groups.ElementBytes;
                var bytes = file.Slice(groups, width * i * (groups.Strides?[0] ?? 1), width);
                sizes.Add(groups.Type == "I64" ? BitConverter.ToInt64(bytes) : BitConverter.ToInt32(bytes));
            }
        }
        else if (groups is null)
            while (sizes.Count < Most && file.Number($"{Name}.{sizes.Count}") is { } size) sizes.Add((long)size);
        return sizes.Count > 0 ? sizes : throw file.Bad($"its {Name} are not a list of whole numbers");
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
        if (names.Beside.Contains("k"))
            tensors.Add(new("k", "I32", [], stream => stream.Write(BitConverter.GetBytes(K(draft)))));
        if (names.Beside.Contains("threshold"))
            tensors.Add(new("threshold", "F32", [],
                stream => stream.Write(BitConverter.GetBytes(draft.BatchThreshold))));
        if (names.Beside.Contains("group_sizes")) tensors.Add(GroupSizes(draft.Spec));
        PtWriter.Write(Path.Combine(path, WeightsName), tensors);
        ConfigFile.Write(Path.Combine(path, ConfigName), Config(draft, name, trainer));
        return draft.Notes;
    }

    /// <summary>Returns k; for BatchTopK it is the mean, not the capacity.</summary>
    static int K(Draft draft) => draft.Spec.Selection is Selection.BatchTopK batch ? batch.K : draft.K;

    static string ClassOf(Draft draft) => draft.Spec.Selection switch
    {
        Selection.Relu => draft.Spec.PreEncoderBias ? "AutoEncoder" : "AutoEncoderNew",
        Selection.Gated => "GatedAutoEncoder",
        Selection.TopK => "AutoEncoderTopK",
        Selection.JumpRelu => "JumpReluAutoEncoder",
        Selection.BatchTopK =>
            draft.Spec.Nested is Nesting.Prefixes { Random: false } ? "MatryoshkaBatchTopKSAE" : "BatchTopKSAE",
        _ => throw draft.Refusal($"it has no dict_class for {Describe.Selection(draft.Spec)}"),
    };

    static TensorToWrite GroupSizes(SaeSpec spec)
    {
        int[] widths = [0, .. ((Nesting.Prefixes)spec.Nested!).Widths, spec.Latents];
        return new("group_sizes", "I64", [widths.Length - 1], stream =>
        {
            for (var i = 1; i < widths.Length; i++)
                stream.Write(BitConverter.GetBytes((long)(widths[i] - widths[i - 1])));
        });
    }

    static JsonObject Config(Draft draft, string name, string trainer)
    {
        var (spec, about) = (draft.Spec, draft.Model.About);
        var config = new JsonObject
        {
            ["trainer"] = new JsonObject
            {
                ["dict_class"] = name, ["trainer_class"] = trainer,
                ["activation_dim"] = spec.InputWidth, ["dict_size"] = spec.Latents
            },
            ["buffer"] = new JsonObject { ["d_submodule"] = spec.InputWidth, ["io"] = "out" },
        };
        if (spec.Selection is Selection.TopK or Selection.BatchTopK) config["trainer"]!["k"] = K(draft);
        foreach (var (section, theirs, ours) in Words)
            if (about[ours] is { } value) config[section]![theirs] = value.DeepClone();
        if (about.Count > 0) config[AboutKey] = about.DeepClone();
        return config;
    }
}
