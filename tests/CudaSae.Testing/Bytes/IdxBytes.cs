using System.Buffers.Binary;
using System.IO.Compression;
using CudaSae.Files;

namespace CudaSae.Testing.Bytes;

/// <summary>Writes IDX files in MNIST's format.</summary>
static class IdxBytes
{
    /// <summary>Returns a header followed by the content.</summary>
    public static byte[] Idx(IdxType type, int[] shape, byte[] content)
    {
        var header = new byte[4 + 4 * shape.Length];
        (header[2], header[3]) = ((byte)type, (byte)shape.Length);
        for (var axis = 0; axis < shape.Length; axis++)
            BinaryPrimitives.WriteInt32BigEndian(header.AsSpan(4 + 4 * axis), shape[axis]);
        return [.. header, .. content];
    }

    /// <summary>Returns the bytes as a .gz file.</summary>
    public static byte[] Packed(byte[] content)
    {
        using var packed = new MemoryStream();
        using (var stream = new GZipStream(packed, CompressionLevel.Fastest)) stream.Write(content);
        return packed.ToArray();
    }
}
