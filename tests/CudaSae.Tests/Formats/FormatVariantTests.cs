using System.Text.Json.Nodes;
using static CudaSae.Testing.Problems.FormatModels;

namespace CudaSae.Tests;

/// <summary>The kind of a file follows from its contents, and older or wrapped contents have the same
/// meaning.</summary>
public class FormatVariantTests
{
    static readonly Dictionary<string, (string Weights, string Selection, bool Centres)> Layouts = new()
    {
        ["saelens"] = ("sae_weights.safetensors", "jumprelu", true), ["sparsify"] = ("sae.safetensors", "topk", true),
        ["gemma-scope"] = ("params.npz", "jumprelu", false),
        ["gemma-scope-2"] = ("params.safetensors", "jumprelu", false),
        ["openmoss"] = ("sae_weights.safetensors", "topk", false),
        ["dictionary_learning"] = ("ae.pt", "batchtopk", true), ["openai"] = ("", "relu", true),
    };

    static (string Place, string Weights) Write(TemporaryFolder folder, string format, SaeModel sae)
    {
        var place = folder[format == "openai" ? "sae.pt" : "sae"];
        sae.Save(place, format);
        return (place, Path.Combine(place, Layouts[format].Weights).TrimEnd('/'));
    }

    static SaeModel Sample(string format) =>
        FormatModels.Model(Spec(Layouts[format].Selection, centres: Layouts[format].Centres));

    /// <summary>Writes a file's tensors again with changes.</summary>
    static void Rewrite(
        string path, Func<TensorToWrite, TensorToWrite?> change, Dictionary<string, object>? scalars = null)
    {
        TensorToWrite?[] tensors;
        using (var file = TensorFile.Open(path))
            tensors = [.. file.Tensors.Values.Select(t =>
            {
                var bytes = file.Slice(t, 0, (int)t.Bytes).ToArray();
                return change(new(t.Name, t.Type, t.Shape, stream => stream.Write(bytes)));
            })];
        switch (Path.GetExtension(path))
        {
            case ".pt": PtWriter.Write(path, tensors.OfType<TensorToWrite>(), scalars); break;
            case ".npz": NpzWriter.Write(path, tensors.OfType<TensorToWrite>()); break;
            default: SafetensorsWriter.Write(path, tensors.OfType<TensorToWrite>()); break;
        }
    }

    static void Edit(string path, Action<JsonObject> edit)
    {
        var fields = (JsonObject)JsonNode.Parse(File.ReadAllText(path))!;
        edit(fields);
        File.WriteAllText(path, fields.ToJsonString());
    }

    public static TheoryData<string, string> Prefixed
    {
        get
        {
            var cases = new TheoryData<string, string>();
            foreach (var format in Layouts.Keys)
                foreach (var prefix in (string[])["module.", "_orig_mod.", "sae.", "module._orig_mod.autoencoder."])
                    cases.Add(format, prefix);
            return cases;
        }
    }

    [Theory, MemberData(nameof(Prefixed))]
    public void WrapperPrefixesAreIgnored(string format, string prefix)
    {
        using var folder = new TemporaryFolder();
        using var sae = Sample(format);
        var (place, weights) = Write(folder, format, sae);
        Rewrite(weights, t => t with { Name = prefix + t.Name });
        using var read = SaeModel.Load(place);
        Assert.Equal("", Differences(sae, read));
    }

    /// <summary>k and threshold occur as tensors of one element, as Python numbers, and in the configuration
    /// alone.</summary>
    [Theory]
    [InlineData("topk", "element"), InlineData("topk", "number"), InlineData("topk", "configuration")]
    [InlineData("batchtopk", "element"), InlineData("batchtopk", "number"), InlineData("batchtopk", "configuration")]
    public void DictionaryScalarsAreReadFromEveryPlace(string selection, string where)
    {
        using var folder = new TemporaryFolder();
        using var sae = FormatModels.Model(Spec(selection));
        var (place, weights) = Write(folder, "dictionary_learning", sae);
        var threshold = selection == "batchtopk" ? (double)0.4f : -1;
        Rewrite(weights,
            t => t.Name is not ("k" or "threshold") ? t : where == "element" ? t with { Shape = [1] } : null,
            where == "number" ? new() { ["k"] = K, ["threshold"] = threshold } : null);
        Edit(Path.Combine(place, "config.json"), c =>
        {
            ((JsonObject)c["trainer"]!).Remove("k");
            if (where != "configuration") return;
            (c["trainer"]!["k"], c["trainer"]!["threshold"]) = (K, threshold);
        });
        using var read = SaeModel.Load(place);
        var k = read.Spec.Selection is Selection.TopK top ? top.K : ((Selection.BatchTopK)read.Spec.Selection).K;
        Assert.Equal(("", K), (Differences(sae, read), k));
        if (where != "configuration") return;
        Edit(Path.Combine(place, "config.json"), c => ((JsonObject)c["trainer"]!).Remove("k"));
        AssertOneLine("it lacks k", () => SaeModel.Load(place));
    }

    [Theory]
    [InlineData("<class 'learning.dictionary.AutoEncoder'>", null), InlineData("dictionary.AutoEncoder", null)]
    [InlineData(null, "StandardTrainer"), InlineData(null, null)]
    public void ADictionaryClassIsReadUnderEveryName(string? dictionary, string? trainer)
    {
        using var folder = new TemporaryFolder();
        using var sae = FormatModels.Model(Spec("relu"));
        var (place, _) = Write(folder, "dictionary_learning", sae);
        Edit(Path.Combine(place, "config.json"), c =>
            (c["trainer"]!["dict_class"], c["trainer"]!["trainer_class"]) = (dictionary, trainer));
        using var read = SaeModel.Load(place);
        Assert.Equal("", Differences(sae, read));
    }

    /// <summary>The flat configurations before SAELens 6 store k among the arguments of the activation. The widths may
    /// be missing.</summary>
    [Fact]
    public void OlderConfigurationsOfSaeLensAreRead()
    {
        using var folder = new TemporaryFolder();
        using var sae = FormatModels.Model(Spec("topk"));
        var (place, _) = Write(folder, "saelens", sae);
        File.WriteAllText(Path.Combine(place, "cfg.json"),
            """{"architecture": "topk", "activation_fn_kwargs": {"k": 4}, "hook_point": "blocks.1", "d_in": null}""");
        using var read = SaeModel.Load(place);
        Assert.Equal(("", K), (Differences(sae, read), read.Spec.ActiveAtInference));
    }

    [Fact]
    public void OpenMossConfigurationMayHoldOneThreshold()
    {
        using var folder = new TemporaryFolder();
        using var sae = FormatModels.Model(Spec("jumprelu", centres: false));
        Array.Fill(sae.Parameters.Threshold, 0.25f);
        var place = folder["sae"];
        sae.Save(place, "openmoss");
        Rewrite(Path.Combine(place, "sae_weights.safetensors"), t => t.Name.Contains("threshold") ? null : t);
        AssertOneLine("log_jumprelu_threshold", () => SaeModel.Load(place));
        Edit(Path.Combine(place, "config.json"), c => c["jump_relu_threshold"] = 0.25);
        using var read = SaeModel.Load(place);
        Assert.Equal("", Differences(sae, read));
    }

    static void WriteLlamaScope(string place, SaeModel sae, JsonObject hooks)
    {
        var p = sae.Parameters;
        SafetensorsWriter.Write(Path.Combine(place, "checkpoints/final.safetensors"),
        [
            TensorToWrite.Of("encoder.weight", p.WEnc), TensorToWrite.Transposed("decoder.weight", p.WDec),
            TensorToWrite.Of("encoder.bias", p.BEnc), TensorToWrite.Of("decoder.bias", p.BDec),
        ]);
        var config = new JsonObject
        {
            ["act_fn"] = "relu", ["norm_activation"] = "none", ["sparsity_include_decoder_norm"] = false,
            ["apply_decoder_bias_to_pre_encoder"] = false,
        };
        foreach (var (key, value) in hooks) config[key] = value?.DeepClone();
        File.WriteAllText(Path.Combine(place, "hyperparams.json"), config.ToJsonString());
    }

    /// <summary>Names of folders have no meaning. Without a statement in the files, the kind is an SAE, or the kind
    /// that the caller gives.</summary>
    [Theory]
    [InlineData("gemma-scope", "jumprelu"), InlineData("gemma-scope-2", "jumprelu"), InlineData("openmoss", "relu")]
    [InlineData("llama-scope", "relu"), InlineData("dictionary_learning", "gated")]
    public void AmbiguousFilesAreSaesUnlessTheCallerNamesAnotherKind(string format, string selection)
    {
        using var folder = new TemporaryFolder();
        using var sae = FormatModels.Model(Spec(selection, centres: format == "dictionary_learning"));
        var place = folder["my-transcoders/transcoder_2"];
        Directory.CreateDirectory(place);
        if (format == "llama-scope") WriteLlamaScope(place, sae, new() { ["hook_point_out"] = "blocks.0.mlp_out" });
        else sae.Save(place, format);
        if (format is "gemma-scope-2" or "openmoss" or "dictionary_learning")
            Edit(Path.Combine(place, "config.json"), c =>
            {
                foreach (var key in (string[])["type", "hf_hook_point_in", "hook_point_in"]) c.Remove(key);
                if (format == "gemma-scope-2") c["hf_hook_point_out"] = "x";
                if (format == "dictionary_learning") ((JsonObject)c["buffer"]!).Remove("io");
            });
        using var read = SaeModel.Load(place);
        Assert.Equal((null, true), (read.Spec.Transcoder, read.KindIsAssumed));
        Assert.Equal("", Differences(sae, read));
        using var asked = SaeModel.Load(place, SaeKind.Sae);
        Assert.Null(asked.Spec.Transcoder);
        using var transcoder = SaeModel.Load(place, SaeKind.Transcoder);
        Assert.Equal(new Transcoding(D), transcoder.Spec.Transcoder);
        Assert.InRange(Distance(sae, transcoder), 0, 1e-5);
    }

    [Theory]
    [InlineData("saelens", SaeKind.Transcoder), InlineData("sparsify", SaeKind.Transcoder)]
    [InlineData("gemma-scope-2", SaeKind.Transcoder), InlineData("openmoss", SaeKind.Transcoder)]
    [InlineData("openai", SaeKind.Transcoder), InlineData("gemma-scope", SaeKind.Sae)]
    public void TheCallerCannotOverrideTheFiles(string format, SaeKind asked)
    {
        using var folder = new TemporaryFolder();
        using var sae = format == "gemma-scope" ? FormatModels.Model(Spec("jumprelu", 5)) : Sample(format);
        var (place, _) = Write(folder, format, sae);
        using (var read = SaeModel.Load(place)) Assert.False(read.KindIsAssumed);
        AssertOneLine("by its contents", () => SaeModel.Load(place, asked));
    }
}
