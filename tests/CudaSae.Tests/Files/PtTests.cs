using System.Runtime.InteropServices;
using System.Text;
using CudaSae.Files.Zip;
using CudaSae.Numerics;
using static CudaSae.Testing.Bytes.Containers;

namespace CudaSae.Tests;

public class PtTests
{
    const string Ordered = "ccollections\nOrderedDict\n)R";

    /// <summary>Makes a pickle of {'x': tensor} with offset, shape and strides as opcodes.</summary>
    static string View(string offset, string shape, string strides, string storage = "FloatStorage", string key = "0",
        int elements = 6) =>
        $"}}X\x01\0\0\0xctorch._utils\n_rebuild_tensor_v2\n((X"
        + $"\x07\0\0\0storagectorch\n{storage}\nX{(char)key.Length}\0\0\0{key}"
        + $"X\x03\0\0\0cpuK{(char)elements}tQ{offset}({shape}t({strides}t\x89{Ordered}tRs.";

    static readonly string BigInteger = "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f",
        Memoised = string.Concat(Enumerable.Range(0, 60)
            .Select(i => $"]q{(char)i}(h{(char)(i == 0 ? 60 : i - 1)}h{(char)(i == 0 ? 60 : i - 1)}e"));

    [Fact]
    public void WrittenTensorsAreReadBack()
    {
        using var folder = new TemporaryFolder();
        TensorToWrite[] tensors = [Tensor("w", "F32", [3, 4], 1), Tensor("half", "F16", [5], 2),
            Tensor("none", "F32", [0, 4], 3), Tensor("one", "I64", [], 4), Tensor("b", "BOOL", [2, 2], 5)];
        var scalars = new Dictionary<string, object>
        {
            ["activation"] = "TopK",
            ["activation_state_dict"] = new Dictionary<string, object> { ["k"] = 32, ["p"] = 0.5 }, ["big"] = 1L << 40,
            ["yes"] = true
        };
        foreach (var zip64 in new[] { false, true })
        {
            PtWriter.Write(folder["x.pt"], tensors, scalars, zip64);
            PtWriter.Write(folder["y.pt"], tensors, scalars, zip64);
            Assert.Equal(File.ReadAllBytes(folder["x.pt"]), File.ReadAllBytes(folder["y.pt"]));
            using var file = new PtFile(folder["x.pt"]);
            Assert.Equal(tensors.Select(t => t.Name), file.Tensors.Keys);
            foreach (var tensor in tensors)
            {
                using var written = new MemoryStream();
                tensor.Content(written);
                var read = file.Require(tensor.Name, tensor.Type, tensor.Shape);
                Assert.Equal(written.ToArray(), file.Bytes(tensor.Name));
                Assert.Equal((0, null), (read.Offset % 64, read.Strides));
            }
            Assert.Equal(new()
            {
                ["activation"] = "TopK", ["activation_state_dict.k"] = "32",
                ["activation_state_dict.p"] = "0.5", ["big"] = "1099511627776", ["yes"] = "True"
            },
                new Dictionary<string, string>(file.Metadata));
        }
    }

    [Fact]
    public void ALargeTensorIsNotBufferedWhileItIsWritten()
    {
        using var folder = new TemporaryFolder();
        var row = new byte[1 << 16];
        var before = GC.GetAllocatedBytesForCurrentThread();
        PtWriter.Write(folder["x.pt"], [new("w", "F32", [1024, 1 << 14], stream =>
        {
            for (var i = 0; i < 1024; i++) stream.Write(row);
        })]);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 4 << 20);
    }

    [Fact]
    public void TheWriterRefusesTypesThatTorchLacks()
    {
        using var folder = new TemporaryFolder();
        AssertOneLine("U16", () => PtWriter.Write(folder["x.pt"], [Tensor("x", "U16", [2], 1)]));
        Assert.Throws<ArgumentException>(() =>
            PtWriter.Write(folder["x.pt"], [], new Dictionary<string, object> { ["a"] = new int[2] }));
        Assert.Throws<ArgumentException>(() =>
            PtWriter.Write(folder["x.pt"], [Tensor("a", "F32", [2], 1)], new Dictionary<string, object> { ["a"] = 1 }));
        Assert.False(File.Exists(folder["x.pt"]));
    }

    [Fact]
    public void TheCrcMatchesZip()
    {
        Assert.Equal(0xCBF43926u, Crc32.Append(0, "123456789"u8));
        Assert.Equal(Crc32.Append(0, "123456789abcdefghij"u8),
            Crc32.Append(Crc32.Append(0, "12345"u8), "6789abcdefghij"u8));
    }

    /// <summary>Views of storage 0, which holds 0 to 5, as numbers in C order.</summary>
    [Theory]
    [InlineData("K\0", "K\x02K\x03", "K\x03K\x01", "0 1 2 3 4 5")]
    [InlineData("K\0", "K\x03K\x02", "K\x01K\x03", "0 3 1 4 2 5")]
    [InlineData("K\x01", "K\x02", "K\x03", "1 4")]
    [InlineData("K\x05", "", "", "5")]
    [InlineData("K\x06", "K\x00K\x09", "K\x09K\x01", "")]
    [InlineData("K\x02", "K\x01K\x03", "M\xff\xffK\x01", "2 3 4")]
    public void ViewsKeepTheirStrides(string offset, string shape, string strides, string expected)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder["x.pt"],
            Zip(("a/data.pkl", [0x80, 2, .. Encoding.Latin1.GetBytes(View(offset, shape, strides))]),
                ("a/data/0", MemoryMarshal.AsBytes<float>([0, 1, 2, 3, 4, 5]).ToArray()),
                ("a/version", "3\n"u8.ToArray())));
        using var file = new PtFile(folder["x.pt"]);
        Assert.Equal(expected, string.Join(' ', MemoryMarshal.Cast<byte, float>(file.Bytes("x")).ToArray()));
        if (file.Tensors["x"].Shape is not [var rows, var columns] || rows == 0) return;
        var matrix = new Matrix((int)rows, (int)columns);
        file.Matrix("x", matrix);
        Assert.Equal(expected, string.Join(' ', Enumerable.Range(0, (int)rows).SelectMany(r => matrix[r].ToArray())));
    }

    public static TheoryData<string, string> HostilePickles => new()
    {
        { "cos\nsystem\n(X\x02\0\0\0idtR.", "os.system, which is not run" },
        { "cposix\nsystem\n(X\x02\0\0\0idtR.", "posix.system" },
        { "c__builtin__\neval\n(X\x01\0\0\x001tR.", "__builtin__.eval" },
        { "\x8c\x08" + "builtins\x8c\x04" + "eval\x93.", "builtins.eval" },
        { "ctorch.storage\n_load_from_bytes\n.", "torch.storage._load_from_bytes" },
        { "c__builtin__\nset\n(]tR.", "__builtin__.set" },
        { "cevil\rname\nx\ny\n.", "evil.name.x" },
        { "c" + new string('a', 5000) + "\n.", "without an end" },
        { "})R.", "another kind" },
        { "ctorch\nFloatStorage\n)R.", "torch.FloatStorage with arguments" },
        { "ccollections\nOrderedDict\n(]tR.", "OrderedDict with arguments" },
        { "ctorch\ndevice\n.", "not a tensor, number or string" },
        { "]}b.", "sets attributes" },
        { "}(X\x01\0\0\0xK\x01u)\x81.", "opcode 0x81" },
        { "\x82\x01.", "opcode 0x82" },
        { "(icos\nsystem\n.", "opcode 0x69" },
        { "(K\x01\x8f.", "a set" },
        { "X\x01\0\0\0aQ.", "another kind" },
        { "(X\x01\0\0\0atQ.", "unknown way" },
        { "X\xff\xff\xff\xff.", "claims 4294967295 bytes" },
        { "\x8d\0\0\0\0\0\0\0\x80.", "claims 9223372036854775808 bytes" },
        { "\x8e\xff\xff\xff\xff\xff\xff\xff\xff.", "claims 18446744073709551615 bytes" },
        { "\x8b\xff\xff\xff\x7f.", "opcode 0x8B" },
        { "X\x02\0\0\0\xff\xff.", "not UTF-8" },
        { "N", "truncated" },
        { "NN.", "end as one" },
        { "(N.", "end as one" },
        { "N.N", "end as one" },
        { "\x85.", "removes more objects" },
        { "(K\x01(\x85tt.", "removes more objects" },
        { "t.", "removes more objects" },
        { "q\0.", "removes more objects" },
        { "h\x09.", "object 9" },
        { "}(K\x01u.", "without a value" },
        { "](K\x01K\x02u.", "another kind" },
        { "}(K\x01K\x02K\x01K\x03u.", "two of its values are named 1" },
        { "}(X\x01\0\0\0" + "aK\x02X\x01\0\0\0aNX\x01\0\0\0" + "aK\x03u.", "two of its values are named a" },
        { "}(G\0\0\0\0\0\0\0\0K\x02u.", "neither strings nor integers" },
        { "}(X\x03\0\0\0a\nbK\x02u.", "control characters" },
        { "C\x02" + "ab.", "bytes object" },
        { "]q\0h\0a.", "holds itself" },
        { new string('(', 200) + "N" + new string('t', 200) + ".", "deeper" },
        { ")" + new string('\x85', 5000) + ".", "deeper" },
        { "]q\x3c" + "0", "opcode 0x30" },
        { "(]q\x3c(K\x01" + "e" + Memoised + "t.", "unfolds" },
        { new string('}', 1 << 20) + ".", "unfolds" },
        { string.Concat(Enumerable.Range(0, 400_000).Select(_ => "\x94")), "removes more objects" },
        { "N" + new string('\x94', 1 << 20) + ".", "unfolds" },
        { View("K\0", "K\x07", "K\x01"), "more elements" },
        { View("K\x04", "K\x03", "K\x01"), "more elements" },
        { View("K\0", "K\x02K\x03", "K\x04K\x01"), "more elements" },
        { View("K\0", "K\x06K\x06", "K\0K\x01"), "expanded" },
        { View("J\xff\xff\xff\xff", "K\x02", "K\x01"), "negative" },
        { View("K\x05", "K\x02", "J\xff\xff\xff\xff"), "negative" },
        { View("K\0", "J\xff\xff\xff\xff", "K\x01"), "negative" },
        { View(BigInteger, "K\x01", "K\x01"), "more elements" },
        { View(BigInteger, "K\0", "K\x01"), "more elements" },
        { View("K\0", BigInteger + BigInteger + BigInteger, BigInteger + BigInteger + BigInteger), "more elements" },
        { View("K\0", "K\x02K\x02K\x01", BigInteger + BigInteger + BigInteger), "more elements" },
        { View("K\0", "\x8a\x09\0\0\0\0\0\0\0\0\x01", "K\x01"), "not an integer" },
        { View("K\0", "K\x02", ""), "1 axes and 0 strides" },
        { View("K\0", "\x88", "K\x01"), "not an integer" },
        { View("K\0", "K\x02", "K\x01", key: "1"), "storage 1 .* missing" },
        { View("K\0", "K\x02", "K\x01", key: "../version"), "missing" },
        { View("K\0", "K\x02", "K\x01", elements: 5), "24 bytes" },
        { View("K\0", "K\x02", "K\x01", storage: "DoubleStorage"), "24 bytes" },
        { View("K\0", "K\x02", "K\x01", storage: "ComplexFloatStorage"), "torch.ComplexFloatStorage" },
        { View("K\0", "K\x02", "K\x01", storage: "float32"), "unknown way" },
    };

    [Theory, MemberData(nameof(HostilePickles), DisableDiscoveryEnumeration = true)]
    public void AHostilePickleIsRefusedCheaplyInOneLine(string pickle, string expected)
    {
        using var folder = new TemporaryFolder();
        var file = Pt(pickle);
        File.WriteAllBytes(folder["x.pt"], file);
        var before = GC.GetAllocatedBytesForCurrentThread();
        AssertOneLine(expected, () => new PtFile(folder["x.pt"]).Dispose());
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 4 * file.Length + (24 << 20));
    }

    public static TheoryData<string, string> HostileZips => new()
    {
        { "compressed", "compressed" }, { "encrypted", "encrypted" }, { "method", "method 12" },
        { "disks", "several disks" }, { "count", "too many|damaged" }, { "size", "header of its member .* differ" },
        { "beyond", "beyond" }, { "name", "differ" }, { "overlap", "differ|overlaps" }, { "twice", "occurs twice" },
        { "prefix", "claims bytes|does not start" }, { "tail", "truncated" }, { "crc", "checksum" },
        { "big", "byte order" }, { "no version", "lacks the member" }, { "two pickles", "2 members" },
        { "script", "TorchScript" }, { "zip64", "contradicts" }, { "zip64 size", "claims 1844" },
        { "control", "control characters" }, { "legacy", "torch 1.6" }, { "tar", "torch 1.6" },
        { "no zip", "does not start" },
    };

    [Theory, MemberData(nameof(HostileZips))]
    public void AHostileZipIsRefusedInOneLine(string damage, string expected)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder["x.pt"], Damaged(damage));
        AssertOneLine(expected, () => new PtFile(folder["x.pt"]).Dispose());
    }

    static byte[] Damaged(string damage)
    {
        byte[] pickle = [0x80, 2, (byte)'}', (byte)'.'], three = "3\n"u8.ToArray();
        var file = Zip(("a/data.pkl", pickle), ("a/data/0", new byte[8]), ("a/version", three));
        var central = file.AsSpan().IndexOf("PK\x01\x02"u8);
        var end = file.Length - 22;
        switch (damage)
        {
            case "compressed":
                return Deflated(("a/data.pkl", pickle), ("a/data/0", new byte[1000]), ("a/version", three));
            case "encrypted": file[central + 8] |= 1; break;
            case "method": file[central + 10] = 12; break;
            case "disks": file[end + 4] = 1; break;
            case "count": file[end + 8]--; file[end + 10]--; break;
            case "size": file[central + 20] = file[central + 24] = 3; break;
            case "beyond": file[central + 22] = file[central + 26] = file[20] = file[24] = 1; break;
            case "name": file[central + 46] = (byte)'b'; break;
            case "overlap":
                file[file.AsSpan().LastIndexOf("PK\x01\x02"u8) + 42] = 0;
                file[file.AsSpan().LastIndexOf("PK\x01\x02"u8) + 43] = 0;
                break;
            case "twice": return Zip(("a/data.pkl", pickle), ("a/version", three), ("a/version", three));
            case "prefix": return [1, 2, .. file];
            case "tail": return [.. file, 0];
            case "crc": file[file.AsSpan().IndexOf(pickle) + 2] = (byte)']'; break;
            case "big": return Zip(("a/data.pkl", pickle), ("a/version", three), ("a/byteorder", "big"u8.ToArray()));
            case "no version": return Zip(("a/data.pkl", pickle));
            case "two pickles": return Zip(("a/data.pkl", pickle), ("b/data.pkl", pickle), ("a/version", three));
            case "script": return Zip(("a/data.pkl", pickle), ("a/constants.pkl", pickle), ("a/version", three));
            case "zip64" or "zip64 size":
                using (var stream = new MemoryStream())
                {
                    var zip = new ZipWriter(stream, zip64: true);
                    zip.Add("a/data.pkl", pickle);
                    zip.Finish();
                    file = stream.ToArray();
                }
                if (damage == "zip64") file[^12] = file[^11] = file[^14] = file[^13] = 0;
                else file.AsSpan(file.Length - 22 - 20 - 56 + 40, 8).Fill(255);
                break;
            case "control": return Zip(("a/data.pkl", pickle), ("a/x\n", three));
            case "legacy": return [0x80, 2, 0x8A, 10, .. new byte[300]];
            case "tar": return [.. new byte[257], .. "ustar"u8, .. new byte[250]];
            case "no zip": return [.. "hello"u8];
        }
        return file;
    }

    [Fact]
    public void DamagedFilesAreReadOrRefusedInOneLine()
    {
        using var folder = new TemporaryFolder();
        PtWriter.Write(folder["x.pt"], [Tensor("w", "F32", [2, 3], 1), Tensor("b", "BF16", [3], 2)],
            new Dictionary<string, object> { ["cfg"] = new Dictionary<string, object> { ["k"] = 4 } });
        AssertSurvivesDamage(File.ReadAllBytes(folder["x.pt"]), 2000, folder["y.pt"], path => new PtFile(path));
        PtWriter.Write(folder["x.pt"], [Tensor("w", "F32", [2, 3], 1)], null, zip64: true);
        AssertSurvivesDamage(File.ReadAllBytes(folder["x.pt"]), 1000, folder["y.pt"], path => new PtFile(path));
    }

    /// <summary>The checksum would refuse most damage to a pickle. With a valid checksum the reader itself must detect
    /// it.</summary>
    [Fact]
    public void DamagedPicklesWithValidChecksumsAreReadOrRefusedInOneLine()
    {
        using var folder = new TemporaryFolder();
        var good = Encoding.Latin1.GetBytes(View("K\0", "K\x02K\x03", "K\x03K\x01"));
        var random = new Random(3);
        var read = 0;
        for (var i = 0; i < 3000; i++)
        {
            var pickle = good.ToArray();
            for (var hits = 0; hits <= i % 3; hits++) pickle[random.Next(pickle.Length)] = (byte)random.Next(256);
            File.WriteAllBytes(folder["x.pt"], Pt(Encoding.Latin1.GetString(pickle)));
            if (Reads(() => new PtFile(folder["x.pt"]))) read++;
        }
        Assert.InRange(read, 1, 1500);
    }
}
