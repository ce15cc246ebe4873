using System.Globalization;
using System.Text.Json.Nodes;
using CudaSae.Numerics;
using static CudaSae.Testing.Problems.FormatModels;

namespace CudaSae.Tests;

/// <summary>Exports and imports compared with readers and writers that share no code with this project:
/// tests/python/formats.py.</summary>
[Trait("speed", "slow")]
public class FormatPythonTests
{
    /// <summary>One SAE of each kind that a layout supports, with b_dec subtracted or not, as the layout
    /// defines.</summary>
    static IEnumerable<(string Name, string Format, SaeModel Model)> Exports()
    {
        foreach (var (format, selections, centres) in ((string, string[], bool)[])
        [
            ("saelens", ["relu", "topk", "jumprelu", "gated", "batchtopk"], true),
            ("saelens", ["relu", "topk", "jumprelu", "gated", "matryoshka"], false),
            ("sparsify", ["topk", "groupmax"], false),
            ("gemma-scope", ["relu", "jumprelu", "gated", "batchtopk"], true),
            ("gemma-scope-2", ["relu", "jumprelu", "gated", "batchtopk"], true),
            ("openmoss", ["relu", "jumprelu", "topk", "gated"], true),
            ("dictionary_learning", ["relu", "topk", "jumprelu", "gated", "batchtopk", "matryoshka"], true),
            ("dictionary_learning", ["relu", "topk", "jumprelu", "gated", "batchtopk", "matryoshka"], false),
            ("openai", ["relu"], false),
        ])
            foreach (var selection in selections)
                yield return ($"{format}-{selection}-{centres}", format,
                    FormatModels.Model(Spec(selection, centres: centres)));
        foreach (var normalization in (InputNormalization[])[InputNormalization.LayerNorm,
            InputNormalization.ConstantNorm])
            yield return ($"saelens-{normalization}", "saelens", FormatModels.Model(Spec("topk"), normalization));
        yield return ("openmoss-token-wise", "openmoss",
            FormatModels.Model(Spec("topk"), InputNormalization.ConstantNorm));
        yield return ("openai-topk", "openai", FormatModels.Model(Spec("topk"), InputNormalization.LayerNorm));
        foreach (var selection in (string[])["relu", "jumprelu"])
            foreach (var skip in (bool[])[true, false])
                yield return ($"saelens-transcoder-{selection}-{skip}", "saelens",
                    FormatModels.Model(Spec(selection, 5, skip)));
        yield return ("sparsify-transcoder", "sparsify", FormatModels.Model(Spec("topk", D, skip: true)));
        yield return ("gemma-scope-2-affine", "gemma-scope-2", FormatModels.Model(Spec("jumprelu", D, skip: true)));
        yield return ("gemma-scope-transcoder", "gemma-scope", FormatModels.Model(Spec("jumprelu", 5)));
    }

    [Fact]
    public void OtherProjectsComputeTheSameFromOurFiles()
    {
        Assert.SkipWhen(Python.WithTorch is null, Python.Missing);
        using var folder = new TemporaryFolder();
        var rows = Rows();
        var count = 0;
        foreach (var (name, format, model) in Exports())
        {
            using var sae = model;
            var path = format == "openai" ? "sae.pt" : "sae";
            sae.Save(folder[$"{name}/{path}"], format);
            var all = rows.Select(row => Forward(sae, row)).ToArray();
            File.WriteAllText(folder[$"{name}/case.json"], new JsonObject
            {
                ["format"] = format, ["path"] = path, ["tolerance"] = 5e-6, ["rows"] = Array(rows),
                ["codes"] = Array(all.Select(a => a.Code)), ["outputs"] = Array(all.Select(a => a.Output)),
            }.ToJsonString());
            count++;
        }
        Assert.Equal(count,
            int.Parse(Python.Run("formats.py", "check", folder["."]).Trim(), CultureInfo.InvariantCulture));
    }

    static JsonArray Array(IEnumerable<double[]> rows) =>
        [.. rows.Select(row => (JsonNode)new JsonArray([.. row.Select(v => (JsonNode)v)]))];

    [Fact]
    public void OtherProjectsFilesAreReadToTheBit()
    {
        Assert.SkipWhen(Python.WithTorch is null, Python.Missing);
        using var folder = new TemporaryFolder();
        Python.Run("formats.py", "write", folder["."]);
        var cases = Directory.GetFiles(folder["."], "*.json");
        Assert.Equal(19, cases.Length);
        foreach (var file in cases)
        {
            var said = (JsonObject)JsonNode.Parse(File.ReadAllText(file))!;
            var path = file[..^".json".Length];
            Assert.Equal((string?)said["format"], SaeFormats.Of(path).Name);
            using var sae = SaeModel.Load(path);
            Assert.Equal((string?)said["selection"], sae.Spec.Selection.GetType().Name);
            Assert.Equal(((bool)said["centres"]!, (string?)said["normalization"]),
                (sae.Spec.PreEncoderBias, sae.Normalization.ToString()));
            if ((int)said["k"]! is > 0 and var k) Assert.Equal(k, sae.Spec.ActiveAtInference);
            AssertWeights(said, sae.Parameters, Path.GetFileName(path));
        }
        using var matryoshka = SaeModel.Load(folder["dl-matryoshka"]);
        Assert.Equal(new Nesting.Prefixes([4], Mean: true), matryoshka.Spec.Nested);
        Assert.Equal(("pythia", "resid_post_layer_3", 128),
            ((string?)matryoshka.About["model_name"], (string?)matryoshka.About["hook_name"],
                (int?)matryoshka.About["context_size"]));
        using var counted = SaeModel.Load(folder["openai.pt"]);
        Assert.All(counted.LogFiringFrequency!, l => Assert.Equal(-1, l, 1e-6));
    }

    static void AssertWeights(JsonObject said, SaeParameters p, string name)
    {
        foreach (var (field, matrix) in ((string, Matrix)[])[("WEnc", p.WEnc), ("WDec", p.WDec), ("WSkip", p.WSkip)])
        {
            var rows = said[field] as JsonArray ?? [];
            Assert.Equal(rows.Count, matrix.Rows);
            for (var row = 0; row < rows.Count; row++) Assert.Equal(Numbers(rows[row]), matrix[row].ToArray());
        }
        foreach (var (field, vector) in ((string, float[])[])[("BEnc", p.BEnc), ("BDec", p.BDec), ("BMag", p.BMag),
            ("RMag", p.RMag), ("Threshold", p.Threshold)])
            Assert.True(Numbers(said[field]).AsSpan().SequenceEqual(vector), $"{name}: {field}");
        if (said["BatchThreshold"] is { } threshold) Assert.Equal((float)(double)threshold, p.BatchThreshold);
    }

    static float[] Numbers(JsonNode? array) => [.. (array as JsonArray ?? []).Select(v => (float)(double)v!)];
}
