using System.Buffers.Binary;
using System.Text;

namespace CudaSae.Testing.Bytes;

/// <summary>Reads what LatentBlob.cs documents, byte by byte and apart from its writer.</summary>
sealed class LatentBlobReader
{
    readonly byte[] bytes;
    int at;

    public LatentBlobReader(byte[] blob)
    {
        bytes = blob;
        if (UInt32() != 0x504c5343 || UInt32() != 1) throw new InvalidDataException("no latents");
        var n = (int)UInt32();
        Rows = UInt32();
        FirstRow = UInt32() | (long)UInt32() << 32;
        Window = UInt32();
        CountedRows = UInt32();
        int pieces = (int)UInt32(), segments = (int)UInt32(), tokens = (int)UInt32();
        Origin = Text();
        Count = Many(n, UInt32);
        Max = Many(n, Float);
        Mean = Many(n, Float);
        Cosine = Many(n, Float);
        Norm = Many(n, Float);
        var lengths = Many(n, UInt32);
        Entries = [.. lengths.Select(length => length == 0 ? null : Entry((int)length))];
        var texts = Many(pieces, Text);
        var (first, length) = (Many(segments, UInt32), Many(segments, UInt32));
        for (var s = 0; s < segments; s++)
            for (var t = 0; t < length[s]; t++)
                Tokens.Add((int)first[s] + t, texts[pieces > 65536 ? UInt32() : Byte() + 256u * Byte()]);
        if (Tokens.Count != tokens || at != bytes.Length)
            throw new InvalidDataException($"{Tokens.Count} of {tokens} tokens, {at} of {bytes.Length} bytes");
    }

    public long Rows { get; }
    public long FirstRow { get; }
    public long Window { get; }
    public long CountedRows { get; }
    public string Origin { get; }
    public uint[] Count { get; }
    public float[] Max { get; }
    public float[] Mean { get; }
    public float[] Cosine { get; }
    public float[] Norm { get; }
    public LatentEntry?[] Entries { get; }

    /// <summary>Text of each shown row.</summary>
    public Dictionary<int, string> Tokens { get; } = [];

    LatentEntry Entry(int length)
    {
        var end = at + length;
        var histogram = Many(16, Varint);
        var together = Many((int)Varint(), () => ((int)Varint(), (int)Varint(), Float()));
        var similar = Many((int)Varint(), () => ((int)Varint(), Float()));
        var contexts = Many((int)Varint(), () =>
        {
            var (row, bucket, value, before, after) = ((int)Varint(), Byte(), Float(), Byte(), Byte());
            var levels = new sbyte[before + 1 + after];
            for (var m = Byte(); m > 0; m--) levels[Byte()] = (sbyte)Byte();
            return new LatentContext(row, bucket, value, row - before, levels);
        });
        return at == end ? new(histogram, together, similar, contexts)
            : throw new InvalidDataException($"an entry ends at {at} instead of {end}");
    }

    static T[] Many<T>(int count, Func<T> read)
    {
        var all = new T[count];
        for (var i = 0; i < count; i++) all[i] = read();
        return all;
    }

    byte Byte() => bytes[at++];
    uint UInt32() => BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan((at += 4) - 4));
    float Float() => BinaryPrimitives.ReadSingleLittleEndian(bytes.AsSpan((at += 4) - 4));

    long Varint()
    {
        long value = 0;
        for (var shift = 0; ; shift += 7)
        {
            var next = Byte();
            value |= (long)(next & 127) << shift;
            if (next < 128) return value;
        }
    }

    string Text()
    {
        var length = Byte();
        return Encoding.UTF8.GetString(bytes, (at += length) - length, length);
    }
}

sealed record LatentEntry(long[] Histogram, (int Latent, int Joint, float Jaccard)[] Together,
    (int Latent, float Cosine)[] Similar, LatentContext[] Contexts);

/// <summary>A context; levels hold 0 at its own row.</summary>
sealed record LatentContext(int Row, int Bucket, float Value, int First, sbyte[] Levels);
