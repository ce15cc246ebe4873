using System.Buffers.Binary;
using System.Text;

namespace CudaSae.Testing.Fuzz;

/// <summary>Mutates bytes of any format. It uses the format's words, and changes little-endian integers and decimal
/// numbers.</summary>
static class ByteMutator
{
    const int MaxBytes = 64 << 10, SwollenBytes = 4 << 20;

    static readonly string[] Numbers =
        ["0", "-1", "1", "2", "3", "65", "255", "65535", "65536", "2147483647", "2147483648", "-2147483648",
            "4294967295", "4294967296", "9223372036854775807", "-9223372036854775808", "18446744073709551616", "1e5",
            "1e308", "1e999", "0.5", "99999999999999999999999999"];

    /// <summary>Applies one to six mutations, one after another.</summary>
    /// <param name="others">Inputs from which splices take their second half.</param>
    public static byte[] Mutate(FuzzRandom random, byte[] bytes, IReadOnlyList<byte[]> words,
        IReadOnlyList<byte[]> others)
    {
        if (random.OneIn(20_000)) return Swell(random, bytes, words);
        for (var rounds = 1 + random.Next(random.Next(6) + 1); rounds > 0; rounds--)
            bytes = Once(random, bytes, words, others);
        return bytes;
    }

    static byte[] Once(FuzzRandom random, byte[] bytes, IReadOnlyList<byte[]> words, IReadOnlyList<byte[]> others)
    {
        if (bytes.Length == 0) return random.Of(words);
        var at = random.Next(bytes.Length);
        var length = 1 + random.Next(Math.Min(bytes.Length - at, 1 << random.Next(8)));
        switch (random.Next(13))
        {
            case 0: return Change(bytes, b => b[at] ^= (byte)(1 << random.Next(8)));
            case 1: return Change(bytes, b => b[at] = (byte)random.Bits());
            case 2: return bytes[..(random.OneIn(2) ? at : bytes.Length - Math.Min(length, bytes.Length))];
            case 3: return Replace(bytes, at, length, []);
            case 4: return Replace(bytes, at, 0, [.. Enumerable.Range(0, length).Select(_ => (byte)random.Bits())]);
            case 5: return Replace(bytes, at, 0, bytes.AsSpan(at, length));
            case 6:
                return random.Of(others) is var other && random.Next(other.Length + 1) is var from
                    ? Replace(bytes, at, bytes.Length - at, other.AsSpan(from)) : bytes;
            case 7:
                return random.Next(bytes.Length) is var source
                    ? Change(bytes,
                        b =>
                            bytes.AsSpan(source,
                                Math.Min(length, bytes.Length - Math.Max(source, at))).CopyTo(b.AsSpan(at)))
                    : bytes;
            case 8: return Replace(bytes, at, 0, random.Of(words));
            case 9:
                return random.Of(words) is var word ? Replace(bytes, at, Math.Min(word.Length, bytes.Length - at), word)
                    : bytes;
            case 10: return Decimal(random, bytes, at);
            default: return Change(bytes, b => Integer(random, b));
        }
    }

    static byte[] Change(byte[] bytes, Action<byte[]> change)
    {
        var copy = bytes.ToArray();
        change(copy);
        return copy;
    }

    public static byte[] Replace(byte[] bytes, int at, int length, ReadOnlySpan<byte> by)
    {
        if (bytes.Length - length + by.Length > MaxBytes && by.Length > length) return bytes;
        var result = new byte[bytes.Length - length + by.Length];
        bytes.AsSpan(0, at).CopyTo(result);
        by.CopyTo(result.AsSpan(at));
        bytes.AsSpan(at + length).CopyTo(result.AsSpan(at + by.Length));
        return result;
    }

    /// <summary>Changes a little-endian integer of 1 to 8 bytes, usually an aligned one. The new value is near the old
    /// one, a power of two, all ones, the maximum, or near the file's size.</summary>
    static void Integer(FuzzRandom random, byte[] bytes)
    {
        var width = 1 << random.Next(4);
        if (bytes.Length < width) return;
        var at = random.Next(bytes.Length - width + 1);
        if (!random.OneIn(4)) at -= at % width;
        Span<byte> field = stackalloc byte[8];
        bytes.AsSpan(at, width).CopyTo(field);
        var value = BinaryPrimitives.ReadInt64LittleEndian(field);
        var near = random.Next(9) - 4;
        value = random.Next(7) switch
        {
            0 or 1 => value + near,
            2 => (1L << random.Next(64)) + near,
            3 => -1,
            4 => (1L << (8 * width - 1)) - 1,
            5 => bytes.Length + near - (random.OneIn(2) ? at : 0),
            _ => value << random.Next(16),
        };
        BinaryPrimitives.WriteInt64LittleEndian(field, value);
        field[..width].CopyTo(bytes.AsSpan(at));
    }

    /// <summary>Replaces the first decimal number after a position.</summary>
    static byte[] Decimal(FuzzRandom random, byte[] bytes, int from)
    {
        var start = bytes.AsSpan(from).IndexOfAnyInRange((byte)'0', (byte)'9');
        if (start < 0) return bytes;
        start += from;
        var length = bytes.AsSpan(start).IndexOfAnyExceptInRange((byte)'0', (byte)'9');
        return Replace(bytes, start, length < 0 ? bytes.Length - start : length, Number(random));
    }

    public static byte[] Number(FuzzRandom random) => Encoding.ASCII.GetBytes(random.Of(Numbers));

    /// <summary>Repeats a piece or a word up to megabytes: an input that is cheap to write a million times must not be
    /// expensive to read.</summary>
    public static byte[] Swell(FuzzRandom random, byte[] bytes, IReadOnlyList<byte[]> words)
    {
        if (bytes.Length == 0) return bytes;
        var at = random.Next(bytes.Length);
        var piece = random.OneIn(2) ? random.Of(words)
            : bytes[at..(at + 1 + random.Next(Math.Min(64, bytes.Length - at)))];
        var size = SwollenBytes >> random.Next(5);
        var swollen = new byte[bytes.Length + size / Math.Max(1, piece.Length) * piece.Length];
        bytes.AsSpan(0, at).CopyTo(swollen);
        var end = swollen.Length - (bytes.Length - at);
        for (var i = at; piece.Length > 0 && i < end; i += piece.Length) piece.CopyTo(swollen, i);
        bytes.AsSpan(at).CopyTo(swollen.AsSpan(end));
        return swollen;
    }
}
