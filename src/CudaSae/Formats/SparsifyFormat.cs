using System.Text.Json.Nodes;
using CudaSae.Files;
using CudaSae.Model;

namespace CudaSae.Formats;

/// <summary>EleutherAI/sparsify: cfg.json and sae.safetensors with encoder.weight [n, d], encoder.bias [n], W_dec [n,
/// d], b_dec [d] and W_skip [d, d]. An SAE subtracts b_dec from
/// its input, a transcoder does not.</summary>
sealed class SparsifyFormat : ISaeFormat
{
    const string ConfigName = "cfg.json", WeightsName = "sae.safetensors", AboutKey = "metadata";
    static readonly WeightNames Names = new(new("encoder.weight"), new("W_dec"), "encoder.bias", "b_dec");

    public string Name => "sparsify";
    public string Layout => $"a folder with {ConfigName} and {WeightsName}";
    public bool Recognizes(string path) =>
        File.Exists(Path.Combine(path, ConfigName)) && File.Exists(Path.Combine(path, WeightsName));

    public SaeModel Read(string path)
    {
        var config = ConfigFile.Read(Path.Combine(path, ConfigName));
        using var file = new WeightFile(new SafetensorsFile(Path.Combine(path, WeightsName)));
        var (d, n, _) = Names.Widths(file);
        if (config.Whole("d_in") is { } width && width != d)
            throw config.Bad($"d_in is {width}, {WeightsName} has {d}");
        if (config.Whole("num_latents") is > 0 and var latents && latents != n)
            throw config.Bad($"num_latents is {latents}, {WeightsName} has {n}");
        var (transcodes, skips) = (config.Flag("transcode") == true, config.Flag("skip_connection") == true);
        var spec = Describe.Checked(new()
        {
            InputWidth = d,
            Latents = n,
            Selection = SelectionOf(config),
            Nested = Nested(config, n),
            Transcoder = transcodes || skips ? new(d, skips) : null,
            DecoderNorm = DecoderNorm.Free,
            PreEncoderBias = !transcodes && !skips,
        }, config.Path);
        var p = Names.Read(file, spec);
        List<string> notes = [];
        if (skips && !transcodes)
        {
            Folding.AddEncodedBias(p.WEnc, p.BDec, p.BEnc, -1);
            notes.Add("an SAE with a skip connection reads as a transcoder whose target is its input; b_enc takes up "
                + "the b_dec that was subtracted");
        }
        return new(spec, p) { About = (JsonObject?)config.Section(AboutKey)?.Fields.DeepClone() ?? [], Notes = notes };
    }

    static Selection SelectionOf(ConfigFile config) =>
        (config.Text("activation") ?? "topk", config.Flag("signed") == true) switch
        {
            ("topk", false) => new Selection.TopK(config.RequiredWhole("k")),
            // of 2024: the largest |z|, without ReLU
            ("topk", true) => new Selection.AbsTopK(config.RequiredWhole("k")),
            ("groupmax", false) => new Selection.GroupMax(config.RequiredWhole("k")),
            var (other, _) => throw config.Bad($"activation '{other}' is unknown; topk and groupmax are read"),
        };

    /// <summary>Multi-TopK's second budget, where it fits: of importance to further training alone.</summary>
    static Nesting.Budgets? Nested(ConfigFile config, int latents)
    {
        var k = config.RequiredWhole("k");
        return config.Flag("multi_topk") == true && 4 * (long)k <= Describe.Room(latents)
            && config.Flag("signed") != true
            ? new([k, 4 * k], [1, 0.125f], Report: k) : null;
    }

    public IReadOnlyList<string> Write(string path, SaeModel model)
    {
        using var draft = new Draft(model, Name);
        draft.Allow();
        draft.AllowTranscoder(any: true, skip: true, otherWidth: false);
        var spec = draft.Spec;
        if (spec.Selection is not (Selection.TopK or Selection.GroupMax))
            throw draft.Refusal($"it knows TopK and GroupMax, not {Describe.Selection(spec)}");
        draft.SubtractBias(true);
        var config = new JsonObject
        {
            ["activation"] = spec.Selection is Selection.TopK ? "topk" : "groupmax",
            ["expansion_factor"] = Math.Max(1, spec.Latents / spec.InputWidth),     // num_latents prevails
            ["normalize_decoder"] = Folding.DecoderNorms(draft.WDec).All(norm => Math.Abs(norm - 1) < 1e-3),
            ["num_latents"] = spec.Latents,
            ["k"] = draft.K,
            ["multi_topk"] = spec.Nested is Nesting.Budgets budgets
                && budgets.Ks.AsSpan().SequenceEqual([draft.K, 4 * draft.K]),
            ["skip_connection"] = spec.Transcoder is { Skip: true },
            ["transcode"] = spec.Transcoder is not null,
            ["d_in"] = spec.InputWidth,
        };
        if (model.About.Count > 0) config[AboutKey] = model.About.DeepClone();
        SafetensorsWriter.Write(Path.Combine(path, WeightsName), Names.Tensors(draft));
        ConfigFile.Write(Path.Combine(path, ConfigName), config);
        return draft.Notes;
    }
}
