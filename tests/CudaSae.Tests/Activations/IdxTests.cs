using CudaSae.Numerics;
using static CudaSae.Testing.Bytes.IdxBytes;

namespace CudaSae.Tests;

/// <summary>IDX files, the format of MNIST and similar data sets.</summary>
public class IdxTests
{
    static byte[] Images => Idx(IdxType.UInt8, [2, 2, 3], [0, 51, 102, 153, 204, 255, 1, 2, 3, 4, 5, 6]);

    [Theory]
    [InlineData("train-images-idx3-ubyte", false)]
    [InlineData("train-images.idx3-ubyte.gz", true)]
    [InlineData("some.idx", false)]
    [InlineData("packed-without-the-name.idx", true)]
    public void ImagesAreRowsOfPixelsFromZeroToOne(string name, bool packed)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder[name], packed ? Packed(Images) : Images);
        using var source = ActivationSource.Open([folder[name]]);
        Assert.Equal((2, 6, InputType.Float32), (source.Rows, source.Width, source.Type));
        float[] first = new float[6], second = new float[6];
        source.Expect(1);
        source.ReadRow(0, first);
        source.ReadRow(1, second);
        Assert.Equal([0, 0.2f, 0.4f, 0.6f, 0.8f, 1], first);
        Assert.Equal([1 / 255f, 2 / 255f, 3 / 255f, 4 / 255f, 5 / 255f, 6 / 255f], second);
        Assert.EndsWith("image 1", source.Locate(1));
    }

    [Fact]
    public void FloatsAreReadUnscaled()
    {
        using var folder = new TemporaryFolder();
        byte[] content = [.. new[] { 1.5f, -2, 3, 1e-9f }
            .SelectMany(v => BitConverter.GetBytes(BitConverter.SingleToUInt32Bits(v)).Reverse<byte>())];
        File.WriteAllBytes(folder["x.idx"], Idx(IdxType.Float32, [2, 2], content));
        using var source = ActivationSource.Open([folder["x.idx"]]);
        var row = new float[2];
        source.ReadRow(1, row);
        Assert.Equal([3, 1e-9f], row);
    }

    [Theory]
    [InlineData(nameof(IdxType.UInt8), new byte[] { 3, 200 }, new[] { 3, 200 })]
    [InlineData(nameof(IdxType.Int16), new byte[] { 1, 0, 0, 7 }, new[] { 256, 7 })]
    [InlineData(nameof(IdxType.Int32), new byte[] { 0, 0, 0, 9, 0, 1, 0, 0 }, new[] { 9, 65536 })]
    public void LabelsAreWholeNumbers(string type, byte[] content, int[] expected)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder["labels-idx1-ubyte.gz"], Packed(Idx(Enum.Parse<IdxType>(type), [2], content)));
        Assert.Equal(expected, IdxFile.ReadLabels(folder["labels-idx1-ubyte.gz"]));
        AssertOneLine("these are labels", () => ActivationSource.Open([folder["labels-idx1-ubyte.gz"]]).Dispose());
    }

    public static TheoryData<byte[], string> Hostile => new()
    {
        { [], "is empty" },
        { [0, 0], "does not start as one" },
        { [1, 0, 8, 1, 0, 0, 0, 1, 5], "does not start as one" },
        { [0, 0, 7, 1, 0, 0, 0, 1, 5], "element type 0x07 is unknown" },
        { [0, 0, 8, 0], "0 axes" },
        { [0, 0, 8, 200, 0, 0, 0, 1], "200 axes" },
        { [0, 0, 8, 3, 0, 0, 0, 1], "ends within its header" },
        { Idx(IdxType.UInt8, [3, 2, 3], new byte[12]), "needs 34 bytes, it has 28" },
        { Idx(IdxType.UInt8, [1, 2, 3], new byte[12]), "has a tail" },
        { Idx(IdxType.UInt8, [-1, 2], []), "impossible shape" },
        { Idx(IdxType.Float64, [int.MaxValue, int.MaxValue, int.MaxValue], []), "impossible shape" },
        { Idx(IdxType.Int32, [1, 2], new byte[8]), "images of UInt8 and Float32 are read" },
        { Idx(IdxType.UInt8, [1, 200, 200], new byte[40_000]), "16384 is possible" },
        { Idx(IdxType.UInt8, [0, int.MaxValue, int.MaxValue, int.MaxValue], []), "impossible shape|16384 is possible" },
        { Packed(Idx(IdxType.UInt8, [4, 2, 3], new byte[12])), "does not unpack to the 40 bytes" },
        { Packed(Idx(IdxType.UInt8, [1, 2, 3], new byte[12])), "does not unpack to the 22 bytes|tail" },
        { Packed(Idx(IdxType.UInt8, [60_000, 1000, 28], new byte[12])), "too many to hold" },
        { Packed(Images)[..20], "damaged|does not|ends within" },
        { [0x1f, 0x8b, 3, 3, 3], "damaged" },
    };

    [Theory]
    [MemberData(nameof(Hostile))]
    public void InvalidImagesAreRefusedInOneLine(byte[] content, string expected)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder["x.idx"], content);
        AssertOneLine(expected, () => ActivationSource.Open([folder["x.idx"]]).Dispose());
    }

    [Fact]
    public void InvalidLabelsAreRefusedInOneLine()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder["a"], Images);
        File.WriteAllBytes(folder["b"], Idx(IdxType.Float32, [1], new byte[4]));
        File.WriteAllBytes(folder["c"], Idx(IdxType.Int8, [2], [1, 255]));
        AssertOneLine("one axis", () => IdxFile.ReadLabels(folder["a"]));
        AssertOneLine("whole numbers", () => IdxFile.ReadLabels(folder["b"]));
        AssertOneLine("label 1 is -1", () => IdxFile.ReadLabels(folder["c"]));
    }

    [Fact]
    public void FashionMnistIsReadWhole()
    {
        var folder = new[] { Path.Combine(Repository.Root, "artifacts", "fashion-mnist"),
            "/usr/share/datasets/fashion-mnist" }.FirstOrDefault(Directory.Exists);
        Assert.SkipWhen(folder is null, "Fashion-MNIST is not here: build/fetch-fashion-mnist.sh");
        using var images = ActivationSource.Open([Path.Combine(folder, "t10k-images-idx3-ubyte.gz")]);
        var labels = IdxFile.ReadLabels(Path.Combine(folder, "t10k-labels-idx1-ubyte.gz"));
        Assert.Equal((10_000, 784, 10_000), (images.Rows, images.Width, labels.Length));
        Assert.All(Enumerable.Range(0, 10), c => Assert.Equal(1000, labels.Count(l => l == c)));
        var (row, sum) = (new float[784], 0.0);
        for (var i = 0; i < 10_000; i++)
        {
            images.ReadRow(i, row);
            foreach (var v in row) sum += v;
        }
        Assert.Equal(0.28685, sum / 7_840_000, 1e-5);
    }
}
