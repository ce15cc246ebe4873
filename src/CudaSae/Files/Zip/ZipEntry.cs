using System.Buffers.Binary;
using System.Text;

namespace CudaSae.Files.Zip;

/// <summary>One member of a zip archive.</summary>
/// <param name="Start">Of its local header in the file.</param>
/// <param name="Offset">Of its stored bytes in the file.</param>
/// <param name="StoredBytes">In the file.</param>
/// <param name="Bytes">Of its content; equal to StoredBytes unless it is deflated.</param>
/// <param name="Crc">Of its content.</param>
sealed record ZipMember(string Name, bool Deflated, long Start, long Offset, long StoredBytes, long Bytes, uint Crc);

/// <summary>One entry of the central directory, held against its local header.</summary>
/// <param name="at">Where it starts.</param>
/// <param name="end">Of the central directory.</param>
readonly struct ZipEntry(MappedFile file, Func<string, SaeException> bad, long at, long end)
{
    const uint LocalSignature = 0x04034B50, CentralSignature = 0x02014B50;
    const int CentralBytes = 46, LocalBytes = 30;
    const int Encrypted = 1, Descriptor = 1 << 3, Patched = 1 << 5, StronglyEncrypted = 1 << 6, Masked = 1 << 13;
    static readonly UTF8Encoding Strict = new(false, throwOnInvalidBytes: true);

    ushort U16(long at) => BinaryPrimitives.ReadUInt16LittleEndian(file.Slice(at, 2));
    uint U32(long at) => BinaryPrimitives.ReadUInt32LittleEndian(file.Slice(at, 4));

    /// <summary>The member, and where the next entry starts.</summary>
    /// <param name="dataEnd">Where the central directory starts: no member's bytes lie beyond.</param>
    public (ZipMember, long Next) Read(long dataEnd)
    {
        if (end - at < CentralBytes || U32(at) != CentralSignature) throw bad("its zip directory is damaged");
        int nameBytes = U16(at + 28), extraBytes = U16(at + 30);
        var next = at + CentralBytes + nameBytes + extraBytes + U16(at + 32);
        if (next > end) throw bad("its zip directory is damaged");
        var name = Name(file.Slice(at + CentralBytes, nameBytes));
        int flags = U16(at + 8), method = U16(at + 10);
        if ((flags & (Encrypted | StronglyEncrypted | Masked)) != 0) throw bad($"its member {name} is encrypted");
        if ((flags & Patched) != 0 || method is not (0 or 8))
            throw bad($"its member {name} is packed by method {method}; only stored and deflated ones are read");
        if (U16(at + 34) != 0) throw bad("its zip archive spans several disks");
        var wide = Zip64(file.Slice(at + CentralBytes + nameBytes, extraBytes), name);
        var bytes = Widen(U32(at + 24), ref wide, name);
        var stored = Widen(U32(at + 20), ref wide, name);
        var start = Widen(U32(at + 42), ref wide, name);
        if (method == 0 && bytes != stored) throw bad($"its member {name} claims {bytes} bytes but stores {stored}");
        if (start > dataEnd - LocalBytes) throw bad($"its member {name} lies outside the archive");
        var offset = CheckLocal(start, nameBytes, name, bytes, stored);
        if (offset > dataEnd - stored)
            throw bad($"its member {name} claims {stored} bytes from {offset}, beyond the archive's data; it is "
                + "truncated or damaged");
        return (new(name, method == 8, start, offset, stored, bytes, U32(at + 16)), next);
    }

    string Name(ReadOnlySpan<byte> bytes)
    {
        string name;
        try { name = Strict.GetString(bytes); }
        catch (DecoderFallbackException) { throw bad("a member's name is not UTF-8"); }
        return name.Length is > 0 and <= TensorFile.MaxNameLength && !name.Any(char.IsControl) ? name
            : throw bad($"a member's name of {bytes.Length} bytes is empty, too long or has control characters");
    }

    /// <summary>The zip64 part of an extra field; empty where there is none.</summary>
    ReadOnlySpan<byte> Zip64(ReadOnlySpan<byte> extra, string name)
    {
        while (extra.Length >= 4)
        {
            int id = BinaryPrimitives.ReadUInt16LittleEndian(extra),
                length = BinaryPrimitives.ReadUInt16LittleEndian(extra[2..]);
            if (length > extra.Length - 4) throw bad($"the extra field of its member {name} is damaged");
            if (id == 1) return extra.Slice(4, length);
            extra = extra[(4 + length)..];
        }
        return extra.Length == 0 ? extra : throw bad($"the extra field of its member {name} is damaged");
    }

    /// <summary>A 32-bit field, or the next of zip64's where it is all ones.</summary>
    long Widen(uint field, ref ReadOnlySpan<byte> wide, string name)
    {
        if (field != uint.MaxValue) return field;
        if (wide.Length < 8) throw bad($"the zip64 field of its member {name} is damaged");
        var claimed = BinaryPrimitives.ReadUInt64LittleEndian(wide);
        wide = wide[8..];
        return claimed <= long.MaxValue ? (long)claimed : throw bad($"its member {name} claims {claimed} bytes");
    }

    /// <summary>Where the member's bytes start. Its local header must have the same name, method and, unless a
    /// descriptor follows, sizes.</summary>
    long CheckLocal(long start, int nameBytes, string name, long bytes, long stored)
    {
        int flags = U16(start + 6), extraBytes = U16(start + 28);
        var offset = start + LocalBytes + nameBytes + extraBytes;
        if (U32(start) != LocalSignature || U16(start + 26) != nameBytes || offset > at || flags != U16(at + 8)
            || U16(start + 8) != U16(at + 10)
            || !file.Slice(start + LocalBytes, nameBytes).SequenceEqual(file.Slice(at + CentralBytes, nameBytes)))
            throw bad($"its zip directory and the header of its member {name} differ");
        if ((flags & Descriptor) != 0) return offset;
        var wide = Zip64(file.Slice(start + LocalBytes + nameBytes, extraBytes), name);
        return Widen(U32(start + 22), ref wide, name) == bytes && Widen(U32(start + 18), ref wide, name) == stored
            && U32(start + 14) == U32(at + 16)
            ? offset
            : throw bad($"its zip directory and the header of its member {name} differ");
    }
}
