using System.IO.Compression;
using CudaSae.Activations.Stores;
using CudaSae.Files;

namespace CudaSae.Testing.Fuzz;

/// <summary>Images and labels as MNIST has them, packed or not.</summary>
sealed partial class FuzzTargets
{
    static FuzzTarget Idx()
    {
        static void Read(byte[] bytes)
        {
            using var file = new IdxFile(new MappedFile(Name, bytes));
            if (file.Shape.Length == 1) _ = file.Labels().Length;
            else
            {
                using var shard = new IdxShard(file);
                Touch(shard);
            }
        }
        byte[] images = IdxBytes(IdxType.UInt8, 1, 3, 4, 5), labels = IdxBytes(IdxType.UInt8, 1, 6);
        byte[][] files = [images, labels, IdxBytes(IdxType.Float32, 4, 2, 3, 3), IdxBytes(IdxType.Int32, 4, 3),
            Packed(images), Packed(labels)];
        return new("idx", [.. files.Select(f => new FuzzCase(f, null, Read))],
            Words("\0\0\x08\x03", "\0\0\x08\x01", "\0\0\x0d\x02", "\x1f\x8b", "\x1f\x8b\x08\0", "\xff\xff\xff\xff",
                "\x7f\xff\xff\xff", "\0\0\0\0", "\0\0\0\x01"));
    }

    static byte[] IdxBytes(IdxType type, int elementBytes, params byte[] shape) =>
        [0, 0, (byte)type, (byte)shape.Length, .. shape.SelectMany(extent =>
            (byte[])[0, 0, 0, extent]), .. new byte[shape.Aggregate(elementBytes,
            (a, b) => a * b)]];

    static byte[] Packed(byte[] content)
    {
        using var packed = new MemoryStream();
        using (var stream = new GZipStream(packed, CompressionLevel.Fastest)) stream.Write(content);
        return packed.ToArray();
    }
}
