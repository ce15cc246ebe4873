using System.Text.Json.Nodes;
using CudaSae.Files;
using CudaSae.Formats;
using CudaSae.Model;
using Xunit;
using static CudaSae.Testing.Problems.FormatModels;

namespace CudaSae.Tests;

/// <summary>What other projects' files say that this one never writes.</summary>
public class FormatReadTests
{
    const string Weights = "sae_weights.safetensors";

    /// <summary>A SAELens folder of a random SAE whose cfg.json is what the test says, without this project's
    /// spec.</summary>
    static SaeModel SaeLens(TemporaryFolder folder, string selection, Action<JsonObject>? edit = null,
        bool centres = true)
    {
        var sae = FormatModels.Model(Spec(selection, centres: centres));
        sae.Save(folder["sae"]);
        Edit(folder, "cfg.json", fields =>
        {
            ((JsonObject)fields["metadata"]!).Remove("cudasae_spec");
            edit?.Invoke(fields);
        });
        return sae;
    }

    static void Edit(TemporaryFolder folder, string name, Action<JsonObject> edit)
    {
        var path = Path.Combine(folder["sae"], name);
        var fields = (JsonObject)JsonNode.Parse(File.ReadAllText(path))!;
        edit(fields);
        File.WriteAllText(path, fields.ToJsonString());
    }

    /// <summary>The weights again, some of them exchanged.</summary>
    static void Rewrite(TemporaryFolder folder, SaeModel sae, string[] without, params TensorToWrite[] more)
    {
        var p = sae.Parameters;
        TensorToWrite[] all = [TensorToWrite.Transposed("W_enc", p.WEnc), TensorToWrite.Of("W_dec", p.WDec),
            TensorToWrite.Of("b_enc", p.BEnc), TensorToWrite.Of("b_dec", p.BDec),
            TensorToWrite.Of("threshold", p.Threshold)];
        SafetensorsWriter.Write(Path.Combine(folder["sae"], Weights),
            [.. all.Where(t => t.Bytes > 0 && !without.Contains(t.Name)), .. more]);
    }

    static TensorToWrite Scalar(string name, double value) =>
        new(name, "F64", [], stream => stream.Write(BitConverter.GetBytes(value)));

    static SaeModel Load(TemporaryFolder folder) => SaeModel.Load(folder["sae"]);

    [Fact]
    public void DecoderNormsOfATopKAreFoldedAsSaeLensFoldsThem()
    {
        using var folder = new TemporaryFolder();
        using var sae = SaeLens(folder, "topk", c => c["rescale_acts_by_decoder_norm"] = true);
        using var read = Load(folder);
        Assert.Contains(read.Notes, n => n.Contains("rescale_acts_by_decoder_norm"));
        Assert.All(Folding.DecoderNorms(read.Parameters.WDec), norm => Assert.Equal(1, norm, 1e-6));
        var norms = Folding.DecoderNorms(sae.Parameters.WDec);
        foreach (var row in Rows())
        {
            // Its encode: top k of z · norm; its decode: codes over norm.
            var z = Enumerable.Range(0, N)
                .Select(f => norms[f] * (sae.Parameters.BEnc[f]
                    + Enumerable.Range(0, D)
                        .Sum(i => (double)sae.Parameters.WEnc[f][i] * (row[i] - sae.Parameters.BDec[i]))))
                .ToArray();
            var kept = Enumerable.Range(0, N).OrderByDescending(f => z[f]).Take(K).ToHashSet();
            var (code, output) = Forward(read, row);
            for (var f = 0; f < N; f++) Assert.Equal(kept.Contains(f) ? Math.Max(0, z[f]) : 0, code[f], 1e-5);
            for (var i = 0; i < D; i++)
                Assert.Equal(sae.Parameters.BDec[i]
                    + kept.Sum(f => Math.Max(0, z[f]) / norms[f] * sae.Parameters.WDec[f][i]),
                    output[i], 1e-5);
        }
    }

    [Fact]
    public void ATrainingCheckpointOfBatchTopKIsItsJumpReluWithTheActivationScaleFolded()
    {
        using var folder = new TemporaryFolder();
        using var sae = SaeLens(folder, "topk", c =>
        {
            c["architecture"] = "matryoshka_batchtopk";
            c["matryoshka_widths"] = new JsonArray(6, 24);
            c["rescale_acts_by_decoder_norm"] = true;
            c["normalize_activations"] = "expected_average_only_in";
        });
        Rewrite(folder, sae, [], Scalar("topk_threshold", 0.3));
        AssertOneLine("expected_average_only_in.*save_inference_model", () => Load(folder));
        File.WriteAllText(Path.Combine(folder["sae"], "activation_scaler.json"), """{"scaling_factor": 0.5}""");
        using var read = Load(folder);
        Assert.IsType<Selection.JumpRelu>(read.Spec.Selection);
        Assert.All(read.Parameters.Threshold, t => Assert.Equal(0.3f, t));
        var (p, norms) = (sae.Parameters, Folding.DecoderNorms(sae.Parameters.WDec));
        foreach (var row in Rows())
        {
            var (code, output) = Forward(read, row);
            for (var f = 0; f < N; f++)
            {
                var z = norms[f] * (p.BEnc[f]
                    + Enumerable.Range(0, D).Sum(i => (double)p.WEnc[f][i] * (0.5 * row[i] - p.BDec[i])));
                Assert.Equal(z > 0.3 ? z : 0, code[f], 1e-5);
            }
            for (var i = 0; i < D; i++)
                Assert.Equal((p.BDec[i] + Enumerable.Range(0, N).Sum(f => code[f] / norms[f] * p.WDec[f][i])) / 0.5,
                    output[i], 1e-4);
        }
        File.WriteAllText(Path.Combine(folder["sae"], "activation_scaler.json"),
            """{"scaling_factor": 0.5, "has_whitening": true}""");
        AssertOneLine("whitened", () => Load(folder));
    }

    [Fact]
    public void LogThresholdsAreExponentiatedAndNegativeOnesAreZero()
    {
        using var folder = new TemporaryFolder();
        using var sae = SaeLens(folder, "jumprelu");
        Rewrite(folder, sae, ["threshold"],
            TensorToWrite.Of("log_threshold", [.. sae.Parameters.Threshold.Select(t => MathF.Log(t))]));
        using (var read = Load(folder))
            Assert.All(read.Parameters.Threshold.Zip(sae.Parameters.Threshold),
                t => Assert.Equal(t.Second, t.First, 1e-6f));
        Rewrite(folder, sae, ["threshold"], TensorToWrite.Of("threshold", [.. Enumerable.Repeat(-0.5f, N)]));
        using (var read = Load(folder)) Assert.All(read.Parameters.Threshold, t => Assert.Equal(0, t));
    }

    [Fact]
    public void FlatConfigurationsBeforeVersionSixAreRead()
    {
        using var folder = new TemporaryFolder();
        using var sae = SaeLens(folder, "topk");
        File.WriteAllText(Path.Combine(folder["sae"], "cfg.json"), $$$"""
            {"d_in": {{{D}}}, "d_sae": {{{N}}}, "dtype": "torch.float32", "device": "mps", "model_name": "gpt2-small", "hook_point": "blocks.7.attn.hook_z", "hook_point_layer": 7, "activation_fn_str": "topk",
             "activation_fn_kwargs": {"k": {{{K}}}}, "apply_b_dec_to_input": true, "normalize_activations": false, "context_size": 128, "prepend_bos": true, "l1_coefficient": 1e-3, "sae_lens_training_version": "3.1.0"}
            """);
        using var read = Load(folder);
        Assert.Equal("", Differences(sae, read));
        Assert.Equal(new Selection.TopK(K), read.Spec.Selection);
        Assert.Equal(("blocks.7.attn.hook_z", "hook_z", 128),
            ((string?)read.About["hook_name"], (string?)read.About["reshape_activations"],
                (int?)read.About["context_size"]));
        read.Save(folder["again"]);
        var config = JsonNode.Parse(File.ReadAllText(Path.Combine(folder["again"], "cfg.json")))!;
        Assert.Equal(("hook_z", null),
            ((string?)config["reshape_activations"], config["metadata"]!["reshape_activations"]));
        Edit(folder, "cfg.json", c => c["activation_fn_str"] = "tanh-relu");
        AssertOneLine("activation function 'tanh-relu'", () => Load(folder));
    }

    [Fact]
    public void TheScaleOfFineTuningGoesIntoTheDecoder()
    {
        using var folder = new TemporaryFolder();
        using var sae = SaeLens(folder, "relu");
        float[] scale = [.. Enumerable.Range(0, N).Select(f => 1 + f / 10f)];
        Rewrite(folder, sae, [], TensorToWrite.Of("scaling_factor", scale));
        AssertOneLine("does not mention the scaling_factor", () => Load(folder));
        Edit(folder, "cfg.json", c => c["finetuning_scaling_factor"] = true);
        using var read = Load(folder);
        Assert.Equal("WDec", Differences(sae, read));
        Assert.Equal(sae.Parameters.WDec[7][2] * scale[7], read.Parameters.WDec[7][2]);
        Rewrite(folder, sae, [], TensorToWrite.Of("finetuning_scaling_factor", scale));
        using (var other = Load(folder)) Assert.Equal("", Differences(read, other));
        Rewrite(folder, sae, [], TensorToWrite.Of("scaling_factor", [.. Enumerable.Repeat(1f, N)]));
        using var same = Load(folder);
        Assert.Equal("", Differences(sae, same));
    }

    [Theory]
    [InlineData("F16", 1e-3)]
    [InlineData("BF16", 8e-3)]
    [InlineData("F64", 0)]
    public void EveryFloatTypeIsRead(string type, double tolerance)
    {
        using var folder = new TemporaryFolder();
        using var sae = SaeLens(folder, "relu", c => c["dtype"] = "bfloat16");
        var p = sae.Parameters;
        Rewrite(folder, sae, ["b_enc", "b_dec", "W_dec"], As("b_enc", [N], p.BEnc), As("b_dec", [D], p.BDec),
            As("W_dec", [N, D], [.. Enumerable.Range(0, N).SelectMany(f => p.WDec[f].ToArray())]));
        using var read = Load(folder);
        for (var f = 0; f < N; f++) Assert.Equal(p.BEnc[f], read.Parameters.BEnc[f], tolerance * Math.Abs(p.BEnc[f]));
        Assert.Equal(p.WDec[3][1], read.Parameters.WDec[3][1], tolerance * Math.Abs(p.WDec[3][1]));

        TensorToWrite As(string name, long[] shape, float[] values) => new(name, type, shape, stream =>
        {
            foreach (var v in values)
                stream.Write(type switch
                {
                    "F16" => BitConverter.GetBytes((Half)v),
                    "F64" => BitConverter.GetBytes((double)v),
                    _ => BitConverter.GetBytes((ushort)(BitConverter.SingleToUInt32Bits(v) + 0x8000 >> 16))
                });
        });
    }

    [Fact]
    public void FiringFrequenciesTravelAndDoNotOutliveTheirSae()
    {
        using var folder = new TemporaryFolder();
        using var sae = FormatModels.Model(Spec("topk"), InputNormalization.LayerNorm);
        float[] frequency = [.. Enumerable.Range(0, N).Select(f => -1 - f / 8f)];
        using var counted = new SaeModel(sae.Spec, sae.Parameters)
        {
            Normalization = sae.Normalization, LogFiringFrequency = frequency
        };
        counted.Save(folder["sae"]);
        using (var read = Load(folder)) Assert.Equal(frequency, read.LogFiringFrequency);
        counted.Save(folder["x.pt"], "openai");
        using (var read = SaeModel.Load(folder["x.pt"]))
            Assert.All(frequency.Zip(read.LogFiringFrequency!), p => Assert.Equal(p.First, p.Second, 1e-4f));
        sae.Save(folder["sae"]);
        using (var read = Load(folder)) Assert.Null(read.LogFiringFrequency);
    }

    [Fact]
    public void OurOwnSpecIsLeftAsideOnceTheRestSaysSomethingElse()
    {
        using var folder = new TemporaryFolder();
        using var sae = FormatModels.Model(Spec("batchtopk"));
        sae.Save(folder["sae"]);
        using (var read = Load(folder)) Assert.IsType<Selection.BatchTopK>(read.Spec.Selection);
        float[] thresholds = [.. Enumerable.Range(0, N).Select(f => f == 3 ? 0.7f : sae.Parameters.BatchThreshold)];
        Rewrite(folder, sae, ["threshold"], TensorToWrite.Of("threshold", thresholds));
        using (var read = Load(folder))
            Assert.Equal((true, 0.7f), (read.Spec.Selection is Selection.JumpRelu, read.Parameters.Threshold[3]));
        Edit(folder, "cfg.json", c => c["apply_b_dec_to_input"] = false);
        using (var read = Load(folder)) Assert.Contains(read.Notes, n => n.Contains("left aside"));
    }

    [Fact]
    public void SparsifysSignedSaesAndSkipsWithoutTranscodingAreRead()
    {
        using var folder = new TemporaryFolder();
        using var sae = FormatModels.Model(Spec("topk"));
        sae.Save(folder["sae"], "sparsify");
        Edit(folder, "cfg.json", c => c["signed"] = true);
        using (var read = Load(folder)) Assert.Equal(new Selection.AbsTopK(K), read.Spec.Selection);

        using var skip = FormatModels.Model(Spec("topk", D, skip: true));
        skip.Save(folder["sae"], "sparsify");
        Edit(folder, "cfg.json", c => c["transcode"] = false);
        using (var read = Load(folder))
        {
            // Its forward: top k of W (x − b_dec) + b, decoded, plus W_skip x.
            Assert.Contains(read.Notes, n => n.Contains("skip connection"));
            var p = skip.Parameters;
            foreach (var row in Rows())
            {
                var z = Enumerable.Range(0, N)
                    .Select(f =>
                        p.BEnc[f] + Enumerable.Range(0, D).Sum(i => (double)p.WEnc[f][i] * (row[i] - p.BDec[i])))
                    .ToArray();
                var kept = Enumerable.Range(0, N).OrderByDescending(f => z[f]).Take(K).ToHashSet();
                Assert.All(Enumerable.Range(0, N),
                    f => Assert.Equal(kept.Contains(f) ? Math.Max(0, z[f]) : 0, Forward(read, row).Code[f], 1e-5));
            }
        }
        using var multi =
            FormatModels.Model(Spec("topk") with { Nested = new Nesting.Budgets([K, 4 * K], [1, 0.125f], Report: K) });
        multi.Save(folder["sae"], "sparsify");
        using (var read = Load(folder))
            Assert.Equal((multi.Spec.Nested, K), (read.Spec.Nested, read.Spec.ActiveAtInference));
    }

    [Theory]
    [InlineData("topk", false)]
    [InlineData("jumprelu", true)]
    [InlineData("jumprelu", false)]
    public void OpenMossNormsAndScalesAreFolded(string selection, bool rescale)
    {
        using var folder = new TemporaryFolder();
        using var sae = FormatModels.Model(Spec(selection, D));
        sae.Save(folder["sae"], "openmoss");
        Edit(folder, "config.json",
            c =>
                (c["norm_activation"], c["sparsity_include_decoder_norm"], c["hook_point_in"], c["hook_point_out"]) =
                    ("dataset-wise", rescale, "in", "out"));
        var p = sae.Parameters;
        List<TensorToWrite> tensors = [TensorToWrite.Transposed("W_E", p.WEnc), TensorToWrite.Of("W_D", p.WDec),
            TensorToWrite.Of("b_E", p.BEnc), TensorToWrite.Of("b_D", p.BDec)];
        if (p.Threshold.Length > 0)
            tensors.Add(TensorToWrite.Of("activation_function.log_jumprelu_threshold",
                [.. p.Threshold.Select(t => MathF.Log(t))]));
        AssertOneLine("holds no dataset_average_activation_norm.in", () => { Write(); Load(folder); });
        tensors.Add(Scalar("dataset_average_activation_norm.in", 4));
        tensors.Add(Scalar("dataset_average_activation_norm.out", 10));
        Write();
        using var read = Load(folder);
        var (input, output, norms) = (Math.Sqrt(D) / 4, Math.Sqrt(D) / 10, Folding.DecoderNorms(p.WDec));
        foreach (var row in Rows())
        {
            var z = Enumerable.Range(0, N)
                .Select(f => p.BEnc[f] + Enumerable.Range(0, D).Sum(i => p.WEnc[f][i] * input * row[i])).ToArray();
            var score = z.Select((v, f) => v * (rescale ? norms[f] : 1)).ToArray();
            var kept = p.Threshold.Length > 0 ? [.. Enumerable.Range(0, N).Where(f => score[f] > p.Threshold[f])]
                : Enumerable.Range(0, N).OrderByDescending(f => score[f]).Take(K).Where(f => z[f] > 0).ToHashSet();
            var (code, reconstruction) = Forward(read, row);
            for (var f = 0; f < N; f++) Assert.Equal(kept.Contains(f) ? z[f] : 0, code[f], 1e-5);
            for (var i = 0; i < D; i++)
                Assert.Equal((p.BDec[i] + kept.Sum(f => z[f] * p.WDec[f][i])) / output, reconstruction[i], 1e-4);
        }

        void Write() => SafetensorsWriter.Write(Path.Combine(folder["sae"], Weights), tensors);
    }

    [Fact]
    public void LlamaScopeIsReadAsItsOwnLoaderReadsIt()
    {
        using var folder = new TemporaryFolder();
        using var sae = FormatModels.Model(Spec("relu"));
        var p = sae.Parameters;
        SafetensorsWriter.Write(Path.Combine(folder["sae"], "checkpoints/final.safetensors"),
            [TensorToWrite.Of("encoder.weight", p.WEnc), TensorToWrite.Transposed("decoder.weight", p.WDec),
                TensorToWrite.Of("encoder.bias", p.BEnc), TensorToWrite.Of("decoder.bias", p.BDec)]);
        File.WriteAllText(Path.Combine(folder["sae"], "hyperparams.json"), """
            {"d_model": 6, "d_sae": 24, "act_fn": "jumprelu", "jump_relu_threshold": 0.3, "norm_activation": "dataset-wise", "dataset_average_activation_norm": {"in": 4.0, "out": 4.0}, "use_decoder_bias": true,
             "apply_decoder_bias_to_pre_encoder": false, "sparsity_include_decoder_norm": true, "hook_point_in": "blocks.0.hook_resid_post", "hook_point_out": "blocks.0.hook_resid_post", "top_k": 50}
            """);
        using var read = Load(folder);
        Assert.Equal(("openmoss", false), (SaeFormats.Of(folder["sae"]).Name, read.Spec.PreEncoderBias));
        var s = Math.Sqrt(D) / 4;
        var norms = Folding.DecoderNorms(p.WDec);
        foreach (var row in Rows())
        {
            var (code, output) = Forward(read, row);
            for (var f = 0; f < N; f++)
            {
                var z = norms[f] * (p.BEnc[f] / s + Enumerable.Range(0, D).Sum(i => p.WEnc[f][i] * row[i]));
                Assert.Equal(z > 0.3 ? z : 0, code[f], 1e-5);
            }
            for (var i = 0; i < D; i++)
                Assert.Equal(p.BDec[i] / s + Enumerable.Range(0, N).Sum(f => code[f] * p.WDec[f][i] / norms[f]),
                    output[i], 1e-5);
        }
    }

    [Fact]
    public void OpenAisTiedDecoderIsTheEncodersMatrix()
    {
        using var folder = new TemporaryFolder();
        using var sae = FormatModels.Model(Spec("relu"));
        var p = sae.Parameters;
        PtWriter.Write(folder["sae"] + ".pt",
            [TensorToWrite.Of("pre_bias", p.BDec), TensorToWrite.Of("latent_bias", p.BEnc),
                TensorToWrite.Of("encoder.weight", p.WEnc), TensorToWrite.Of("decoder.linear.weight", p.WEnc)]);
        using var read = SaeModel.Load(folder["sae"] + ".pt");
        Assert.Equal("WDec", Differences(sae, read));
        Assert.True(read.Parameters.WDec[5].SequenceEqual(p.WEnc[5]));
    }

    [Fact]
    public void ADictionaryWithoutConfigurationIsReadWhereItsTensorsTellItsClass()
    {
        using var folder = new TemporaryFolder();
        foreach (var selection in (string[])["relu", "gated", "jumprelu", "matryoshka"])
        {
            using var sae = FormatModels.Model(Spec(selection, centres: selection != "jumprelu"));
            sae.Save(folder[selection], "dictionary_learning");
            File.Delete(Path.Combine(folder[selection], "config.json"));
            using var read = SaeModel.Load(folder[selection]);
            Assert.Equal("", Differences(sae, read));
        }
        using var topK = FormatModels.Model(Spec("topk"));
        topK.Save(folder["topk"], "dictionary_learning");
        File.Delete(Path.Combine(folder["topk"], "config.json"));
        AssertOneLine("fit AutoEncoderTopK and BatchTopKSAE", () => SaeModel.Load(folder["topk"]));
    }
}
