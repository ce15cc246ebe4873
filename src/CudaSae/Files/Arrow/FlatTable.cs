using System.Buffers.Binary;
using System.Text;

namespace CudaSae.Files.Arrow;

/// <summary>A table of a FlatBuffer, as Arrow's metadata are made of: a field's place stands in the table's vtable,
/// tables and vectors are
/// reached by offsets. Every read is checked against the buffer.</summary>
readonly ref struct FlatTable
{
    readonly ReadOnlySpan<byte> buffer;
    readonly long at, vtable;
    readonly int vtableBytes;

    FlatTable(ReadOnlySpan<byte> buffer, long at)
    {
        this.buffer = buffer;
        this.at = at;
        vtable = at - BinaryPrimitives.ReadInt32LittleEndian(Bytes(at, 4));
        vtableBytes = BinaryPrimitives.ReadUInt16LittleEndian(Bytes(vtable, 2));
    }

    /// <exception cref="InvalidDataException">An offset points out of the buffer; so do all other members.</exception>
    public static FlatTable Root(ReadOnlySpan<byte> buffer) =>
        new(buffer, buffer.Length >= 4 ? BinaryPrimitives.ReadUInt32LittleEndian(buffer) : long.MaxValue - 4);

    ReadOnlySpan<byte> Bytes(long start, int length) =>
        start >= 0 && start <= buffer.Length - length ? buffer.Slice((int)start, length)
            : throw new InvalidDataException("its metadata point out of themselves");

    /// <summary>Where a field stands; 0 where it was left at its default.</summary>
    long Place(int field)
    {
        var slot = 4 + 2 * field;
        if (slot + 2 > vtableBytes) return 0;
        var offset = BinaryPrimitives.ReadUInt16LittleEndian(Bytes(vtable + slot, 2));
        return offset == 0 ? 0 : at + offset;
    }

    public bool Has(int field) => Place(field) != 0;
    public byte Byte(int field) => Place(field) is > 0 and var place ? Bytes(place, 1)[0] : (byte)0;
    public short Int16(int field) =>
        Place(field) is > 0 and var place ? BinaryPrimitives.ReadInt16LittleEndian(Bytes(place, 2)) : (short)0;
    public int Int32(int field) =>
        Place(field) is > 0 and var place ? BinaryPrimitives.ReadInt32LittleEndian(Bytes(place, 4)) : 0;
    public long Int64(int field) =>
        Place(field) is > 0 and var place ? BinaryPrimitives.ReadInt64LittleEndian(Bytes(place, 8)) : 0;

    long Target(long place) => place + BinaryPrimitives.ReadUInt32LittleEndian(Bytes(place, 4));

    long Required(int field) =>
        Place(field) is > 0 and var place ? Target(place)
            : throw new InvalidDataException($"its metadata lack field {field} of a table");

    public FlatTable Table(int field) => new(buffer, Required(field));

    /// <param name="most">Bytes of it.</param>
    public string Text(int field, int most)
    {
        if (!Has(field)) return "";
        var start = Required(field);
        var length = Length(start, 1);
        return length <= most ? Encoding.UTF8.GetString(Bytes(start + 4, length))
            : throw new InvalidDataException($"a name in its metadata has {length} bytes; {most} are possible");
    }

    /// <summary>Elements of a vector; 0 where there is none.</summary>
    public int Count(int field, int elementBytes) => Has(field) ? Length(Required(field), elementBytes) : 0;

    /// <summary>Element i of a vector of tables.</summary>
    public FlatTable Table(int field, int i) => new(buffer, Target(Required(field) + 4 + 4L * i));

    /// <summary>Element i of a vector of structs of two 64-bit numbers.</summary>
    public (long First, long Second) Pair(int field, int i)
    {
        var bytes = Bytes(Required(field) + 4 + 16L * i, 16);
        return (BinaryPrimitives.ReadInt64LittleEndian(bytes), BinaryPrimitives.ReadInt64LittleEndian(bytes[8..]));
    }

    int Length(long start, int elementBytes)
    {
        var count = BinaryPrimitives.ReadUInt32LittleEndian(Bytes(start, 4));
        return count <= (uint)(buffer.Length / elementBytes) ? (int)count
            : throw new InvalidDataException($"its metadata claim a list of {count}");
    }
}
