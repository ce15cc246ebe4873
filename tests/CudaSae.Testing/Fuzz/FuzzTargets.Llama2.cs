using System.Runtime.InteropServices;
using CudaSae.Files;
using CudaSae.Lab.Harvest;
using CudaSae.Testing.Bytes;

namespace CudaSae.Testing.Fuzz;

/// <summary>llama2.c's two files: weights without a name behind seven numbers, and a vocabulary.</summary>
sealed partial class FuzzTargets
{
    static byte[][] Numbers(params int[] numbers) => [.. numbers.Select(n => BitConverter.GetBytes(n))];

    /// <summary>Read, and run on as many tokens as it takes: any finite weights may overflow, none may crash.</summary>
    static FuzzTarget Llama2()
    {
        static void Read(byte[] bytes)
        {
            using var model = new Llama2(new Llama2Weights(new MappedFile(Name, bytes)), null, Name);
            _ = model.Logits(new int[Math.Min(3, model.MaxTokens)], static (_, _) => { })[0][0];
            _ = model.Name.Length + model.Sites.Count;
        }
        Llama2Bytes[] files = [new() { Width = 4, Hidden = 3, Heads = 2, KeyHeads = 1, Vocabulary = 5, Context = 3 },
            new()
            {
                Width = 4, Hidden = 2, Layers = 1, Heads = 1, KeyHeads = 1, Vocabulary = 3, Context = 4, Shared = false
            }];
        return new("llama2", [.. files.Select(f => new FuzzCase(f.Write(), Header, Read))],
            Numbers(0, 1, 2, 3, 4, 5, 6, 8, -1, -5, 0x616b3432, 1 << 24, int.MaxValue, int.MinValue, 0x7f800000,
                0x7fc00000, 0x3f800000, 0x7f7fffff));
    }

    /// <summary>One number of the header is another, and, half of the time, the file as long as it then says.</summary>
    static byte[] Header(FuzzRandom random, byte[] bytes, IReadOnlyList<byte[]> words, IReadOnlyList<byte[]> others)
    {
        var changed = (byte[])bytes.Clone();
        var header = MemoryMarshal.Cast<byte, int>(changed.AsSpan(0, 28));
        for (var times = random.OneIn(2) ? 1 : 2; times > 0; times--)
            header[random.Next(7)] = random.OneIn(4) ? BitConverter.ToInt32(random.Of(words))
                : random.Next(9) - (random.OneIn(4) ? 6 : 0);
        if (random.OneIn(2)) return changed;
        if (header[3] == 0) return changed;
        long d = header[0], kv = d / header[3] * header[4], layer = 2 * d + 2 * d * d + 2 * d * kv + 3 * d * header[1];
        long numbers = Math.Abs((long)header[5]) * d * (header[5] > 0 ? 1 : 2) + header[2] * layer
            + d, rotations = header[6] * (d / header[3]);
        if (numbers is < 0 or > 100_000 || rotations is < 0 or > 100_000) return changed;
        var longer = new byte[28 + 4 * (numbers + rotations)];
        changed.AsSpan(0, Math.Min(changed.Length, longer.Length)).CopyTo(longer);
        // a cosine and a sine of 45°
        for (var at = (int)(28 + 4 * numbers); at + 4 <= longer.Length; at += 4)
            BitConverter.GetBytes(0.70710678f).CopyTo(longer, at);
        return longer;
    }

    static FuzzTarget Llama2Vocabulary()
    {
        static void Read(byte[] bytes)
        {
            var tokenizer = new Llama2Tokenizer(new MappedFile(Name, bytes));
            var ids = tokenizer.Encode("a cab, \u00e9 \u20ac");
            _ = tokenizer.Decode(ids).Length + tokenizer.Pieces.Sum(piece => piece.Length);
        }
        string[] pieces = [" ", "a", "b", "c", "ca", "ab", " a", "\u00e9", "cab"];
        return new("llama2-tokenizer",
            [new(Llama2Bytes.Pieces(pieces, bytes: false), null, Read), new(Llama2Bytes.Pieces(pieces), null, Read)],
            [.. Numbers(0, 1, 2, 6, 7, 255, -1, int.MaxValue, int.MinValue, 0x7f800000, 0x7fc00000),
                .. Words("<0x0A>", "<0xZZ>", "<0x", " ", "\xe2\x82", "\xff")]);
    }
}
