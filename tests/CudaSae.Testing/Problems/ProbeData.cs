using System.Runtime.InteropServices;
using CudaSae.Files;
using CudaSae.Lab.Insight.Probes;

namespace CudaSae.Testing.Problems;

/// <summary>Codes and labels that tests make, and files of them.</summary>
static class ProbeData
{
    /// <summary>[rows, n] with many ties, some latents silent or negative.</summary>
    public static float[,] Codes(int rows, int latents, int seed)
    {
        var random = new Random(seed);
        var codes = new float[rows, latents];
        for (var r = 0; r < rows; r++)
            for (var f = 1; f < latents; f++)       // latent 0 never fires
                if (random.Next(f % 5 + 2) == 0)
                    codes[r, f] = f % 3 == 0 ? random.Next(5) - 2 : f % 3 == 1 ? 1 + random.Next(4)
                        : 1 - random.NextSingle();
        return codes;
    }

    /// <summary>A question of three classes, one of yes and no, one with few answers; a latent or two predict them in
    /// part.</summary>
    public static Labels Labels(float[,] codes, int seed)
    {
        var (random, rows) = (new Random(seed), codes.GetLength(0));
        short[][] columns = [new short[rows], new short[rows], new short[rows]];
        for (var r = 0; r < rows; r++)
        {
            columns[0][r] = (short)(random.Next(9) == 0 ? -1 : codes[r, 4] > 0 ? 2 : random.Next(3));
            columns[1][r] = (short)(codes[r, 5] > 0.5 && random.Next(20) > 0 ? 1 : random.Next(8) == 0 ? 1 : 0);
            columns[2][r] = (short)(random.Next(4) > 0 ? -1 : random.Next(2));
        }
        return new([new("colour", ["red", "green", "blue"]), new("big", ["no", "yes"]) { Binary = true },
            new("rare", ["a", "b"])],
            columns);
    }

    /// <summary>What encoding does, in batches of seven.</summary>
    public static Action<ICodeVisitor> Pass(float[,] codes) => visitor =>
    {
        int rows = codes.GetLength(0), latents = codes.GetLength(1);
        for (var first = 0; first < rows; first += 7)
        {
            var batch = new SparseRows();
            for (var r = first; r < Math.Min(rows, first + 7); r++)
            {
                int[] active = [.. Enumerable.Range(0, latents).Where(f => codes[r, f] != 0)];
                batch.Add(active, [.. active.Select(f => codes[r, f])]);
            }
            visitor.Visit(new(first, batch, [], [], []));
        }
    };

    public static void WriteNpy<T>(string path, string descr, T[] values, params long[] shape) where T : unmanaged =>
        File.WriteAllBytes(path, [.. NpyFile.MakeHeader(descr, shape), .. MemoryMarshal.AsBytes<T>(values)]);

    /// <summary>The float64 numbers that numpy wrote.</summary>
    public static double[] ReadNpy(string path)
    {
        using var file = new MappedFile(path);
        var start = NpyFile.ReadHeader(file).DataOffset;
        return MemoryMarshal.Cast<byte, double>(file.Slice(start, (int)(file.Length - start))).ToArray();
    }
}
