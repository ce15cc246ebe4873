using System.Buffers.Binary;
using System.Runtime.InteropServices;
using CudaSae.Files;
using CudaSae.Numerics;

namespace CudaSae.Activations.Stores;

/// <summary>Images of an IDX file, [images, height · width]: bytes as float32 in [0, 1] (value / 255), float32 as they
/// are.</summary>
sealed class IdxShard : IShard
{
    readonly IdxFile file;

    public IdxShard(string path) : this(new IdxFile(path)) { }

    internal IdxShard(IdxFile file)
    {
        this.file = file;
        try
        {
            if (file.Shape.Length == 1)
                throw file.Bad("it has one axis: these are labels; images are [images, height, width]");
            if (file.Type is not (IdxType.UInt8 or IdxType.Float32))
                throw file.Bad($"its elements are {file.Type}; of images UInt8 and Float32 are read");
            (Rows, Width) = Shards.Flatten(Path, [file.Shape[0], Pixels(file)]);
        }
        catch { Dispose(); throw; }
    }

    static long Pixels(IdxFile file)
    {
        long pixels = 1;
        // Flatten refuses that many
        foreach (var extent in file.Shape.AsSpan(1)) pixels = Math.Min(pixels * extent, int.MaxValue);
        return pixels;
    }

    public string Path => file.Path;
    public long Rows { get; }
    public int Width { get; }
    public InputType Type => InputType.Float32;
    public bool HasTokens => false;

    public void Read(long i, Span<byte> into)
    {
        var floats = MemoryMarshal.Cast<byte, float>(into);
        if (file.Type == IdxType.UInt8)
        {
            var stored = into[^Width..];        // behind every number that is written before it is read
            file.Read(i * Width, stored);
            for (var p = 0; p < Width; p++) floats[p] = stored[p] / 255f;
            return;
        }
        file.Read(i * Width, into);
        foreach (ref var pixel in floats)
            pixel = BitConverter.UInt32BitsToSingle(BinaryPrimitives.ReverseEndianness(BitConverter.SingleToUInt32Bits(pixel)));
    }

    public void Expect(long i, int count) => file.Expect(i * Width, count * Width);

    public int Token(long i) => throw new InvalidOperationException();
    public string Locate(long i) => $"{Path}, image {i}";
    public void Dispose() => file.Dispose();
}
