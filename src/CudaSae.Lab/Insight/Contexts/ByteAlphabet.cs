using System.Text;

namespace CudaSae.Lab.Insight.Contexts;

/// <summary>GPT-2's way to write any bytes as visible characters (Radford et al. 2019, encoder.py): printable Latin-1
/// stands for itself,
/// the other 68 bytes in their order for U+0100 onwards.</summary>
static class ByteAlphabet
{
    const int SpaceLetter = 0x120;      // 'Ġ'
    static readonly Dictionary<char, byte> Bytes = Make();

    static Dictionary<char, byte> Make()
    {
        var bytes = new Dictionary<char, byte>();
        for (int b = 0, next = 0x100; b < 256; b++)
            bytes[b is (>= '!' and <= '~') or (>= 0xa1 and <= 0xac) or (>= 0xae and <= 0xff) ? (char)b : (char)next++] =
                (byte)b;
        return bytes;
    }

    /// <summary>Whether a piece begins with the letter that stands for a space.</summary>
    public static bool IsUsed(string piece) => piece.Length > 1 && piece[0] == SpaceLetter;

    /// <summary>The text; a piece with another character is taken as it is, a cut UTF-8 character becomes
    /// U+FFFD.</summary>
    public static string Decode(string piece)
    {
        var bytes = new byte[piece.Length];
        for (var i = 0; i < bytes.Length; i++)
            if (!Bytes.TryGetValue(piece[i], out bytes[i])) return piece;
        return Encoding.UTF8.GetString(bytes);
    }
}
