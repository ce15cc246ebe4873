using static CudaSae.Testing.Problems.FormatModels;
using static CudaSae.Tests.FormatFolder;

namespace CudaSae.Tests;

/// <summary>Contents of the files of projects other than SAELens that this project never writes.</summary>
public class FormatReadOthersTests
{
    [Fact]
    public void SparsifySignedSaesAndSkipsWithoutTranscodingAreRead()
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
            // sparsify's forward pass: top k of W (x − b_dec) + b, decoded, plus W_skip x.
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
            {"d_model": 6, "d_sae": 24, "act_fn": "jumprelu", "jump_relu_threshold": 0.3,
             "norm_activation": "dataset-wise", "dataset_average_activation_norm": {"in": 4.0, "out": 4.0},
             "use_decoder_bias": true, "apply_decoder_bias_to_pre_encoder": false,
             "sparsity_include_decoder_norm": true, "hook_point_in": "blocks.0.hook_resid_post",
             "hook_point_out": "blocks.0.hook_resid_post", "top_k": 50}
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
    public void ADictionaryWithoutConfigurationIsReadWhenItsTensorsShowItsClass()
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
