using System.Text.Json.Nodes;
using static CudaSae.Testing.Problems.FormatModels;
using static CudaSae.Tests.FormatFolder;

namespace CudaSae.Tests;

/// <summary>Contents of SAELens' files that this project never writes.</summary>
public class FormatReadTests
{
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
            // SAELens encodes by the top k of z · norm and decodes codes over norm.
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
    public void ABatchTopKCheckpointIsReadAsAJumpReluWithItsScaleFolded()
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
            {"d_in": {{{D}}}, "d_sae": {{{N}}}, "dtype": "torch.float32", "device": "mps", "model_name": "gpt2-small",
             "hook_point": "blocks.7.attn.hook_z", "hook_point_layer": 7, "activation_fn_str": "topk",
             "activation_fn_kwargs": {"k": {{{K}}}}, "apply_b_dec_to_input": true, "normalize_activations": false,
             "context_size": 128, "prepend_bos": true, "l1_coefficient": 1e-3, "sae_lens_training_version": "3.1.0"}
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
    public void TheFineTuningScaleIsFoldedIntoTheDecoder()
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
    public void FiringFrequenciesAreKeptOnlyForTheirSae()
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
    public void OurSpecIsIgnoredWhenOtherFieldsContradictIt()
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
        using (var read = Load(folder)) Assert.Contains(read.Notes, n => n.Contains("is ignored"));
    }
}
