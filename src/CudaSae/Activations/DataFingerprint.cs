using System.Buffers.Binary;
using System.Security.Cryptography;
using CudaSae.Numerics;

namespace CudaSae.Activations;

/// <summary>Identifies the rows of a run in its record, because a run must be resumed on the rows with which it began.
/// Paths may differ, and so may rows after the last one.</summary>
/// <param name="Widths">Widths of the files side by side: the input, then a transcoder's target or a crosscoder's other
/// sites.</param>
/// <param name="Type">Element type.</param>
/// <param name="Rows">Rows that the fingerprint covers.</param>
/// <param name="Contents">The first 32 hexadecimal digits of the SHA-256 of the rows, or of a sample of them.</param>
/// <param name="Tokens">The same digits for the rows' token ids; null if they have none.</param>
sealed record DataFingerprint(int[] Widths, InputType Type, long Rows, string Contents, string? Tokens)
{
    const long WholeBytes = 16 << 20;       // up to this size every row is hashed
    const int Sample = 256;                 // beyond it, rows at equal distances, including the first and the last
    const int Digits = 32;

    /// <summary>Computes the fingerprint of a range of rows.</summary>
    /// <param name="slice">The rows.</param>
    /// <param name="widths">Widths of the files side by side.</param>
    /// <exception cref="SaeException">A row cannot be read.</exception>
    public static DataFingerprint Of(RowSlice slice, int[] widths)
    {
        var (source, first, rows) = slice;
        using var contents = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        using var tokens = source.HasTokens ? IncrementalHash.CreateHash(HashAlgorithmName.SHA256) : null;
        var row = new byte[source.RowBytes];
        Span<byte> id = stackalloc byte[sizeof(int)];
        var count = rows * source.RowBytes <= WholeBytes ? rows : Math.Min(rows, Sample);
        for (var i = 0L; i < count; i++)
        {
            var at = first + (count == rows ? i : (long)((Int128)i * (rows - 1) / (count - 1)));
            source.Read(at, row);
            contents.AppendData(row);
            if (tokens is null) continue;
            BinaryPrimitives.WriteInt32LittleEndian(id, source.Token(at));
            tokens.AppendData(id);
        }
        return new(widths, source.Type, rows, Text(contents), tokens is null ? null : Text(tokens));

        static string Text(IncrementalHash hash) => Convert.ToHexStringLower(hash.GetHashAndReset())[..Digits];
    }

    /// <summary>Describes in one clause how other rows differ from these; null if they are the same.</summary>
    /// <param name="now">Fingerprint of the current rows, at most as many as this one covers.</param>
    public string? Difference(DataFingerprint now)
    {
        if (!Widths.AsSpan().SequenceEqual(now.Widths))
            return $"they were {Wide(Widths)} wide and are now {Wide(now.Widths)}";
        if (Type != now.Type) return $"they were {Type} and are now {now.Type}";
        if (Rows != now.Rows) return $"there were {Rows} and there are now {now.Rows}";
        if (Contents != now.Contents) return "their values differ";
        if (Tokens == now.Tokens) return null;
        if (Tokens is null) return "they had no token ids and now have some";
        return now.Tokens is null ? "they had token ids and now have none" : "their token ids differ";
    }

    static string Wide(int[] widths) => string.Join(" beside ", widths);
}
