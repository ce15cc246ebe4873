using System.Buffers.Binary;
using System.IO.Compression;

namespace CudaSae.Files;

/// <summary>Element type of an IDX file: the third byte of its header.</summary>
enum IdxType : byte { UInt8 = 0x08, Int8 = 0x09, Int16 = 0x0B, Int32 = 0x0C, Float32 = 0x0D, Float64 = 0x0E }

/// <summary>An IDX file, in which MNIST and its relatives are kept: 0, 0, type, number of axes, each extent as 32 bits,
/// elements in C order; all numbers big-endian
/// (yann.lecun.com/exdb/mnist). Mapped; one that gzip packed is unpacked into memory, as small as it is
/// stored.</summary>
sealed class IdxFile : IDisposable
{
    const int MaxAxes = 8;
    // Bytes in memory of a packed file: four times its own and a floor, which is smaller for labels because they become
    // integers; and never more than deflate can hold.
    const long MostUnpacked = 4, Floor = 12 << 20, LabelsFloor = 2 << 20, DensestDeflate = 1032;

    readonly MappedFile file;
    readonly int dataOffset;

    /// <exception cref="SaeException">It is missing or damaged, or its header lies.</exception>
    public IdxFile(string path) : this(new MappedFile(path)) { }

    internal IdxFile(MappedFile file)
    {
        this.file = file;
        Path = file.Path;
        try
        {
            if (file.Length >= 2 && file.Slice(0, 2) is [0x1f, 0x8b]) this.file = Unpack(file);
            (Type, Shape, dataOffset) =
                ReadHeader(this.file.Slice(0, (int)Math.Min(this.file.Length, 4 + 4 * MaxAxes)));
            var needed = dataOffset + Bytes(Type, Shape);
            if (needed != this.file.Length)
                throw Bad($"its shape [{string.Join(", ", Shape)}] needs {needed} bytes, it has {this.file.Length}; it "
                    + "is truncated or has a tail");
        }
        catch { Dispose(); throw; }
    }

    public string Path { get; }
    public IdxType Type { get; }

    /// <summary>Extents: [images, height, width] or [labels].</summary>
    public int[] Shape { get; }

    /// <summary>Of one element.</summary>
    public int ElementBytes => Width(Type);

    /// <summary>Whether a file of this name is one: …idx3-ubyte, .idx, with .gz or without.</summary>
    internal static bool IsNamed(string path)
    {
        var name = System.IO.Path.GetFileName(path);
        if (name.EndsWith(".gz", StringComparison.Ordinal)) name = name[..^3];
        return name.EndsWith(".idx", StringComparison.Ordinal)
            || (name.IndexOf("idx", StringComparison.Ordinal) is >= 0 and var at && at + 3 < name.Length
                && char.IsAsciiDigit(name[at + 3]));
    }

    /// <summary>Big-endian elements, from the <paramref name="first"/>-th on.</summary>
    public ReadOnlySpan<byte> Slice(long first, int count) =>
        file.Slice(dataOffset + first * ElementBytes, count * ElementBytes);

    /// <summary>Copies big-endian elements, from the <paramref name="first"/>-th on.</summary>
    internal void Read(long first, Span<byte> into) => file.Read(dataOffset + first * ElementBytes, into);

    /// <summary>Says that elements are read soon.</summary>
    internal void Expect(long first, int count) => file.Expect(dataOffset + first * ElementBytes, count * ElementBytes);

    /// <summary>Classes of images: all of a file [labels] of whole numbers.</summary>
    /// <exception cref="SaeException">It has another shape or type, or a negative label.</exception>
    public static int[] ReadLabels(string path)
    {
        using var file = new IdxFile(path);
        return file.Labels();
    }

    internal int[] Labels()
    {
        if (Shape.Length != 1) throw Bad($"its shape is [{string.Join(", ", Shape)}]; labels are one axis");
        var labels = new int[Shape[0]];
        for (var i = 0; i < labels.Length; i++)
        {
            var at = Slice(i, 1);
            labels[i] = Type switch
            {
                IdxType.UInt8 => at[0],
                IdxType.Int8 => (sbyte)at[0],
                IdxType.Int16 => BinaryPrimitives.ReadInt16BigEndian(at),
                IdxType.Int32 => BinaryPrimitives.ReadInt32BigEndian(at),
                _ => throw Bad($"its elements are {Type}; labels are whole numbers"),
            };
            if (labels[i] < 0) throw Bad($"label {i} is {labels[i]}; classes count from 0");
        }
        return labels;
    }

    (IdxType, int[], int) ReadHeader(ReadOnlySpan<byte> start)
    {
        if (start.Length < 4 || start[0] != 0 || start[1] != 0) throw Bad("it does not start as one");
        var (type, axes) = ((IdxType)start[2], start[3]);
        if (Width(type) == 0) throw Bad($"its element type 0x{start[2]:x2} is unknown");
        if (axes is 0 or > MaxAxes) throw Bad($"it has {axes} axes; 1 to {MaxAxes} are possible");
        if (start.Length < 4 + 4 * axes) throw Bad("it ends within its header");
        var shape = new int[axes];
        for (var axis = 0; axis < axes; axis++)
            shape[axis] = BinaryPrimitives.ReadUInt32BigEndian(start[(4 + 4 * axis)..]) is <= int.MaxValue
                and var extent
                ? (int)extent : throw Bad("it claims an impossible shape");
        return (type, shape, 4 + 4 * axes);
    }

    long Bytes(IdxType type, int[] shape)
    {
        var bytes = (Int128)Width(type);
        foreach (var extent in shape)
            if ((bytes *= extent) > long.MaxValue / 2) throw Bad("it claims an impossible shape");
        return (long)bytes;
    }

    static int Width(IdxType type) => type switch
    {
        IdxType.UInt8 or IdxType.Int8 => 1,
        IdxType.Int16 => 2,
        IdxType.Int32 or IdxType.Float32 => 4,
        IdxType.Float64 => 8,
        _ => 0,
    };

    /// <summary>All of a packed file, which its own header says the size of: nothing is taken for bytes that are not
    /// claimed, nor for more than a file of its size may claim.</summary>
    unsafe MappedFile Unpack(MappedFile packed)
    {
        if (packed.Length > int.MaxValue) throw Bad("it is packed and has more than 2 GiB; gunzip it first");
        fixed (byte* bytes = packed.Slice(0, (int)packed.Length))
        {
            using var stream = new GZipStream(new UnmanagedMemoryStream(bytes, packed.Length),
                CompressionMode.Decompress);
            try
            {
                var header = new byte[4 + 4 * MaxAxes];
                var got = stream.ReadAtLeast(header, 4, throwOnEndOfStream: false);
                if (got >= 4 && header[3] <= MaxAxes && 4 + 4 * header[3] is var whole && whole > got)
                    got += stream.ReadAtLeast(header.AsSpan(got), whole - got, throwOnEndOfStream: false);
                var (type, shape, offset) = ReadHeader(header.AsSpan(0, got));
                var length = offset + Bytes(type, shape);
                var most = Math.Min(MostUnpacked * packed.Length + (shape.Length > 1 ? Floor : LabelsFloor),
                    DensestDeflate * packed.Length);
                if (length > Math.Min(Array.MaxLength, most))
                    throw Bad($"it claims {length} bytes when unpacked, too many to hold for a file of "
                        + $"{packed.Length}; gunzip it first");
                if (length < got)
                    throw Bad($"its shape [{string.Join(", ", shape)}] needs {length} bytes; it has a tail");
                var content = new byte[length];
                header.AsSpan(0, got).CopyTo(content);
                if (stream.ReadAtLeast(content.AsSpan(got), content.Length - got,
                    throwOnEndOfStream: false) != content.Length - got
                    || stream.ReadByte() >= 0)
                    throw Bad($"it does not unpack to the {length} bytes that its shape [{string.Join(", ", shape)}] "
                        + "needs; it is truncated or has a tail");
                packed.Dispose();
                return new(packed.Path, content);
            }
            catch (InvalidDataException e)
            {
                throw new SaeException($"{Path} is not a usable IDX file: what gzip packed is damaged", e);
            }
        }
    }

    internal SaeException Bad(string why) => new($"{Path} is not a usable IDX file: {why}");

    public void Dispose() => file.Dispose();
}
