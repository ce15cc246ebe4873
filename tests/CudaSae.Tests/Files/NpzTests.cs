using System.Text;
using static CudaSae.Testing.Bytes.Containers;

namespace CudaSae.Tests;

public class NpzTests
{
    static byte[] Npy(string descr, int bytes, params long[] shape) =>
        [.. NpyFile.MakeHeader(descr, shape), .. Enumerable.Range(0, bytes).Select(i => (byte)i)];

    static byte[] Fortran(byte[] npy) =>
        Encoding.Latin1.GetBytes(Encoding.Latin1.GetString(npy).Replace("False,", "True, "));

    [Fact]
    public void WrittenArraysAreReadBack()
    {
        using var folder = new TemporaryFolder();
        TensorToWrite[] tensors = [Tensor("w", "F32", [3, 4], 1), Tensor("h", "F16", [5], 2),
            Tensor("none", "F64", [0, 4], 3), Tensor("one", "I64", [], 4), Tensor("b", "BOOL", [2, 2], 5),
            Tensor("u", "U8", [2], 6)];
        foreach (var zip64 in new[] { false, true })
        {
            NpzWriter.Write(folder["x.npz"], tensors, zip64);
            NpzWriter.Write(folder["y.npz"], tensors, zip64);
            Assert.Equal(File.ReadAllBytes(folder["x.npz"]), File.ReadAllBytes(folder["y.npz"]));
            using var file = new NpzFile(folder["x.npz"]);
            Assert.Equal(tensors.Select(t => t.Name), file.Tensors.Keys);
            foreach (var tensor in tensors)
            {
                using var written = new MemoryStream();
                tensor.Content(written);
                file.Require(tensor.Name, tensor.Type, tensor.Shape);
                Assert.Equal(written.ToArray(), file.Bytes(tensor.Name));
            }
        }
        AssertOneLine("BF16", () => NpzWriter.Write(folder["x.npz"], [Tensor("w", "BF16", [3], 1)]));
        Assert.Throws<ArgumentException>(() =>
            NpzWriter.Write(folder["x.npz"], [Tensor("w", "F32", [3], 1), Tensor("w", "F32", [3], 1)]));
    }

    [Fact]
    public void FortranOrderBecomesStrides()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder["x.npz"],
            Zip(("m.npy", Fortran(Npy("|u1", 6, 2, 3))), ("v.npy", Fortran(Npy("|u1", 6, 6, 1)))));
        using var file = new NpzFile(folder["x.npz"]);
        Assert.Equal([1, 2], file.Tensors["m"].Strides!);
        Assert.Equal([0, 2, 4, 1, 3, 5], file.Bytes("m"));
        Assert.Null(file.Tensors["v"].Strides);
    }

    public static TheoryData<string, string> HostileArrays => new()
    {
        { "truncated", "needs 152 bytes, its member has 151" }, { "tail", "needs 152" }, { "huge", "impossible shape" },
        { "object", "elements \\|O" }, { "big-endian", "elements >f4" }, { "no header", "is not an array" },
        { "header claims", "header claims" }, { "no array", "holds no array" }, { "twice", "occurs twice" },
        { "bomb", "more than four times" }, { "longer", "does not inflate" }, { "shorter", "does not inflate" },
        { "deflate", "damaged|does not inflate" }, { "crc", "checksum" },
    };

    [Theory, MemberData(nameof(HostileArrays))]
    public void AHostileArrayIsRefusedInOneLine(string damage, string expected)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder["x.npz"], Damaged(damage));
        AssertOneLine(expected, () => new NpzFile(folder["x.npz"]).Dispose());
    }

    static byte[] Damaged(string damage)
    {
        var good = Npy("<f4", 24, 2, 3);
        switch (damage)
        {
            case "truncated": return Zip(("a.npy", good[..^1]));
            case "tail": return Zip(("a.npy", [.. good, 0]));
            case "huge": return Zip(("a.npy", Npy("<f4", 24, long.MaxValue, long.MaxValue, long.MaxValue)));
            case "object": return Zip(("a.npy", Npy("|O", 24, 3)));
            case "big-endian": return Zip(("a.npy", Npy(">f4", 24, 6)));
            case "no header": return Zip(("a.npy", new byte[200]));
            case "header claims": good[9] = 200; return Zip(("a.npy", good));
            case "no array": return Zip(("a.txt", good));
            case "twice": return Zip(("a.npy", good), ("a.npy", good));
            case "bomb": return Deflated(("a.npy", [.. NpyFile.MakeHeader("<f4", 1 << 20), .. new byte[4 << 20]]));
        }
        var packed = Deflated(("a.npy", good));
        int local = packed.AsSpan().IndexOf("PK\x03\x04"u8), central = packed.AsSpan().IndexOf("PK\x01\x02"u8);
        var (place, change) =
            damage switch { "longer" => (24, +1), "shorter" => (24, -1), "deflate" => (-1, 0), _ => (16, 1) };
        if (place < 0) packed.AsSpan(local + 30 + 5, 40).Fill(0xFF);
        else
        {
            packed[central + place] = (byte)(packed[central + place] + change);
            // no descriptor: the local header has the same fields, two bytes earlier
            if ((packed[local + 6] & 8) == 0) packed[local + place - 2] = packed[central + place];
        }
        return packed;
    }

    [Fact]
    public void DamagedFilesAreReadOrRefusedInOneLine()
    {
        using var folder = new TemporaryFolder();
        NpzWriter.Write(folder["x.npz"], [Tensor("w", "F32", [2, 3], 1), Tensor("one", "I32", [], 2)]);
        AssertSurvivesDamage(File.ReadAllBytes(folder["x.npz"]), 1500, folder["y.npz"], path => new NpzFile(path));
        var packed = Deflated(("w.npy", Npy("<f4", 96, 4, 6)), ("f.npy", Fortran(Npy("<f2", 12, 2, 3))));
        AssertSurvivesDamage(packed, 1500, folder["y.npz"], path => new NpzFile(path));
    }
}
