using System.Text;
using CudaSae.Lab.Harvest;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>llama2.c's models: the forward pass compared with scalar doubles and numpy, the tokenizer compared with its
/// plain algorithm, and false files.</summary>
public class Llama2Tests
{
    // more than one panel of 48
    internal static readonly int[] Ids = [1, .. Enumerable.Range(0, 59).Select(i => (7 * i * i + 3 * i + 2) % 40)];

    internal static Llama2 Open(Llama2Bytes bytes) =>
        new(new Llama2Weights(new MappedFile("x", bytes.Write())), null, "");

    static float[][] Copy(Matrix matrix, int rows) => [.. Enumerable.Range(0, rows).Select(t => matrix[t].ToArray())];

    static void AssertClose(string what, IEnumerable<double> expected, IEnumerable<float> actual,
        double tolerance = 1e-5)
    {
        var numbers = expected.ToArray();
        var largest = numbers.Max(Math.Abs);
        Assert.True(numbers.Zip(actual).All(p => Math.Abs(p.First - p.Second) <= tolerance * largest),
            $"{what} differs by {numbers.Zip(actual).Max(p => Math.Abs(p.First - p.Second)) / largest}");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void TheForwardPassMatchesScalarDoubles(bool shared)
    {
        var bytes = new Llama2Bytes { Shared = shared };
        var reference = new Llama2Reference(bytes);
        var expected = reference.Logits(Ids);
        using var model = Open(bytes);
        List<string> visited = [];
        var logits = Copy(model.Logits(Ids, (site, x) =>
        {
            visited.Add(site);
            AssertClose(site, reference.Sites[site].SelectMany(r => r), Copy(x, Ids.Length).SelectMany(r => r));
        }), Ids.Length);
        AssertClose("logits", expected.SelectMany(r => r), logits.SelectMany(r => r));
        Assert.Equal(model.Sites.Select(s => s.Name), visited);
        Assert.All(model.Sites, s => Assert.Equal(reference.Sites[s.Name][0].Length, s.Width));
    }

    [Fact]
    public void TheForwardPassMatchesNumpy()
    {
        Assert.SkipWhen(Python.WithTorch is null, Python.Missing);
        using var folder = new TemporaryFolder();
        var bytes = new Llama2Bytes { Heads = 2, KeyHeads = 1, Shared = false };
        File.WriteAllBytes(folder["m.bin"], bytes.Write());
        WriteIds(folder["ids.npy"], [Ids]);
        Python.Run("llama2.py", "logits", folder["m.bin"], folder["ids.npy"], folder["out.npz"]);
        using var expected = new NpzFile(new MappedFile(folder["out.npz"]));
        using var model = new Llama2(folder["m.bin"]);
        var logits = model.Logits(Ids, (site, x) => Compare(site, x));
        Compare("logits0", logits);

        void Compare(string name, Matrix actual) =>
            AssertClose(name, expected.Vector(name, Ids.Length * actual.Columns).Select(v => (double)v),
                Copy(actual, Ids.Length).SelectMany(r => r));
    }

    internal static void WriteIds(string path, int[][] sequences)
    {
        using var stream = File.Create(path);
        stream.Write(NpyFile.MakeHeader("<u2", sequences.Length, sequences[0].Length));
        foreach (var id in sequences.SelectMany(s => s)) stream.Write(BitConverter.GetBytes((ushort)id));
    }

    /// <summary>Later tokens and the size of the buffers change no bit.</summary>
    [Fact]
    public void LaterTokensDoNotAffectEarlierOnes()
    {
        using var model = Open(new());
        var some = Copy(model.Logits(Ids.AsSpan(0, 13), static (_, _) => { }), 13);
        Assert.Equal(some.SelectMany(r => r), Copy(model.Logits(Ids, static (_, _) => { }), 13).SelectMany(r => r));
        Assert.Equal(some.SelectMany(r => r),
            Copy(model.Logits(Ids.AsSpan(0, 13), static (_, _) => { }), 13).SelectMany(r => r));
    }

    [Fact]
    public void TheNetworkContinuesWithTheHooksOutput()
    {
        using var model = Open(new());
        var untouched = Copy(model.Logits(Ids, static (_, _) => { }), Ids.Length);
        foreach (var (place, _) in model.Sites)
        {
            var changed = Copy(model.Logits(Ids, (site, x) =>
            {
                if (site == place) x[7][0] += 1;
            }), Ids.Length);
            Assert.Equal(untouched.Take(7).SelectMany(r => r), changed.Take(7).SelectMany(r => r));
            Assert.NotEqual(untouched[7], changed[7]);
        }
        var nothing = Copy(model.Logits(Ids, (site, x) =>
        {
            if (site == "resid_post1") for (var t = 0; t < Ids.Length; t++) x[t].Clear();
        }), Ids.Length);
        Assert.All(nothing.SelectMany(r => r), z => Assert.Equal(0, z));
    }

    static readonly string[] Pieces = [" ", "a", "b", "c", "\n", "é", "ab", "bc", " a", "abc", "ca", "aa", " ab", "b ",
        "é a"];

    static Llama2Tokenizer Tokenizer() => new(new MappedFile("x", Llama2Bytes.Pieces(Pieces)));

    /// <summary>The loop of llama2.c: each round examines all neighbours.</summary>
    static List<int> Plainly(string text)
    {
        var at = Enumerable.Range(0, Pieces.Length).ToDictionary(i => Pieces[i], i => 259 + i);
        string Text(int id) => id >= 259 ? Pieces[id - 259] : $"?{id}";
        List<int> ids = [.. text.Length > 0 ? (int[])[at[" "]] : [],
            .. text.EnumerateRunes().SelectMany(r => at.TryGetValue(r.ToString(), out var id) ? [id]
                : Encoding.UTF8.GetBytes(r.ToString()).Select(b => b + 3))];
        while (true)
        {
            var (best, where) = (int.MaxValue, -1);
            for (var i = 0; i + 1 < ids.Count; i++)
                if (at.TryGetValue(Text(ids[i]) + Text(ids[i + 1]), out var joined) && joined < best)
                    (best, where) = (joined, i);
            if (where < 0) return [1, .. ids];
            ids[where] = best;
            ids.RemoveAt(where + 1);
        }
    }

    [Fact]
    public void PiecesMatchThePlainAlgorithm()
    {
        var tokenizer = Tokenizer();
        var random = new Random(3);
        foreach (var text in Enumerable.Range(0, 300)
            .Select(i => string.Concat(Enumerable.Range(0, i / 5).Select(_ => "ab c\néaaabbx€"[random.Next(13)]))))
        {
            Assert.Equal(Plainly(text), tokenizer.Encode(text));
            Assert.Equal(text, tokenizer.Decode(tokenizer.Encode(text)));
        }
        Assert.Equal([1], tokenizer.Encode(""));
        Assert.Equal(1 + 1 + 4, tokenizer.Encode("😀").Length);
        Assert.Equal("😀", tokenizer.Decode(tokenizer.Encode("😀")));
        Assert.Equal(("\n", "<0xE2>", " ab"),
            (tokenizer.Pieces[13], tokenizer.Pieces[3 + 0xE2], tokenizer.Pieces[259 + 12]));
    }

    [Theory]
    [InlineData(0, 23, "does not divide")]
    [InlineData(0, 1 << 30, "claims")]
    [InlineData(0, 0x616b3432, "version")]
    [InlineData(1, 21, "truncated or has a tail")]
    [InlineData(1, -20, "hidden width")]
    [InlineData(2, 0, "layers")]
    [InlineData(2, 4097, "layers")]
    [InlineData(2, 4096, "truncated or has a tail")]
    [InlineData(3, 3, "truncated or has a tail|does not divide|cannot serve")]
    [InlineData(3, 24, "even width")]
    [InlineData(4, 3, "cannot serve")]
    [InlineData(5, int.MinValue, "vocabulary")]
    [InlineData(5, -40, "truncated or has a tail")]
    [InlineData(6, 1 << 24, "truncated or has a tail")]
    public void FalseHeadersAreRefused(int field, int value, string expected)
    {
        var bytes = new Llama2Bytes().Write();
        BitConverter.GetBytes(value).CopyTo(bytes, 4 * field);
        AssertOneLine(expected, () => new Llama2Weights(new MappedFile("x", bytes)).Dispose());
    }

    [Fact]
    public void DamagedFilesAreRefused()
    {
        var good = new Llama2Bytes().Write();
        AssertOneLine("header alone", () => new Llama2Weights(new MappedFile("x", good[..27])).Dispose());
        AssertOneLine("truncated", () => new Llama2Weights(new MappedFile("x", good[..^4])).Dispose());
        foreach (var (value, at) in new[] { (float.NaN, 28 + 400), (float.PositiveInfinity, good.Length - 4),
            (float.NegativeInfinity, 20_000 / 4 * 4) })
        {
            var bytes = (byte[])good.Clone();
            BitConverter.GetBytes(value).CopyTo(bytes, at);
            AssertOneLine("NaN or infinity", () => new Llama2Weights(new MappedFile("x", bytes)).Dispose());
        }
        // the same size with another header
        var swapped = new Llama2Bytes { Width = 20, Hidden = 24, Heads = 5, KeyHeads = 5 }.Write();
        foreach (var (field, value) in new[] { (0, 20), (1, 24) })
            BitConverter.GetBytes(value).CopyTo(swapped, 4 * field);
        BitConverter.GetBytes(2f).CopyTo(swapped, swapped.Length - 4);
        AssertOneLine("the numbers at position 63", () => new Llama2Weights(new MappedFile("x", swapped)).Dispose());
    }

    [Fact]
    public void DamagedVocabulariesAreRefused()
    {
        var good = Llama2Bytes.Pieces(Pieces);
        void Refused(string expected, byte[] bytes) =>
            AssertOneLine(expected, () => _ = new Llama2Tokenizer(new MappedFile("x", bytes)));
        byte[] With(int at, byte[] part) => [.. good[..at], .. part, .. good[(at + part.Length)..]];
        Refused("it has 3 bytes", good[..3]);
        Refused("it holds 0 pieces", good[..4]);
        Refused("it ends within piece 1", good[..20]);
        Refused("claims 6 bytes, 5 are left",
            [.. BitConverter.GetBytes(6), .. BitConverter.GetBytes(0f), .. BitConverter.GetBytes(6), 1, 2, 3, 4, 5]);
        Refused("1 to 6", With(8, BitConverter.GetBytes(7)));
        Refused("1 to 6", With(8, BitConverter.GetBytes(int.MinValue)));
        Refused("score of piece 0", With(4, BitConverter.GetBytes(float.NaN)));
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder["m.bin"], new Llama2Bytes().Write());
        File.WriteAllBytes(folder["t.bin"], good);
        AssertOneLine("holds 274 pieces, the model's vocabulary is 40",
            () => new Llama2(folder["m.bin"], folder["t.bin"]).Dispose());
    }

    [Fact]
    public void InvalidTokenIdsAreRefused()
    {
        using var model = Open(new());
        AssertOneLine("token id 40 at position 1", () => model.Run([1, 40], static (_, _) => { }));
        AssertOneLine("65 tokens", () => model.Run(new int[65], static (_, _) => { }));
        AssertOneLine("--tokenizer", () => model.Sequences("a").Count());
        using var folder = new TemporaryFolder();
        WriteIds(folder["ids.npy"], [[1, 39], [1, 40]]);
        AssertOneLine("token id 40 at sequence 1, position 1",
            () => TokenSequence.Read(folder["ids.npy"], model, model.Vocabulary).Count());
        WriteIds(folder["long.npy"], [new int[65]]);
        AssertOneLine("the model takes 64",
            () => TokenSequence.Read(folder["long.npy"], model, model.Vocabulary).Count());
    }
}
