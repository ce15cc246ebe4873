using System.Runtime.InteropServices;
using static CudaSae.Tests.StoreTests;

namespace CudaSae.Tests;

/// <summary>Shards of saev: the choice of a layer and a kind of token, and sizes compared with the metadata.</summary>
public class SaevTests
{
    /// <summary>Writes 2 layers, a CLS token and 3 others, width 4; row = 100·layer + 10·example + token.</summary>
    internal static void Write(TemporaryFolder folder, string name, int[] examples, int perShard, string metadata = "")
    {
        Directory.CreateDirectory(folder[name]);
        var at = 0;
        for (var s = 0; s < examples.Length; s++)
        {
            var values = new List<float>();
            for (var e = at; e < at + perShard; e++)
                foreach (var layer in new[] { 5, 13 })
                    for (var t = 0; t < 4; t++)
                        values.AddRange(e < at + examples[s] ? Rows(100 * layer + 10 * e + t, 1, 4) : new float[4]);
            File.WriteAllBytes(folder[$"{name}/acts{s:000000}.bin"],
                MemoryMarshal.AsBytes<float>(values.ToArray()).ToArray());
            at += examples[s];
        }
        File.WriteAllText(folder[$"{name}/shards.json"],
            "[" + string.Join(", ", examples.Select((n, s) =>
                $$"""{"name": "acts{{s:000000}}.bin", "n_examples": {{n}}}""")) + "]");
        File.WriteAllText(folder[$"{name}/metadata.json"], metadata.Length > 0 ? metadata : Metadata(at, perShard));
    }

    static string Metadata(int examples, int perShard) =>
        """{"family": "clip", "layers": [5, 13], "content_tokens_per_example": 3, "cls_token": true, "d_model": 4,"""
        + $$""" "n_examples": {{examples}}, "max_tokens_per_shard": {{perShard * 8 + 3}}, "dtype": "float32","""
        + """ "protocol": "2.1"}""";

    [Fact]
    public void SaevShardsAreSelectedByLayerAndTokens()
    {
        using var folder = new TemporaryFolder();
        Write(folder, "s", [2, 1], 2);
        Refused("holds layers 5, 13", folder["s"]);
        Refused("holds layers 5, 13", folder["s"], "layer=6");
        Refused("content, tokens=all or tokens=special", folder["s"], "patches");
        using (var content = Open(folder["s"], "layer=13"))
            Assert.Equal([1301, 1302, 1303, 1311, 1312, 1313, 1321, 1322, 1323], Firsts(content));
        using (var all = Open(folder["s"], "layer=5,tokens=all"))
            Assert.Equal([500, 501, 502, 503, 510, 511, 512, 513, 520, 521, 522, 523], Firsts(all));
        using var special = Open(folder["s"], "tokens=special, layer=5");
        Assert.Equal([500, 510, 520], Firsts(special));
        Assert.EndsWith("acts000001.bin, example 0, token 0", special.Locate(2));
        Assert.Equal("layer 5", special.Site);
    }

    [Theory]
    [InlineData("\"d_model\": 4", "\"d_model\": 5", "truncated")]
    [InlineData("\"n_examples\": 3", "\"n_examples\": 4", "has 4 examples, shards.json 3")]
    [InlineData("\"n_examples\": 3,", "", "no n_examples")]
    [InlineData("float32", "float16", "float32 is read")]
    [InlineData("[5, 13]", "[5, \"x\"]", "layer x")]
    [InlineData("[5, 13]", "[13]", "holds 2 examples, 4 were expected")]
    [InlineData("true", "\"yes\"", "cls_token")]
    [InlineData("example\": 3", "example\": -3", "is -3")]
    [InlineData("shard\": 19", "shard\": 8", "holds 2 examples, 1 were expected")]
    [InlineData("}", "", "not JSON")]
    public void FalseSaevMetadataAreRefusedInOneLine(string from, string to, string expected)
    {
        using var folder = new TemporaryFolder();
        var metadata = Metadata(3, 2);
        Write(folder, "s", [2, 1], 2, metadata.Replace(from, to));
        Assert.NotEqual(metadata, metadata.Replace(from, to));
        Refused(expected, folder["s"], "layer=13");
    }

    [Fact]
    public void DamagedSaevShardsAreRefusedInOneLine()
    {
        using var folder = new TemporaryFolder();
        Write(folder, "s", [2, 1], 2);
        var shard = folder["s/acts000001.bin"];
        File.WriteAllBytes(shard, File.ReadAllBytes(shard)[..^4]);
        Refused("truncated", folder["s"], "layer=13");
        File.Delete(shard);
        Refused("shards.json names it", folder["s"], "layer=13");
        File.WriteAllText(folder["s/shards.json"], """[{"name": "../x.bin", "n_examples": 3}]""");
        Refused("no name of a file", folder["s"], "layer=13");
        File.Delete(folder["s/shards.json"]);
        Refused("must be written again", folder["s"], "layer=13");
    }

    [Fact]
    public void TheCommandLineAcceptsALayerAndRecordsIt()
    {
        using var folder = new TemporaryFolder();
        Write(folder, "s", [32, 32, 9], 32);
        var run = CliProgram.Run(CliProgram.Start("train", folder["s"], "--tensor", "layer=13", "--latents", "16",
            "--k", "2", "--batch-rows", "16", "--vectors", "320", "--backend", "cpu", "--out", folder["run"]));
        Assert.True(run.Code == 0, run.Error);
        Assert.Contains("198 rows to train on, 21 held out, 4 wide, float32", run.Output.ReplaceLineEndings(" "));
        var eval = CliProgram.Run(CliProgram.Start("eval", folder["run"]));     // the held-out rows of that layer
        Assert.True(eval.Code == 0, eval.Error);
        var refused = CliProgram.Run(CliProgram.Start("train", folder["s"], "--latents", "16", "--k", "2", "--out",
            folder["no"]));
        Assert.Equal(2, refused.Code);
        Assert.Contains("--tensor layer=5", refused.Error);
    }
}
