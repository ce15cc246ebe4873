using System.Buffers.Binary;
using System.Numerics;

namespace CudaSae.Metrics;

/// <summary>TensorFlow's file of records: of each its length (uint64), the length's checksum, the bytes, their
/// checksum; all little-endian. Checksums are CRC-32C (Castagnoli), masked so that
/// a record may itself hold records: rotated right by 15, plus 0xa282ead8.
/// tensorflow/core/lib/io/record_writer.cc.</summary>
static class TfRecords
{
    const int Head = 12, Tail = 4, Longest = 1 << 20;

    public static byte[] Frame(ReadOnlySpan<byte> record)
    {
        var framed = new byte[Head + record.Length + Tail];
        BinaryPrimitives.WriteUInt64LittleEndian(framed, (ulong)record.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(framed.AsSpan(8), Masked(framed.AsSpan(0, 8)));
        record.CopyTo(framed.AsSpan(Head));
        BinaryPrimitives.WriteUInt32LittleEndian(framed.AsSpan(Head + record.Length), Masked(record));
        return framed;
    }

    /// <summary>The next record; null at the end, and where what follows is damaged, was cut or is longer than a
    /// mebibyte: behind that there is nothing to hold on to.</summary>
    public static byte[]? Next(Stream stream)
    {
        Span<byte> head = stackalloc byte[Head], tail = stackalloc byte[Tail];
        if (stream.ReadAtLeast(head, Head, throwOnEndOfStream: false) < Head
            || BinaryPrimitives.ReadUInt32LittleEndian(head[8..]) != Masked(head[..8]))
            return null;
        var length = BinaryPrimitives.ReadUInt64LittleEndian(head);
        if (length > Longest) return null;
        var record = new byte[length];
        if (stream.ReadAtLeast(record, record.Length, throwOnEndOfStream: false) < record.Length
            || stream.ReadAtLeast(tail, Tail, throwOnEndOfStream: false) < Tail)
            return null;
        return BinaryPrimitives.ReadUInt32LittleEndian(tail) == Masked(record) ? record : null;
    }

    static uint Masked(ReadOnlySpan<byte> bytes)
    {
        var crc = uint.MaxValue;
        for (; bytes.Length >= 8; bytes = bytes[8..])
            crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        foreach (var b in bytes) crc = BitOperations.Crc32C(crc, b);
        return BitOperations.RotateRight(~crc, 15) + 0xa282ead8;
    }
}
