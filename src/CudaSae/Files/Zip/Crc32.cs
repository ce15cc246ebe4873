using System.Buffers.Binary;

namespace CudaSae.Files.Zip;

/// <summary>CRC-32 as zip has it: reflected polynomial 0xEDB88320, eight bytes a step from eight tables.</summary>
static class Crc32
{
    static readonly uint[] Table = MakeTable();     // [8, 256]

    static uint[] MakeTable()
    {
        var table = new uint[8 * 256];
        for (var i = 0u; i < 256; i++)
        {
            var crc = i;
            for (var bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0xEDB88320u & (0u - (crc & 1)));
            table[i] = crc;
        }
        for (var i = 256; i < table.Length; i++) table[i] = (table[i - 256] >> 8) ^ table[table[i - 256] & 255];
        return table;
    }

    /// <summary>The checksum of what gave <paramref name="crc"/> followed by these bytes; 0 begins.</summary>
    public static uint Append(uint crc, ReadOnlySpan<byte> bytes)
    {
        var table = Table.AsSpan();
        crc = ~crc;
        for (; bytes.Length >= 8; bytes = bytes[8..])
        {
            var low = BinaryPrimitives.ReadUInt32LittleEndian(bytes) ^ crc;
            var high = BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]);
            crc = table[7 * 256 + (int)(low & 255)] ^ table[6 * 256 + (int)((low >> 8) & 255)] ^ table[5 * 256
                + (int)((low >> 16) & 255)] ^ table[4 * 256 + (int)(low >> 24)]
                ^ table[3 * 256 + (int)(high & 255)] ^ table[2 * 256
                    + (int)((high >> 8) & 255)] ^ table[256 + (int)((high >> 16) & 255)] ^ table[(int)(high >> 24)];
        }
        foreach (var b in bytes) crc = (crc >> 8) ^ table[(int)((crc ^ b) & 255)];
        return ~crc;
    }
}
