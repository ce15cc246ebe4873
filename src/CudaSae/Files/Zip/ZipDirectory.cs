using System.Buffers.Binary;

namespace CudaSae.Files.Zip;

/// <summary>The members of a mapped zip archive, and where their bytes lie (System.IO.Compression does not tell).
/// Strict: the directory must end where its records say,
/// local headers must agree with it, members must not overlap. Layout: PKWARE APPNOTE.TXT 4.3 and 4.5.</summary>
sealed class ZipDirectory
{
    const uint LocalSignature =
        0x04034B50, EndSignature = 0x06054B50, End64Signature = 0x06064B50, LocatorSignature = 0x07064B50;
    const int EndBytes = 22, LocatorBytes = 20, End64Bytes = 56;

    readonly MappedFile file;
    readonly Func<string, SaeException> bad;
    long count, size, start, end;         // of the central directory: members, bytes, from, to

    ZipDirectory(MappedFile file, Func<string, SaeException> bad) => (this.file, this.bad) = (file, bad);

    /// <summary>Whether a file begins as a zip archive does.</summary>
    public static bool Begins(MappedFile file) =>
        file.Length >= 4 && BinaryPrimitives.ReadUInt32LittleEndian(file.Slice(0, 4)) is LocalSignature or EndSignature;

    /// <summary>All members in the directory's order.</summary>
    /// <param name="bad">Makes the error that names the file.</param>
    public static List<ZipMember> Read(MappedFile file, Func<string, SaeException> bad)
    {
        var directory = new ZipDirectory(file, bad);
        directory.Find();
        return directory.ReadMembers();
    }

    ushort U16(long at) => BinaryPrimitives.ReadUInt16LittleEndian(file.Slice(at, 2));
    uint U32(long at) => BinaryPrimitives.ReadUInt32LittleEndian(file.Slice(at, 4));

    /// <summary>A 64-bit size or offset; one beyond the file is a lie.</summary>
    long U64(long at)
    {
        var claimed = BinaryPrimitives.ReadUInt64LittleEndian(file.Slice(at, 8));
        return claimed <= (ulong)file.Length ? (long)claimed
            : throw bad($"its zip directory claims {claimed} bytes of the file's {file.Length}; it is truncated or "
                + "damaged");
    }

    void Find()
    {
        var at = FindEnd();
        if (U16(at + 4) != 0 || U16(at + 6) != 0 || U16(at + 8) != U16(at + 10))
            throw bad("its zip archive spans several disks");
        (count, size, start, end) = (U16(at + 10), U32(at + 12), U32(at + 16), at);
        if (at >= LocatorBytes + End64Bytes && U32(at - LocatorBytes) == LocatorSignature) ReadEnd64(at - LocatorBytes);
        if (start + size != end)
            throw bad($"its zip directory claims bytes {start} to {start + size} and ends at {end}; it is damaged");
    }

    /// <summary>Where the end record starts: the last that reaches, with its comment, to the file's end.</summary>
    long FindEnd()
    {
        var length = (int)Math.Min(file.Length, EndBytes + ushort.MaxValue);
        var tail = file.Slice(file.Length - length, length);
        for (var at = length - EndBytes; at >= 0; at--)
            if (BinaryPrimitives.ReadUInt32LittleEndian(tail[at..]) == EndSignature
                && BinaryPrimitives.ReadUInt16LittleEndian(tail[(at + 20)..]) == length - at - EndBytes)
                return file.Length - length + at;
        throw bad("the end of its zip archive is missing; it is truncated");
    }

    /// <summary>The zip64 record. Where the 32-bit fields are not all ones they must say the same.</summary>
    void ReadEnd64(long locator)
    {
        var at = U64(locator + 8);
        if (at > locator - End64Bytes || U32(at) != End64Signature || at + 12 + U64(at + 4) != locator)
            throw bad("its zip64 record is damaged");
        if (U32(at + 16) != 0 || U32(at + 20) != 0 || U64(at + 24) != U64(at + 32))
            throw bad("its zip archive spans several disks");
        long members = U64(at + 32), bytes = U64(at + 40), first = U64(at + 48);
        if ((count != ushort.MaxValue && count != members) || (size != uint.MaxValue && size != bytes)
            || (start != uint.MaxValue && start != first))
            throw bad("its zip64 record contradicts its zip record");
        (count, size, start, end) = (members, bytes, first, at);
    }

    List<ZipMember> ReadMembers()
    {
        var members = new List<ZipMember>();
        var names = new HashSet<string>();
        var at = start;
        for (long i = 0; i < count; i++)
        {
            var (member, next) = new ZipEntry(file, bad, at, end).Read(start);
            if (!names.Add(member.Name)) throw bad($"its member {member.Name} occurs twice");
            members.Add(member);
            at = next;
        }
        if (at != end) throw bad($"its zip directory has {end - at} bytes too many");
        long free = 0;
        foreach (var member in members.OrderBy(m => m.Start))
        {
            if (member.Start < free) throw bad($"its member {member.Name} overlaps another");
            free = member.Offset + member.StoredBytes;
        }
        return members;
    }
}
