using CudaSae.Activations.Stores;
using CudaSae.Files;
using CudaSae.Formats;
using CudaSae.Lab.Harvest;
using CudaSae.Testing.Bytes;
using CudaSae.Testing.Problems;

namespace CudaSae.Testing.Fuzz;

/// <summary>Parsers of folders: an input takes the place of one file, those beside it stay valid.</summary>
sealed partial class FuzzTargets
{
    int folders;

    /// <summary>A case for each of these files of a folder of its own.</summary>
    /// <param name="read">Reads the folder.</param>
    IEnumerable<FuzzCase> Cases(Action<string> make, Action<string> read,
        params (string File, Structure? Structure)[] files)
    {
        foreach (var (file, structure) in files)
        {
            var place = Path.Combine(folder.FullName, $"{folders++}");
            Directory.CreateDirectory(place);
            make(place);
            var path = Path.Combine(place, file);
            var valid = File.ReadAllBytes(path);
            var beside = Directory.GetFiles(place, "*", SearchOption.AllDirectories).Sum(f => new FileInfo(f).Length)
                - valid.Length;
            yield return new(valid, structure, bytes =>
            {
                File.WriteAllBytes(path, bytes);
                read(place);
            }, beside);
        }
    }

    /// <summary>A path that a file named must be in the folder itself.</summary>
    static void RequireInside(string place, string path)
    {
        if (Path.GetDirectoryName(Path.GetFullPath(path)) != Path.GetFullPath(place))
            throw new InvalidOperationException("a path leaves its folder");
    }

    FuzzTarget Saev()
    {
        static void Make(string place)
        {
            File.WriteAllText(Path.Combine(place, "metadata.json"),
                """{"family": "clip", "layers": [5, 13], "content_tokens_per_example": 3, "cls_token": true, "d_model": 4, "n_examples": 3, "max_tokens_per_shard": 19, "dtype": "float32", "protocol": "2.1"}""");
            File.WriteAllText(Path.Combine(place, "shards.json"),
                """[{"name": "acts000000.bin", "n_examples": 2}, {"name": "acts000001.bin", "n_examples": 1}]""");
            for (var s = 0; s < 2; s++)
                File.WriteAllBytes(Path.Combine(place, $"acts00000{s}.bin"), new byte[2 * 2 * 4 * 4 * 4]);
            File.WriteAllBytes(place + "-acts.bin", new byte[2 * 2 * 4 * 4 * 4]); // what a path that escapes would find
        }
        static void Read(string place)
        {
            foreach (var shard in SaevShard.Open(SaevMetadata.Load(place), "layer=13"))
                using (shard)
                {
                    RequireInside(place, shard.Path);
                    Touch(shard);
                }
        }
        return new("saev",
            [.. Cases(Make, Read, ("metadata.json", JsonStructure.Mutate), ("shards.json", JsonStructure.Mutate))],
            Words("\"n_examples\":", "\"n_ex\":", "\"d_vit\":", "\"patches_per_ex\":", "\"patches_per_shard\":",
                "\"../0-acts.bin\"", "\"../1-acts.bin\"", "\"..\"", "\"acts000000.bin\\u0000\"", "\"name\":",
                "\"layers\":", "13", "[13]", "\"float32\"", "\"\\ud800\""));
    }

    FuzzTarget ArrowState()
    {
        static void Make(string place)
        {
            File.WriteAllText(Path.Combine(place, "state.json"),
                """{"_data_files": [{"filename": "data-00000-of-00002.arrow"}, {"filename": "data-00001-of-00002.arrow"}], "_fingerprint": "a1", "_split": null}""");
            for (var i = 0; i < 2; i++)
                File.WriteAllBytes(Path.Combine(place, $"data-0000{i}-of-00002.arrow"), new ArrowBytes().Write());
            File.WriteAllBytes(place + ".arrow", new ArrowBytes().Write());
        }
        static void Read(string place)
        {
            foreach (var file in ArrowDataset.Files(place,
                [Path.Combine(place, "data-00000-of-00002.arrow"), Path.Combine(place, "data-00001-of-00002.arrow")]))
                RequireInside(place, file);
        }
        return new("arrow-state", [.. Cases(Make, Read, ("state.json", JsonStructure.Mutate))],
            Words("\"filename\":", "\"_data_files\":", "\"../0.arrow\"", "\"../x.arrow\"", "\"..\"", "\".\"",
                "\"/etc/hostname\"", "\"data-00000-of-00002.arrow\"", "\"\\ud800\"", "\"\\u0000\""));
    }

    FuzzTarget TfJs()
    {
        static void Make(string place)
        {
            File.WriteAllText(Path.Combine(place, "model.json"),
                """{"format":"graph-model","weightsManifest":[{"paths":["group1-shard1of2","group1-shard2of2"],"weights":[{"name":"module/Embeddings_en","shape":[3,4],"dtype":"float32"},{"name":"b","shape":[1,1,2],"dtype":"float32"},{"name":"shape","shape":[2],"dtype":"int32"}]}]}""");
            File.WriteAllBytes(Path.Combine(place, "group1-shard1of2"), new byte[40]);
            File.WriteAllBytes(Path.Combine(place, "group1-shard2of2"), new byte[24]);
        }
        static void Read(string place)
        {
            using var weights = new UseLiteWeights(place);
            _ = weights["Embeddings_en"].Rows;
        }
        return new("tfjs", [.. Cases(Make, Read, ("model.json", JsonStructure.Mutate))],
            Words("\"weightsManifest\":", "\"paths\":", "\"weights\":", "\"group1-shard1of2\"", "\"../x\"", "\"\"",
                "\"shape\":", "\"dtype\":", "\"float32\"", "\"name\":", "[65536,65536]", "[-1,-4]", "[46341,46341]",
                "[1073741824,4]", "\"\\ud800\"", "\"\\u0000\""));
    }

    static readonly (string Name, string[] Selections, string Weights, string? Config)[] Layouts =
    [
        ("saelens", ["jumprelu", "topk", "gated", "batchtopk"], "sae_weights.safetensors", "cfg.json"),
        ("sparsify", ["topk", "groupmax"], "sae.safetensors", "cfg.json"),
        ("gemma-scope", ["jumprelu"], "params.npz", null),
        ("gemma-scope-2", ["jumprelu"], "params.safetensors", "config.json"),
        ("openmoss", ["topk", "jumprelu"], "sae_weights.safetensors", "config.json"),
        ("dictionary_learning", ["batchtopk", "matryoshka", "gated"], "ae.pt", "config.json"),
        ("openai", ["relu"], "x.pt", null),
    ];

    IEnumerable<FuzzTarget> Formats()
    {
        foreach (var (name, selections, weights, config) in Layouts)
            yield return new("sae-" + name, [.. selections.SelectMany(s => Layout(name, s, weights, config))],
                FormatWords);
        yield return new("sae-llama-scope",
            [.. Cases(LlamaScope, place => SaeFormats.Named("openmoss").Read(place).Dispose(),
                ("hyperparams.json", JsonStructure.Mutate))],
            FormatWords);
    }

    /// <summary>The configuration three times, so that it gets most of the inputs, then the weights.</summary>
    IEnumerable<FuzzCase> Layout(string name, string selection, string weights, string? config)
    {
        var file = name == "openai";
        void Make(string place)
        {
            using var sae = FormatModels.Model(FormatModels.Spec(selection,
                centres: name is "saelens" or "sparsify" or "dictionary_learning" or "openai"));
            sae.Save(file ? Path.Combine(place, weights) : place, name);
        }
        void Read(string place)
        {
            using var sae = SaeFormats.Named(name).Read(file ? Path.Combine(place, weights) : place);
            _ = sae.Summary.Length + sae.Notes.Count;
        }
        Structure structure = weights.EndsWith(".safetensors", StringComparison.Ordinal) ? JsonStructure.Safetensors
            : ZipStructure.Mutate;
        return Cases(Make, Read,
            config is null ? [(weights, structure)]
                : [(config, JsonStructure.Mutate), (config, JsonStructure.Mutate), (config, JsonStructure.Mutate),
                    (weights, structure)]);
    }

    static void LlamaScope(string place)
    {
        using var sae = FormatModels.Model(FormatModels.Spec("relu"));
        var p = sae.Parameters;
        SafetensorsWriter.Write(Path.Combine(place, "checkpoints/final.safetensors"),
            [TensorToWrite.Of("encoder.weight", p.WEnc), TensorToWrite.Transposed("decoder.weight", p.WDec),
                TensorToWrite.Of("encoder.bias", p.BEnc), TensorToWrite.Of("decoder.bias", p.BDec)]);
        File.WriteAllText(Path.Combine(place, "hyperparams.json"), """
            {"d_model": 6, "d_sae": 24, "act_fn": "jumprelu", "jump_relu_threshold": 0.3, "norm_activation": "dataset-wise", "dataset_average_activation_norm": {"in": 4.0, "out": 4.0}, "use_decoder_bias": true,
             "apply_decoder_bias_to_pre_encoder": false, "sparsity_include_decoder_norm": true, "hook_point_in": "a", "hook_point_out": "a", "top_k": 50}
            """);
    }

    static byte[][] FormatWords =>
        Words("\"architecture\":", "\"standard\"", "\"topk\"", "\"jumprelu\"", "\"gated\"",
            "\"jumprelu_skip_transcoder\"", "\"d_in\":", "\"d_sae\":", "\"d_out\":6", "\"k\":", "\"metadata\":",
            "\"cudasae_spec\":", "\"sae_lens_version\":\"5.0\"",
        "\"activation_fn\":\"topk\"", "\"activation_fn_kwargs\":{\"k\":4}", "\"normalize_activations\":\"layer_norm\"",
        "\"normalize_activations\":\"expected_average_only_in\"", "\"finetuning_scaling_factor\":true",
        "\"reshape_activations\":\"hook_z\"",
        "\"act_fn\":", "\"relu\"", "\"norm_activation\":\"dataset-wise\"", "\"hook_point_in\":", "\"hook_point_out\":",
        "\"trainer\":", "\"dict_class\":", "\"GatedAutoEncoder\"", "\"activation\":", "\"groupmax\"", "\"signed\":true",
        "\"multi_topk\":true", "\"skip_connection\":true",
        "\"transcode\":true", "\"type\":\"transcoder\"", "\"l0\":", "\"W_enc\"", "\"threshold\"", "\"F16\"", "\"I64\"",
        "K\x04", "\"\\ud800\"", "\"\\u0000\\n\"", "null", "PK\x03\x04", "'shape': (");
}
