using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using CudaSae.Numerics;

namespace CudaSae.Tests;

public class DataTests
{
    static void WriteNpy(string path, float[,] rows)
    {
        using var stream = File.Create(path);
        stream.Write(NpyFile.MakeHeader("<f4", rows.GetLength(0), rows.GetLength(1)));
        foreach (var v in rows) stream.Write(BitConverter.GetBytes(v));
    }

    static byte[] Safetensors(string header, int dataBytes)
    {
        var text = Encoding.UTF8.GetBytes(header);
        var file = new byte[8 + text.Length + dataBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(file, (ulong)text.Length);
        text.CopyTo(file, 8);
        return file;
    }

    [Fact]
    public void ShardsOfAFolderAreOneSourceInTheOrderOfTheirNames()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder["shards"]);
        WriteNpy(folder["shards/b.npy"], new float[,] { { 5, 6 } });
        WriteNpy(folder["shards/a.npy"], new float[,] { { 1, 2 }, { 3, 4 } });
        using var source = ActivationSource.Open([folder["shards"]]);
        Assert.Equal((3, 2, InputType.Float32), (source.Rows, source.Width, source.Type));
        var row = new float[2];
        source.ReadRow(2, row);
        Assert.Equal([5, 6], row);
        Assert.Contains("b.npy, row 0", source.Locate(2));
    }

    [Theory]
    [InlineData("<f4", 3, 4, "truncated")]
    [InlineData("<i4", 4, 4, "element type")]
    [InlineData("<f4", -1, 4, "header")]
    public void BadNpyIsRefusedInOneLine(string descr, int rows, int width, string expected)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder["x.npy"], [.. NpyFile.MakeHeader(descr, rows, width), .. new byte[16 * 4]]);
        if (rows == 3)
            File.WriteAllBytes(folder["x.npy"], [.. NpyFile.MakeHeader(descr, 5, width), .. new byte[16 * 4]]);
        AssertOneLine(expected, () => ActivationSource.Open([folder["x.npy"]]).Dispose());
    }

    [Theory]
    [InlineData("""{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}""", 15, "truncated|has")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,8]}}""", 8, "shape needs")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}"""
        + ""","b":{"dtype":"F32","shape":[2,1],"data_offsets":[4,12]}}""", 12, "overlap")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,16]}}""", 16,
        "impossible|shape needs")]
    [InlineData("""{"a":{"dtype":"Q9","shape":[2],"data_offsets":[0,8]}}""", 8, "unknown type")]
    [InlineData("""{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}""", 8, "not a size")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"""
        + ""","a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}""", 16, "twice")]
    [InlineData("""[1,2]""", 0, "not a JSON object")]
    [InlineData("""{"a":""", 0, "not JSON")]
    public void FalseSafetensorsAreRefusedInOneLine(string header, int dataBytes, string expected)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder["x.safetensors"], Safetensors(header, dataBytes));
        AssertOneLine(expected, () => new SafetensorsFile(folder["x.safetensors"]).Dispose());
    }

    [Fact]
    public void AHeaderLongerThanTheFileIsRefused()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder["x.safetensors"], [255, 255, 255, 255, 255, 255, 255, 127, 1, 2]);
        AssertOneLine("claims", () => new SafetensorsFile(folder["x.safetensors"]).Dispose());
    }

    [Fact]
    public void SafetensorsRoundTrip()
    {
        using var folder = new TemporaryFolder();
        float[] values = [1, 2, 3, 4, 5, 6];
        SafetensorsWriter.Write(folder["x.safetensors"],
            [new("m", "F32", [2, 3], s => s.Write(MemoryMarshal.AsBytes<float>(values)))],
            new Dictionary<string, string> { ["k"] = "v" });
        using var file = new SafetensorsFile(folder["x.safetensors"]);
        Assert.Equal(values,
            MemoryMarshal.Cast<byte, float>(file.Slice(file.Require("m", "F32", 2, 3), 0, 24)).ToArray());
        Assert.Equal("v", file.Metadata["k"]);
        Assert.Throws<SaeException>(() => file.Require("m", "F32", 3, 2));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(1000)]
    [InlineData(4097)]
    public void PermutationVisitsEveryRowOnceAndMixes(long count)
    {
        var permutation = new RowPermutation(3, 5, count);
        var order = Enumerable.Range(0, (int)count).Select(i => permutation[i]).ToArray();
        Assert.Equal(Enumerable.Range(0, (int)count).Select(i => (long)i), order.Order());
        if (count < 1000) return;
        // If nothing of the old order is left, neighbours in the new order are a third of the rows apart on average.
        var distance = order.Zip(order.Skip(1)).Average(p => Math.Abs(p.First - p.Second));
        Assert.InRange(distance / count, 0.28, 0.39);
        Assert.NotEqual(order, Enumerable.Range(0, (int)count).Select(i => new RowPermutation(3, 6, count)[i]));
    }

    [Fact]
    public void GeometricMedianIgnoresAnOutlierThatMovesTheMean()
    {
        using var folder = new TemporaryFolder();
        var rows = new float[101, 2];
        for (var i = 0; i < 100; i++) (rows[i, 0], rows[i, 1]) = (MathF.Cos(i), MathF.Sin(i));
        rows[100, 0] = 10_000;
        WriteNpy(folder["x.npy"], rows);
        using var source = ActivationSource.Open([folder["x.npy"]]);
        var statistics = new DataStatistics(source, source.Rows, 1);
        Assert.InRange(statistics.Mean[0], 98, 100);
        Assert.InRange(statistics.GeometricMedian()[0], -0.1, 0.1);
    }
}
