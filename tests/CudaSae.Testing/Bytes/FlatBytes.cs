using System.Buffers.Binary;
using System.Text;

namespace CudaSae.Testing.Bytes;

/// <summary>Writes FlatBuffers for the tests: a table's vtable, then its fields in 8 bytes each, then what they point
/// to.</summary>
static class FlatBytes
{
    /// <summary>A field's number and value: byte, short, int, long, string, a table, a vector of tables, or one of
    /// pairs of 64-bit numbers.</summary>
    public sealed record Table(params (int Field, object Value)[] Fields);

    public static byte[] Root(Table table)
    {
        var bytes = new List<byte>(new byte[8]);
        Patch(bytes, 0, Add(bytes, table));
        return [.. bytes];
    }

    static int Add(List<byte> bytes, Table table)
    {
        var slots = table.Fields.Length == 0 ? 0 : table.Fields.Max(f => f.Field) + 1;
        var vtable = bytes.Count;
        var header = new byte[(4 + 2 * slots + 7) / 8 * 8];
        BinaryPrimitives.WriteInt16LittleEndian(header, (short)(4 + 2 * slots));
        BinaryPrimitives.WriteInt16LittleEndian(header.AsSpan(2), (short)(8 + 8 * table.Fields.Length));
        for (var i = 0; i < table.Fields.Length; i++)
            BinaryPrimitives.WriteInt16LittleEndian(header.AsSpan(4 + 2 * table.Fields[i].Field), (short)(8 + 8 * i));
        bytes.AddRange(header);
        var at = bytes.Count;
        bytes.AddRange(new byte[8 + 8 * table.Fields.Length]);
        Put(bytes, at, BitConverter.GetBytes(at - vtable));
        for (var i = 0; i < table.Fields.Length; i++) Write(bytes, at + 8 + 8 * i, table.Fields[i].Value);
        return at;
    }

    static void Write(List<byte> bytes, int place, object value)
    {
        switch (value)
        {
            case byte b: bytes[place] = b; break;
            case short s: Put(bytes, place, BitConverter.GetBytes(s)); break;
            case int i: Put(bytes, place, BitConverter.GetBytes(i)); break;
            case long l: Put(bytes, place, BitConverter.GetBytes(l)); break;
            case Table table: Patch(bytes, place, Add(bytes, table)); break;
            case string text:
                var utf8 = Encoding.UTF8.GetBytes(text);
                Patch(bytes, place, bytes.Count);
                bytes.AddRange([.. BitConverter.GetBytes(utf8.Length), .. utf8,
                    .. new byte[8 - (utf8.Length + 4) % 8]]);
                break;
            case Table[] tables:
                var list = bytes.Count;
                Patch(bytes, place, list);
                bytes.AddRange([.. BitConverter.GetBytes(tables.Length),
                    .. new byte[(4 + 4 * tables.Length + 7) / 8 * 8 - 4]]);
                for (var i = 0; i < tables.Length; i++) Patch(bytes, list + 4 + 4 * i, Add(bytes, tables[i]));
                break;
            case (long, long)[] pairs:
                bytes.AddRange(new byte[4]);        // so that the pairs begin at a multiple of 8
                Patch(bytes, place, bytes.Count);
                bytes.AddRange([.. BitConverter.GetBytes(pairs.Length),
                    .. pairs.SelectMany(p =>
                        (byte[])[.. BitConverter.GetBytes(p.Item1), .. BitConverter.GetBytes(p.Item2)])]);
                break;
            default: throw new ArgumentException($"{value.GetType()} cannot be written");
        }
    }

    static void Patch(List<byte> bytes, int place, int target) =>
        Put(bytes, place, BitConverter.GetBytes(target - place));

    static void Put(List<byte> bytes, int place, byte[] value)
    {
        for (var i = 0; i < value.Length; i++) bytes[place + i] = value[i];
    }
}
