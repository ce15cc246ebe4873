using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace CudaSae.Files;

/// <summary>Headers of numpy's .npy format, versions 1 to 3: magic, version, length, a Python dict literal.</summary>
static partial class NpyFile
{
    /// <summary>What a header says, and where the data starts.</summary>
    public sealed record Header(string Descr, long[] Shape, long DataOffset, bool FortranOrder = false);

    /// <summary>No header is longer than this many bytes.</summary>
    public const int MaxHeaderBytes = 12 + MaxDictionaryBytes;

    const int MaxDictionaryBytes = 1 << 16, MaxAxes = 64;

    static ReadOnlySpan<byte> Magic => [0x93, (byte)'N', (byte)'U', (byte)'M', (byte)'P', (byte)'Y'];

    internal static bool Begins(ReadOnlySpan<byte> file) => file.StartsWith(Magic);

    /// <exception cref="SaeException">It is damaged, or in Fortran order.</exception>
    public static Header ReadHeader(MappedFile file)
    {
        var header = ReadHeader(file.Slice(0, (int)Math.Min(file.Length, MaxHeaderBytes)), why => Bad(file, why));
        return !header.FortranOrder ? header
            : throw Bad(file, "it is in Fortran order; save it again with numpy.ascontiguousarray");
    }

    /// <summary>The header at the start of these bytes, which are all that there are or at least
    /// <see cref="MaxHeaderBytes"/>.</summary>
    /// <param name="bad">Makes the error that names the file.</param>
    public static Header ReadHeader(ReadOnlySpan<byte> file, Func<string, SaeException> bad)
    {
        if (file.Length < 10 || !Begins(file)) throw bad("it does not start as one");
        var major = file[6];
        var wide = major >= 2;
        if (major is < 1 or > 3 || (wide && file.Length < 12)) throw bad($"version {major} is unknown");
        long length = wide ? BinaryPrimitives.ReadUInt32LittleEndian(file[8..])
            : BinaryPrimitives.ReadUInt16LittleEndian(file[8..]);
        var start = wide ? 12 : 10;
        if (length > MaxDictionaryBytes || start + length > file.Length)
            throw bad($"its header claims {length} bytes; the file is truncated");
        var match = Dictionary().Match(Encoding.UTF8.GetString(file.Slice(start, (int)length)));
        if (!match.Success) throw bad("its header cannot be read");
        var shape = new List<long>();
        var extents = match.Groups["shape"].ValueSpan;
        if (extents.Count(',') > MaxAxes) throw bad($"it has {extents.Count(',')} axes; numpy allows {MaxAxes}");
        foreach (var extent in extents.ToString()
            .Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
            shape.Add(long.TryParse(extent, NumberStyles.None, CultureInfo.InvariantCulture, out var e) ? e
                : throw bad($"its shape has {TensorFile.Shown(extent)}"));
        return new(match.Groups["descr"].Value, [.. shape], start + length, match.Groups["order"].Value == "True");
    }

    [GeneratedRegex(@"^\{\s*'descr':\s*'(?<descr>[^']{1,16})',\s*'fortran_order':\s*(?<order>True|False),\s*'shape':\s*\((?<shape>[0-9, ]*)\),?\s*\}\s*$")]
    private static partial Regex Dictionary();

    /// <summary>A version 1 header for a C-order array, padded so that data starts at a multiple of 64 bytes.</summary>
    public static byte[] MakeHeader(string descr, params long[] shape)
    {
        var dict =
            $"{{'descr': '{descr}', 'fortran_order': False, 'shape': "
                + $"({string.Join(", ", shape)}{(shape.Length == 1 ? "," : "")}), }}";
        var total = (10 + dict.Length + 1 + 63) / 64 * 64;
        var header = new byte[total];
        Magic.CopyTo(header);
        header[6] = 1;
        BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(8), (ushort)(total - 10));
        Encoding.ASCII.GetBytes(dict.PadRight(total - 11) + "\n").CopyTo(header, 10);
        return header;
    }

    internal static SaeException Bad(MappedFile file, string why) =>
        new($"{file.Path} is not a usable .npy file: {why}");
}
