using System.Buffers.Binary;
using System.Text;

namespace CudaSae.Metrics;

/// <summary>The bytes of a protocol buffer, field after field, without a schema.
/// protobuf.dev/programming-guides/encoding.</summary>
sealed class ProtoMessage
{
    const int VarintType = 0, Fixed64Type = 1, BytesType = 2, Fixed32Type = 5;

    readonly List<byte> bytes = [];

    public byte[] ToArray() => [.. bytes];

    public ProtoMessage Integer(int field, long value)
    {
        Key(field, VarintType);
        Varint((ulong)value);
        return this;
    }

    public ProtoMessage Double(int field, double value)
    {
        Key(field, Fixed64Type);
        Span<byte> room = stackalloc byte[sizeof(double)];
        BinaryPrimitives.WriteDoubleLittleEndian(room, value);
        bytes.AddRange(room);
        return this;
    }

    public ProtoMessage Float(int field, float value)
    {
        Key(field, Fixed32Type);
        Span<byte> room = stackalloc byte[sizeof(float)];
        BinaryPrimitives.WriteSingleLittleEndian(room, value);
        bytes.AddRange(room);
        return this;
    }

    public ProtoMessage Text(int field, string value) => Bytes(field, Encoding.UTF8.GetBytes(value));

    public ProtoMessage Message(int field, ProtoMessage value) => Bytes(field, value.ToArray());

    ProtoMessage Bytes(int field, byte[] value)
    {
        Key(field, BytesType);
        Varint((ulong)value.Length);
        bytes.AddRange(value);
        return this;
    }

    void Key(int field, int type) => Varint((ulong)(field << 3 | type));

    void Varint(ulong value)
    {
        for (; value >= 0x80; value >>= 7) bytes.Add((byte)(value | 0x80));
        bytes.Add((byte)value);
    }

    /// <summary>The first integer field of that number; 0, which is not written, where there is none, and null where
    /// the message is damaged before it.</summary>
    public static long? FindInteger(ReadOnlySpan<byte> message, int field)
    {
        while (message.Length > 0)
        {
            if (ReadVarint(ref message) is not { } key) return null;
            var type = (int)(key & 7);
            if (type == VarintType)
            {
                if (ReadVarint(ref message) is not { } value) return null;
                if (key >> 3 == (ulong)field) return (long)value;
                continue;
            }
            var length = type switch
            {
                Fixed64Type => 8ul,
                Fixed32Type => 4ul,
                BytesType => ReadVarint(ref message),
                _ => null
            };
            if (length is not { } skip || skip > (ulong)message.Length) return null;
            message = message[(int)skip..];
        }
        return 0;
    }

    static ulong? ReadVarint(ref ReadOnlySpan<byte> from)
    {
        var value = 0ul;
        for (var shift = 0; shift < 64 && from.Length > 0; shift += 7)
        {
            var b = from[0];
            from = from[1..];
            value |= (ulong)(b & 0x7f) << shift;
            if (b < 0x80) return value;
        }
        return null;
    }
}
