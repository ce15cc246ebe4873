using System.Buffers.Binary;
using System.Text;
using System.Text.Json;

namespace CudaSae.Testing.Fuzz;

/// <summary>JSON: values become others, members are removed, doubled, exchanged or nested.</summary>
static class JsonStructure
{
    static readonly byte[][] Values = [.. new[]
    {
        "null", "true", "false", "[]", "{}", "\"\"", "\"x\"", "\"\\ud800\"", "\"a\\u0000\\n\\u2028b\"", "\"../x\"",
        "\"/\"", "\"..\"", "[null]", "[[]]", "[0]", "[-1]", "{\"a\":1,\"a\":2}", "{\"\":0}", "\"NaN\"", "\"Infinity\"",
        "\"\\u00e9\"",
        "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]",
    }.Select(Encoding.UTF8.GetBytes)];

    /// <param name="Start">Of the value, or of the name of a member.</param>
    readonly record struct Piece(int Start, int End, bool Member);

    public static byte[] Mutate(FuzzRandom random, byte[] bytes, IReadOnlyList<byte[]> words,
        IReadOnlyList<byte[]> others)
    {
        if (random.OneIn(5_000)) return SwellArray(random, bytes, words);
        for (var rounds = 1 + random.Next(random.Next(4) + 1); rounds > 0; rounds--)
        {
            var pieces = Pieces(bytes);
            bytes = pieces.Count < 2 ? ByteMutator.Mutate(random, bytes, words, others)
                : Once(random, bytes, pieces, words);
        }
        return bytes;
    }

    static byte[] Once(FuzzRandom random, byte[] bytes, List<Piece> pieces, IReadOnlyList<byte[]> words)
    {
        var (piece, other) = (random.Of(pieces), random.Of(pieces));
        var length = piece.End - piece.Start;
        var text = bytes[other.Start..other.End];
        return random.Next(8) switch
        {
            0 when piece.Member =>
                ByteMutator.Replace(bytes, piece.Start, Math.Min(length + 1, bytes.Length - piece.Start), []),
            1 => ByteMutator.Replace(bytes, piece.Start, 0, [.. bytes[piece.Start..piece.End], (byte)',']),
            2 or 3 when !piece.Member => ByteMutator.Replace(bytes, piece.Start, length, random.Of(Values)),
            4 when !piece.Member => ByteMutator.Replace(bytes, piece.Start, length, ByteMutator.Number(random)),
            5 when piece.Member == other.Member => ByteMutator.Replace(bytes, piece.Start, length, text),
            6 when !piece.Member =>
                ByteMutator.Replace(bytes, piece.Start, length,
                    [.. "{\"a\":"u8, .. bytes[piece.Start..piece.End], (byte)'}']),
            _ => ByteMutator.Replace(bytes, piece.Start, random.OneIn(2) ? 0 : length, random.Of(words)),
        };
    }

    /// <summary>A value becomes an array, object or text of up to a million parts.</summary>
    static byte[] SwellArray(FuzzRandom random, byte[] bytes, IReadOnlyList<byte[]> words)
    {
        var pieces = Pieces(bytes);
        if (pieces.Count < 2) return ByteMutator.Swell(random, bytes, words);
        var piece = random.Of(pieces);
        var part = random.Of(["0,", "\"\",", "{},", "[0],", "\"x\":0,", "x", "\\u0000", "null,"]);
        var count = (1 << 20) >> random.Next(6);
        var many = string.Concat(Enumerable.Repeat(part, count)).TrimEnd(',');
        var text = part.EndsWith(',') ? part.Contains(':') ? $"{{{many}}}" : $"[{many}]" : $"\"{many}\"";
        return [.. bytes[..piece.Start], .. Encoding.UTF8.GetBytes(piece.Member ? $"\"x\":{text}" : text),
            .. bytes[piece.End..]];
    }

    /// <summary>All values and members, as far as it is JSON.</summary>
    static List<Piece> Pieces(byte[] bytes)
    {
        var (pieces, open, member) = (new List<Piece>(), new Stack<(int Start, int Member)>(), -1);
        var reader = new Utf8JsonReader(bytes);
        try
        {
            while (reader.Read())
            {
                var start = (int)reader.TokenStartIndex;
                switch (reader.TokenType)
                {
                    case JsonTokenType.PropertyName: member = start; continue;
                    case JsonTokenType.StartArray or JsonTokenType.StartObject:
                        open.Push((start, member)); member = -1; continue;
                    case JsonTokenType.EndArray or JsonTokenType.EndObject: (start, member) = open.Pop(); break;
                }
                pieces.Add(new(start, (int)reader.BytesConsumed, false));
                if (member >= 0) pieces.Add(new(member, (int)reader.BytesConsumed, true));
                member = -1;
            }
        }
        catch (JsonException) { }
        return pieces;
    }

    /// <summary>The header of a safetensors file, its length mended.</summary>
    public static byte[] Safetensors(FuzzRandom random, byte[] bytes, IReadOnlyList<byte[]> words,
        IReadOnlyList<byte[]> others)
    {
        var length = (int)BinaryPrimitives.ReadInt64LittleEndian(bytes);
        var header = bytes[8..(8 + length)];
        header = random.OneIn(4) ? ByteMutator.Mutate(random, header, words, others)
            : Mutate(random, header, words, others);
        byte[] whole = [.. BitConverter.GetBytes((long)header.Length), .. header, .. bytes[(8 + length)..]];
        return whole;
    }
}
