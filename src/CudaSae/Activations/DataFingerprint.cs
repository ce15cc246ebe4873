using System.Buffers.Binary;
using System.Security.Cryptography;
using CudaSae.Numerics;

namespace CudaSae.Activations;

/// <summary>What a run's rows are, for a record: a run is resumed on the rows that it began with. Paths and rows behind
/// the last one may differ.</summary>
/// <param name="Widths">Of the files side by side: the input, then a transcoder's target or a crosscoder's further
/// sites.</param>
/// <param name="Type">Element type.</param>
/// <param name="Rows">Rows that the fingerprint covers.</param>
/// <param name="Contents">SHA-256 of the rows, or of a sample of them, first 32 hexadecimal digits.</param>
/// <param name="Tokens">The same of the rows' token ids; null where they have none.</param>
sealed record DataFingerprint(int[] Widths, InputType Type, long Rows, string Contents, string? Tokens)
{
    const long WholeBytes = 16 << 20;       // up to here every row counts
    const int Sample = 256;                 // rows at equal distances beyond, the first and the last among them
    const int Digits = 32;

    /// <param name="first">First of the <paramref name="rows"/> rows.</param>
    /// <exception cref="SaeException">A row cannot be read.</exception>
    public static DataFingerprint Of(ActivationSource source, int[] widths, long first, long rows)
    {
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

    /// <summary>How other rows differ from these, in one clause; null where they are the same.</summary>
    /// <param name="now">Of the rows as they are now, as many as they are at most.</param>
    public string? Difference(DataFingerprint now)
    {
        if (!Widths.AsSpan().SequenceEqual(now.Widths))
            return $"they were {Wide(Widths)} wide and are now {Wide(now.Widths)}";
        if (Type != now.Type) return $"they were {Type} and are now {now.Type}";
        if (Rows != now.Rows) return $"there were {Rows} and there are now {now.Rows}";
        if (Contents != now.Contents) return "their numbers are others";
        if (Tokens == now.Tokens) return null;
        if (Tokens is null) return "they had no token ids and now have some";
        return now.Tokens is null ? "they had token ids and now have none" : "their token ids are others";
    }

    static string Wide(int[] widths) => string.Join(" beside ", widths);
}
