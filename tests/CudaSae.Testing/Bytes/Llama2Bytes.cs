using System.Runtime.InteropServices;
using System.Text;

namespace CudaSae.Testing.Bytes;

/// <summary>A small random model in llama2.c's first layout, as bytes: odd widths, so that no product ends with a
/// tile.</summary>
sealed class Llama2Bytes
{
    public int Width { get; init; } = 24;
    public int Hidden { get; init; } = 20;
    public int Layers { get; init; } = 2;
    public int Heads { get; init; } = 4;
    public int KeyHeads { get; init; } = 2;
    public int Vocabulary { get; init; } = 40;
    public int Context { get; init; } = 64;
    public bool Shared { get; init; } = true;
    public int Head => Width / Heads;

    /// <summary>Tensors in the file's order, each with its numbers.</summary>
    public List<(string Name, float[] Values)> Tensors()
    {
        var random = new Random(5);
        int kv = Head * KeyHeads;
        List<(string, float[])> tensors = [("embedding", Random(Vocabulary * Width, 1)),
            ("attention norm", Random(Layers * Width, 0.2, 1))];
        foreach (var (name, rows) in new[] { ("wq", Width), ("wk", kv), ("wv", kv), ("wo", Width) })
            tensors.Add((name, Random(Layers * rows * Width, 0.4)));
        tensors.Add(("mlp norm", Random(Layers * Width, 0.2, 1)));
        foreach (var (name, size) in new[] { ("w1", Hidden * Width), ("w2", Width * Hidden), ("w3", Hidden * Width) })
            tensors.Add((name, Random(Layers * size, 0.3)));
        tensors.Add(("final norm", Random(Width, 0.2, 1)));
        tensors.Add(("cosine", Angles(Math.Cos)));
        tensors.Add(("sine", Angles(Math.Sin)));
        if (!Shared) tensors.Add(("classifier", Random(Vocabulary * Width, 1)));
        return tensors;

        float[] Random(int count, double spread, double about = 0) => [.. Enumerable.Range(0, count)
            .Select(_ =>
                (float)(about + spread * (random.NextDouble() + random.NextDouble() + random.NextDouble() - 1.5)))];
        float[] Angles(Func<double, double> of) => [.. Enumerable.Range(0, Context * Head / 2)
            .Select(i => (float)of(i / (Head / 2) / Math.Pow(10000, 2.0 * (i % (Head / 2)) / Head)))];
    }

    public byte[] Write() => [.. MemoryMarshal.AsBytes<int>([Width, Hidden, Layers, Heads, KeyHeads,
        Shared ? Vocabulary : -Vocabulary, Context]),
        .. Tensors().SelectMany(t => MemoryMarshal.AsBytes<float>(t.Values).ToArray())];

    /// <summary>A vocabulary of that layout: the three marks, the bytes if asked for, then pieces whose scores
    /// fall.</summary>
    public static byte[] Pieces(IEnumerable<string> pieces, bool bytes = true, int longest = 6)
    {
        string[] all = ["<unk>", "\n<s>\n", "\n</s>\n",
            .. bytes ? Enumerable.Range(0, 256).Select(b => $"<0x{b:X2}>") : [], .. pieces];
        var file = new List<byte>(BitConverter.GetBytes(longest));
        for (var i = 0; i < all.Length; i++)
        {
            var piece = Encoding.UTF8.GetBytes(all[i]);
            file.AddRange([.. BitConverter.GetBytes((float)-i), .. BitConverter.GetBytes(piece.Length), .. piece]);
        }
        return [.. file];
    }
}
