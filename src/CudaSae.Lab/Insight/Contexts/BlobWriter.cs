using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;

namespace CudaSae.Lab.Insight.Contexts;

/// <summary>Writes little-endian numbers, varints (LEB128: 7 bits a byte, lowest first, with the high bit set if more
/// follow) and texts into memory.</summary>
sealed class BlobWriter
{
    readonly MemoryStream stream = new();

    public int Length => (int)stream.Length;

    public void Byte(int value) => stream.WriteByte(checked((byte)value));

    public void UInt32(long value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, checked((uint)value));
        stream.Write(bytes);
    }

    public void Float(float value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(float)];
        BinaryPrimitives.WriteSingleLittleEndian(bytes, value);
        stream.Write(bytes);
    }

    public void Varint(long value)
    {
        for (; value >= 0x80; value >>= 7) stream.WriteByte((byte)(value | 0x80));
        stream.WriteByte((byte)value);
    }

    public void Signed(ReadOnlySpan<sbyte> bytes) => stream.Write(MemoryMarshal.AsBytes(bytes));

    public void Bytes(ReadOnlySpan<byte> bytes) => stream.Write(bytes);

    /// <summary>Writes the length in one byte and then UTF-8; a lone surrogate becomes U+FFFD.</summary>
    public void ShortText(string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        Byte(bytes.Length);
        Bytes(bytes);
    }

    public void Append(BlobWriter other) => other.stream.WriteTo(stream);

    public byte[] ToArray() => stream.ToArray();
}
