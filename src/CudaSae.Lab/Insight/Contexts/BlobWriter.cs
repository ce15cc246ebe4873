using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;

namespace CudaSae.Lab.Insight.Contexts;

/// <summary>Writes little-endian numbers, varints (LEB128: 7 bits a byte, lowest first, with the high bit set if more
/// follow) and texts into memory.</summary>
sealed class BlobWriter
{
    readonly ArrayBufferWriter<byte> blob = new();

    public int Length => blob.WrittenCount;

    public void Byte(int value) => blob.Write([checked((byte)value)]);

    public void UInt32(long value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, checked((uint)value));
        blob.Write(bytes);
    }

    public void Float(float value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(float)];
        BinaryPrimitives.WriteSingleLittleEndian(bytes, value);
        blob.Write(bytes);
    }

    public void Varint(long value)
    {
        for (; value >= 0x80; value >>= 7) blob.Write([(byte)(value | 0x80)]);
        blob.Write([(byte)value]);
    }

    public void Signed(ReadOnlySpan<sbyte> bytes) => blob.Write(MemoryMarshal.AsBytes(bytes));

    public void Bytes(ReadOnlySpan<byte> bytes) => blob.Write(bytes);

    /// <summary>Writes the length in one byte and then UTF-8; a lone surrogate becomes U+FFFD.</summary>
    public void ShortText(string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        Byte(bytes.Length);
        Bytes(bytes);
    }

    public void Append(BlobWriter other) => blob.Write(other.blob.WrittenSpan);

    public byte[] ToArray() => blob.WrittenSpan.ToArray();
}
