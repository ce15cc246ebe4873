using System.Text.Json.Nodes;
using static CudaSae.Testing.Bytes.Containers;

namespace CudaSae.Tests;

/// <summary>Files of tensors, recognised by their content and compared with the libraries that define their
/// formats.</summary>
public class ContainerTests
{
    [Fact]
    public void ContentDecidesTheFormat()
    {
        using var folder = new TemporaryFolder();
        TensorToWrite[] tensors = [Tensor("w", "F32", [2, 3], 1)];
        PtWriter.Write(folder["a"], tensors);
        NpzWriter.Write(folder["b"], tensors);
        SafetensorsWriter.Write(folder["c"], tensors);
        foreach (var (name, kind) in new[] { ("a", typeof(PtFile)), ("b", typeof(NpzFile)),
            ("c", typeof(SafetensorsFile)) })
        {
            using var file = TensorFile.Open(folder[name]);
            Assert.IsType(kind, file);
            Assert.Equal([2, 3], file.Tensors["w"].Shape);
            Assert.Throws<ArgumentOutOfRangeException>(() => file.Slice(file.Tensors["w"], 20, 8).Length);
            Assert.Throws<ArgumentOutOfRangeException>(() => file.Slice(file.Tensors["w"], long.MaxValue, 8).Length);
        }
        File.WriteAllBytes(folder["d"], NpyFile.MakeHeader("<f4", 0));
        File.WriteAllBytes(folder["e"], Zip(("x.txt", [1])));
        File.WriteAllText(folder["f"], "some text, and more of it");
        File.WriteAllBytes(folder["g"], [0x80, 2, 0x8A, 10, 0, 0, 0, 0, 0, 0, 0, 0]);
        File.WriteAllBytes(folder["h"], []);
        AssertOneLine("single .npy", () => TensorFile.Open(folder["d"]));
        AssertOneLine("without data.pkl or .npy", () => TensorFile.Open(folder["e"]));
        AssertOneLine("no usable safetensors|not a usable safetensors", () => TensorFile.Open(folder["f"]));
        AssertOneLine("torch 1.6", () => TensorFile.Open(folder["g"]));
        AssertOneLine("too few", () => TensorFile.Open(folder["h"]));
        AssertOneLine("cannot read", () => TensorFile.Open(folder["missing"]));
    }

    [Fact]
    public void FilesOfTorchAndNumpyAreReadBitEqual()
    {
        Assert.SkipUnless(Python.WithTorch is not null, Python.Missing);
        using var folder = new TemporaryFolder();
        Python.Run("containers.py", "write", folder["."]);
        var compared = 0;
        foreach (var path in Directory.GetFiles(folder["."], "*.json"))
        {
            var expected = JsonNode.Parse(File.ReadAllText(path))!;
            using var file = TensorFile.Open(path[..^".json".Length]);
            Assert.True(JsonNode.DeepEquals(expected, Describe(file)),
                $"{file.Path}: {Describe(file).ToJsonString()} is not {expected.ToJsonString()}");
            compared += file.Tensors.Count;
        }
        Assert.True(compared > 90, $"only {compared} tensors were compared");
        using (var openai = TensorFile.Open(folder["openai.pt"]))
        {
            Assert.Equal([1, 7], openai.Tensors["decoder.weight"].Strides!);
            Assert.Equal("32", openai.Metadata["activation_state_dict.k"]);
        }
        foreach (var (name, why) in new[] { ("legacy", "torch 1.6"), ("module", "torch.nn.modules.linear.Linear"),
            ("set", "set"), ("expanded", "expanded"), ("complex", "ComplexFloatStorage"), ("script", "TorchScript"),
            ("text", "<U8"), ("object", "O"), ("bomb", "four times") })
            AssertOneLine(why, () => TensorFile.Open(folder[name + ".refused"]));
    }

    static JsonObject Describe(TensorFile file) => new()
    {
        ["tensors"] = new JsonObject(file.Tensors.Values.Select(t => KeyValuePair.Create(t.Name,
            (JsonNode?)new JsonObject
            {
                ["type"] = t.Type,
                ["shape"] = new JsonArray([.. t.Shape.Select(e => (JsonNode)e)]),
                ["hex"] = Convert.ToHexStringLower(file.Bytes(t.Name))
            }))),
        ["metadata"] = new JsonObject(file.Metadata.Select(m => KeyValuePair.Create(m.Key, (JsonNode?)m.Value))),
    };

    [Fact]
    public void TorchAndNumpyReadTheWrittenFiles()
    {
        Assert.SkipUnless(Python.WithTorch is not null, Python.Missing);
        using var folder = new TemporaryFolder();
        string[] common = ["F64", "F32", "F16", "I64", "I32", "I16", "I8", "U8", "BOOL"];
        TensorToWrite[] tensors = [.. common.Select((type, i) =>
            Tensor(type.ToLowerInvariant() + ".weight", type, [3, 5 + i], i)),
            Tensor("vector", "F32", [1000], 20), Tensor("cube", "F32", [2, 3, 4], 21),
            Tensor("π", "F32", [2], 22), Tensor("one", "F32", [], 23), Tensor("none", "F32", [0], 24),
            Tensor("wide", "F32", [4, 0], 25), Tensor("tall", "F32", [0, 4], 26)];
        TensorToWrite[] withBf16 = [.. tensors, Tensor("bf16", "BF16", [7, 3], 27)];
        var numbers = new Dictionary<string, object>
        {
            ["activation"] = "TopK",
            ["state"] = new Dictionary<string, object> { ["k"] = 32, ["inner"] = new Dictionary<string, object>() },
            ["big"] = 1L << 62, ["minus"] = -1
        };
        var floats = new Dictionary<string, object>(numbers) { ["rate"] = 0.1, ["yes"] = true, ["word"] = "π" };
        foreach (var zip64 in new[] { false, true })
        {
            PtWriter.Write(folder[$"weights{zip64}.pt"], withBf16, numbers, zip64);
            PtWriter.Write(folder[$"floats{zip64}.pt"], tensors, floats, zip64);
            NpzWriter.Write(folder[$"arrays{zip64}.npz"], tensors, zip64);
        }
        foreach (var path in Directory.GetFiles(folder["."]))
        {
            using var file = TensorFile.Open(path);
            File.WriteAllText(path + ".json", Describe(file).ToJsonString());
        }
        Assert.Contains("98 tensors are equal", Python.Run("containers.py", "check", folder["."]));
    }
}
