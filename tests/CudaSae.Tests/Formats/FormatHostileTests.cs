using System.Buffers.Binary;
using System.Text;
using System.Text.Json.Nodes;
using static CudaSae.Testing.Problems.FormatModels;

namespace CudaSae.Tests;

/// <summary>Damaged and false files are refused in one line each, and no size from a file is allocated before it is
/// checked.</summary>
[Trait("speed", "slow")]
public class FormatHostileTests
{
    static readonly (string Format, string Selection, bool Centres, string Weights, string? Config)[] Layouts =
    [
        ("saelens", "jumprelu", true, "sae_weights.safetensors", "cfg.json"),
        ("sparsify", "topk", true, "sae.safetensors", "cfg.json"),
        ("gemma-scope", "jumprelu", false, "params.npz", null),
        ("gemma-scope-2", "jumprelu", false, "params.safetensors", "config.json"),
        ("openmoss", "topk", false, "sae_weights.safetensors", "config.json"),
        ("dictionary_learning", "batchtopk", true, "ae.pt", "config.json"),
        ("openai", "relu", true, "x.pt", null),
    ];

    public static TheoryData<string> Formats => [.. Layouts.Select(l => l.Format)];

    static (string Place, string Weights, string? Config) Save(TemporaryFolder folder, string format)
    {
        var layout = Layouts.Single(l => l.Format == format);
        var place = format == "openai" ? folder["x.pt"] : folder["sae"];
        using var sae = FormatModels.Model(Spec(layout.Selection, centres: layout.Centres));
        sae.Save(place, format);
        return (place, format == "openai" ? place : Path.Combine(place, layout.Weights),
            layout.Config is { } config ? Path.Combine(place, config) : null);
    }

    static void AssertRefused(string format, string place)
    {
        foreach (var f in SaeFormats.All) _ = f.Recognizes(place);
        var message = Assert.Throws<SaeException>(() => SaeFormats.Named(format).Read(place).Dispose()).Message;
        Assert.False(message.Any(char.IsControl), message);
        Assert.InRange(message.Length, 10, 1500);
    }

    [Theory, MemberData(nameof(Formats))]
    public void TruncatedWeightsAreRefusedInOneLine(string format)
    {
        using var folder = new TemporaryFolder();
        var (place, weights, _) = Save(folder, format);
        var bytes = File.ReadAllBytes(weights);
        foreach (var length in (int[])[0, 1, 7, 8, 9, 64, bytes.Length / 3, bytes.Length / 2, bytes.Length - 64,
            bytes.Length - 1])
        {
            File.WriteAllBytes(weights, bytes[..length]);
            AssertRefused(format, place);
        }
    }

    /// <summary>A file that no format recognises because it is damaged is refused with the damage, and not with a list
    /// of formats.</summary>
    [Fact]
    public void ADamagedFileIsRefusedWithTheReason()
    {
        using var folder = new TemporaryFolder();
        var (place, weights, _) = Save(folder, "openai");
        File.WriteAllBytes(weights, File.ReadAllBytes(weights)[..^100]);
        AssertOneLine("x.pt is not a usable", () => SaeModel.Load(place).Dispose());
        File.WriteAllText(folder["x.txt"], "nothing");
        AssertOneLine("not an SAE of a known format", () => SaeModel.Load(folder["x.txt"]).Dispose());
    }

    /// <summary>A damaged file reads as another SAE or is refused in one line; nothing else happens.</summary>
    [Theory, MemberData(nameof(Formats))]
    public void FlippedBytesAreReadOrRefused(string format)
    {
        using var folder = new TemporaryFolder();
        var (place, weights, config) = Save(folder, format);
        var random = new Random(5);
        foreach (var path in (string?[])[weights, config])
        {
            if (path is null) continue;
            var bytes = File.ReadAllBytes(path);
            for (var i = 0; i < 60; i++)
            {
                var damaged = bytes.ToArray();
                damaged[random.Next(Math.Min(damaged.Length, 1500))] ^= (byte)(1 << random.Next(8));
                File.WriteAllBytes(path, damaged);
                try { SaeFormats.Named(format).Read(place).Dispose(); }
                catch (SaeException e) { Assert.False(e.Message.Any(char.IsControl), e.Message); }
            }
            File.WriteAllBytes(path, bytes);
        }
    }

    [Theory, MemberData(nameof(Formats))]
    public void AbsurdJsonIsRefusedInOneLine(string format)
    {
        using var folder = new TemporaryFolder();
        var (place, _, config) = Save(folder, format);
        if (config is null) return;
        foreach (var text in (string[])
        [
            "", "null", "[]", "{", "{\"a\":1,\"a\":2}", "\"x\"", new string('[', 10_000), "\0\0",
            """{"architecture": "\ud800"}""",
            """{"d_in": 1e999, "architecture": 1e999, "act_fn": 1, "trainer": {"dict_class": "x"}}""",
            """{"trainer": 3, "architecture": {}, "k": [], "d_in": "six", "sae_type": 7, "metadata": []}""",
        ])
        {
            File.WriteAllText(config, text);
            AssertRefused(format, place);
        }
        File.Delete(config);
        Directory.CreateDirectory(config);
        // this format reads an ae.pt alone where it can
        AssertRefused(format == "dictionary_learning" ? "saelens" : format, place);
    }

    [Theory]
    [InlineData("saelens", "cfg.json", "d_in", "7", "is .24, 6.|is .6, 24., .7, 24. was expected")]
    [InlineData("saelens", "cfg.json", "d_sae", "60000000", "was expected")]
    [InlineData("saelens", "cfg.json", "d_in", "-1", "whole number above 0")]
    [InlineData("saelens", "cfg.json", "d_in", "6.5", "whole number above 0")]
    [InlineData("saelens", "cfg.json", "d_in", "1e300", "whole number above 0")]
    [InlineData("saelens", "cfg.json", "d_sae", "2000000000", "Latents = 2000000000 is out of range")]
    [InlineData("saelens", "cfg.json", "architecture", "\"matching_pursuit\"", "describes a 'matching_pursuit' SAE")]
    [InlineData("saelens", "cfg.json", "architecture", "\"topk\"", "lacks k")]
    [InlineData("saelens", "cfg.json", "architecture", "\"gated\"", "no tensor b_gate")]
    [InlineData("saelens", "cfg.json", "architecture", "\"standard\"", "tensor threshold has no place in a ReLU")]
    [InlineData("saelens", "cfg.json", "architecture", "\"jumprelu_transcoder\"", "lacks d_out")]
    [InlineData("saelens", "cfg.json", "reshape_activations", "\"weird\"", "reshape_activations 'weird' is unknown")]
    [InlineData("saelens", "cfg.json", "normalize_activations", "\"covariance_whitening\"", "covariance_whitening")]
    [InlineData("saelens", "cfg.json", "apply_b_dec_to_input", "\"yes\"", "not true or false")]
    [InlineData("sparsify", "cfg.json", "k", "25", "K = 25 is out of range: it must be 1 to Latents = 24")]
    [InlineData("sparsify", "cfg.json", "k", "0", "whole number above 0")]
    [InlineData("sparsify", "cfg.json", "activation", "\"softmax\"", "activation 'softmax' is unknown")]
    [InlineData("sparsify", "cfg.json", "d_in", "5", "d_in is 5")]
    [InlineData("gemma-scope-2", "config.json", "architecture", "\"relu\"", "architecture 'relu' is not read")]
    [InlineData("gemma-scope-2", "config.json", "type", "\"clt\"", "encoder for each of several sites")]
    [InlineData("openmoss", "config.json", "act_fn", "\"batchtopk\"", "does not store its threshold")]
    [InlineData("openmoss", "config.json", "act_fn", "\"jumprelu\"",
        "no tensor activation_function.log_jumprelu_threshold")]
    [InlineData("openmoss", "config.json", "norm_activation", "\"batch-wise\"",
        "norm_activation 'batch-wise' is not read")]
    [InlineData("openmoss", "config.json", "use_glu_encoder", "true", "GLU")]
    [InlineData("openmoss", "config.json", "sae_type", "\"lorsa\"", "a 'lorsa' is not read")]
    public void AnInvalidFieldIsNamed(string format, string file, string field, string value, string expected)
    {
        using var folder = new TemporaryFolder();
        var (place, _, config) = Save(folder, format);
        Assert.EndsWith(file, config);
        var fields = (JsonObject)JsonNode.Parse(File.ReadAllText(config!))!;
        fields[field] = JsonNode.Parse(value);
        (fields["metadata"] as JsonObject)?.Remove("cudasae_spec");
        File.WriteAllText(config!, fields.ToJsonString());
        AssertOneLine(expected, () => SaeFormats.Named(format).Read(place));
    }

    [Theory]
    [InlineData("W_enc", "no tensor W_enc")]
    [InlineData("b_dec", "no tensor b_dec")]
    [InlineData("threshold", "no tensor threshold")]
    public void AMissingTensorIsNamed(string name, string expected)
    {
        using var folder = new TemporaryFolder();
        var (place, weights, _) = Save(folder, "saelens");
        Rewrite(weights, t => t.Name == name ? t with { Name = "other" } : t);
        AssertOneLine(expected, () => SaeModel.Load(place));
    }

    [Theory]
    [InlineData("b_enc", "F32", new long[] { 12, 2 }, "is .12, 2.")]
    [InlineData("b_enc", "I32", new long[] { 24 }, "float type")]
    [InlineData("W_dec", "F32", new long[] { 6, 24 }, "W_dec is .6, 24.")]
    [InlineData("W_dec", "F32", new long[] { 144 }, "W_dec is .144.")]
    [InlineData("W_dec", "I32", new long[] { 24, 6 }, "float type")]
    public void AWrongShapeOrTypeIsNamed(string name, string type, long[] shape, string expected)
    {
        using var folder = new TemporaryFolder();
        var (place, weights, _) = Save(folder, "saelens");
        Rewrite(weights, t => t.Name == name ? t with { Type = type, Shape = shape } : t);
        AssertOneLine(expected, () => SaeModel.Load(place));
    }

    static void Rewrite(string weights, Func<TensorToWrite, TensorToWrite> change)
    {
        List<TensorToWrite> tensors;
        using (var file = new SafetensorsFile(weights))
            tensors = [.. file.Tensors.Values.Select(t => (Tensor: t, Bytes: file.Slice(t, 0, (int)t.Bytes).ToArray()))
                .Select(t => change(new(t.Tensor.Name, t.Tensor.Type, t.Tensor.Shape, s => s.Write(t.Bytes))))];
        SafetensorsWriter.Write(weights, tensors);
    }

    [Fact]
    public void OverlappingOffsetsAreRefused()
    {
        using var folder = new TemporaryFolder();
        var (place, weights, _) = Save(folder, "saelens");
        var header = Encoding.UTF8.GetBytes("""{"W_enc":{"dtype":"F32","shape":[6,24],"data_offsets":[0,576]}"""
            + ""","W_dec":{"dtype":"F32","shape":[24,6],"data_offsets":[0,576]}}""");
        var bytes = new byte[8 + header.Length + 576];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, (ulong)header.Length);
        header.CopyTo(bytes, 8);
        File.WriteAllBytes(weights, bytes);
        AssertOneLine("overlap", () => SaeModel.Load(place));
    }

    [Fact]
    public void GroupSizesThatDoNotAddUpAreRefused()
    {
        using var folder = new TemporaryFolder();
        using var sae = FormatModels.Model(Spec("matryoshka"));
        sae.Save(folder["sae"], "dictionary_learning");
        foreach (var sizes in (long[][])[[6, 6], [6, -6, 24], [24, 24], [long.MaxValue, long.MaxValue]])
        {
            var p = sae.Parameters;
            PtWriter.Write(Path.Combine(folder["sae"], "ae.pt"),
            [
                TensorToWrite.Transposed("W_enc", p.WEnc), TensorToWrite.Of("W_dec", p.WDec),
                TensorToWrite.Of("b_enc", p.BEnc), TensorToWrite.Of("b_dec", p.BDec),
                new("k", "I32", [], s => s.Write(BitConverter.GetBytes(4))),
                new("threshold", "F32", [], s => s.Write(BitConverter.GetBytes(0.5f))),
                new("group_sizes", "I64", [sizes.Length], s =>
                {
                    foreach (var size in sizes) s.Write(BitConverter.GetBytes(size));
                }),
            ]);
            AssertOneLine("do not add up to 24", () => SaeModel.Load(folder["sae"]));
        }
    }

    [Fact]
    public void ConvertDescribesConvertsAndRefusesInOneLine()
    {
        using var folder = new TemporaryFolder();
        using var sae = FormatModels.Model(Spec("topk"));
        sae.Save(folder["in"]);
        var (code, output, error) = CliProgram.Run(CliProgram.Start("convert", folder["in"]));
        Assert.Equal((0, $"{folder["in"]}: saelens, TopK (k 4), d 6, n 24, b_dec subtracted from the input\n", ""),
            (code, output, error));
        (code, output, error) =
            CliProgram.Run(CliProgram.Start("convert", folder["in"], folder["out"], "--to", "openmoss"));
        Assert.Equal((0, ""), (code, error));
        Assert.Matches(@"^[^\n]+: saelens, [^\n]+\n  b_enc − W_enc b_dec is written as b_enc[^\n]+\n"
            + @"[^\n]+/out: openmoss\n$", output);
        foreach (var arguments in (string[][])[[folder["in"], folder["x"], "--to", "gemma-scope"],
            [folder["in"], folder["x"], "--to", "nobodys"], [folder["none"]],
            [folder["in"], folder["out"], "--to", "sparsify"], ["."]])
        {
            (code, output, error) = CliProgram.Run(CliProgram.Start(["convert", .. arguments]));
            Assert.Equal(2, code);
            Assert.Matches("^cudasae: [^\n]+\n$", error);
            Assert.False(Directory.Exists(folder["x"]));
        }
        using var normalized = FormatModels.Model(Spec("topk"), InputNormalization.LayerNorm);
        normalized.Save(folder["normalized"]);
        (code, _, error) = CliProgram.Run(CliProgram.Start("finetune", folder["normalized"]));
        Assert.Equal(2, code);
        Assert.Matches("^cudasae: [^\n]+ normalized rows [^\n]+\n$", error);
    }
}
