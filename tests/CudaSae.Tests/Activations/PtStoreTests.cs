using System.Runtime.InteropServices;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>Activations in torch's files: chunks of HoagyC and of OpenMOSS, written by torch and by this
/// project.</summary>
[Trait("speed", "slow")]
public class PtStoreTests
{
    static int[] Rows(ActivationSource source)
    {
        var row = new float[source.Width];
        return [.. Enumerable.Range(0, (int)source.Rows).Select(i =>
        {
            source.ReadRow(i, row);
            for (var c = 1; c < row.Length; c++) Assert.Equal(row[0] + c / 8f, row[c]);
            return (int)row[0];
        })];
    }

    [Fact]
    public void ChunksSavedByTorchAreRead()
    {
        Assert.SkipWhen(Python.WithTorch is null, Python.Missing);
        using var folder = new TemporaryFolder();
        Python.Run("stores.py", Path.GetDirectoryName(folder["x"])!);
        using (var hoagy = ActivationSource.Open([folder["hoagy"]]))
        {
            Assert.Equal((InputType.Float16, false), (hoagy.Type, hoagy.HasTokens));
            Assert.Equal(Enumerable.Range(0, 22), Rows(hoagy));
        }
        using (var views = ActivationSource.Open([folder["views"]])) Assert.Equal(Enumerable.Range(0, 8), Rows(views));
        AssertOneLine("not one after another", () => ActivationSource.Open([folder["transposed.pt"]]).Dispose());
        using var openmoss = ActivationSource.Open([folder["openmoss"]]);
        int[] kept = [0, 1, 3, 6, 7, 9];
        Assert.Equal(kept, Rows(openmoss));
        Assert.Equal(kept, Enumerable.Range(0, 6).Select(i => openmoss.Token(i) - 100));
    }

    [Fact]
    public void OurChunksAreReadAndDamagedOnesAreRefused()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder["h"]);
        for (var i = 0; i < 3; i++)
        {
            var values = Enumerable.Range(0, 6).Select(v => 2 * i + v / 3 + v % 3 / 8f).ToArray();
            PtWriter.Write(folder[$"h/{i}.pt"],
                [new("tensor", "F32", [2, 3], s => s.Write(MemoryMarshal.AsBytes<float>(values)))]);
        }
        using (var source = ActivationSource.Open([folder["h"]])) Assert.Equal([0, 1, 2, 3, 4, 5], Rows(source));
        var last = folder["h/2.pt"];
        File.WriteAllBytes(last, File.ReadAllBytes(last)[..^30]);
        AssertOneLine("2.pt is not a usable", () => ActivationSource.Open([folder["h"]]).Dispose());
        PtWriter.Write(last, [new("tensor", "I32", [2, 3], s => s.Write(new byte[24]))]);
        AssertOneLine(@"no matrix .*tensor \(I32\)", () => ActivationSource.Open([folder["h"]]).Dispose());
        PtWriter.Write(last, [new("tensor", "F16", [2, 3], s => s.Write(new byte[12]))]);
        AssertOneLine("holds Float16 but", () => ActivationSource.Open([folder["h"]]).Dispose());
        File.Delete(folder["h/0.pt"]);
        AssertOneLine("chunk 0 should come first", () => ActivationSource.Open([folder["h"]]).Dispose());
    }
}
