using System.IO.Compression;
using CudaSae.Files.Zip;

namespace CudaSae.Files;

/// <summary>numpy's .npz: a zip of .npy arrays, each a tensor of its member's name without the ending. Members of
/// np.savez stay mapped; those of np.savez_compressed are inflated into memory,
/// together at most four times the file. Arrays in Fortran order keep their order as strides.</summary>
sealed class NpzFile : TensorFile
{
    const string Ending = ".npy";
    readonly MappedFile file;
    readonly Dictionary<string, StoredTensor> tensors = [];
    readonly Dictionary<string, byte[]> inflated = [];      // compressed members by their tensors' names

    public NpzFile(string path) : this(new MappedFile(path)) { }

    internal NpzFile(MappedFile file)
    {
        this.file = file;
        try { Read(); }
        catch { file.Dispose(); throw; }
    }

    public override string Path => file.Path;
    public override IReadOnlyDictionary<string, StoredTensor> Tensors => tensors;

    public override ReadOnlySpan<byte> Slice(StoredTensor tensor, long offset, int length)
    {
        var start = tensor.Offset + Within(tensor, offset, length);
        return inflated.TryGetValue(tensor.Name, out var bytes) ? bytes.AsSpan((int)start, length)
            : file.Slice(start, length);
    }

    public override void Read(StoredTensor tensor, long offset, Span<byte> into)
    {
        if (inflated.ContainsKey(tensor.Name)) base.Read(tensor, offset, into);
        else file.Read(tensor.Offset + Within(tensor, offset, into.Length), into);
    }

    internal static bool IsArray(string member) => member.EndsWith(Ending, StringComparison.Ordinal);

    /// <summary>An element type by numpy's name; null if it has no counterpart.</summary>
    internal static string? TypeOf(string descr) => Types.FirstOrDefault(t => t.Descr == descr).Type;

    /// <summary>numpy's name of an element type; null if it has none.</summary>
    internal static string? DescrOf(string type) => Types.FirstOrDefault(t => t.Type == type).Descr;

    static readonly (string Descr, string Type)[] Types =
    [
        ("<f8", "F64"), ("<f4", "F32"), ("<f2", "F16"), ("<i8", "I64"), ("<i4", "I32"), ("<i2", "I16"), ("|i1", "I8"),
        ("<u8", "U64"), ("<u4", "U32"), ("<u2", "U16"), ("|u1", "U8"), ("|b1", "BOOL"),
    ];

    void Read()
    {
        if (!ZipDirectory.Begins(file)) throw Bad("it does not start as a zip archive");
        var arrays = ZipDirectory.Read(file, Bad).Where(m => IsArray(m.Name)).ToArray();
        if (arrays.Length == 0) throw Bad("it holds no array");
        Int128 unpacked = 0;
        foreach (var member in arrays.Where(m => m.Deflated)) unpacked += member.Bytes;
        if (unpacked > 4 * (Int128)file.Length)
            throw Bad($"its members claim {unpacked} bytes when inflated, more than four times the file; save it again "
                + "with numpy.savez");
        foreach (var member in arrays) Add(member, member.Name[..^Ending.Length]);
    }

    void Add(ZipMember member, string name)
    {
        var unpacked = member.Deflated ? Inflate(member) : null;
        var content = unpacked ?? file.Slice(member.Offset, (int)Math.Min(member.Bytes, NpyFile.MaxHeaderBytes));
        var header = NpyFile.ReadHeader(content, why => Bad($"its member {member.Name} is no array: {why}"));
        var type = TypeOf(header.Descr)
            ?? throw Bad($"its array {name} has elements {Shown(header.Descr)}; "
                + $"{string.Join(", ", Types.Select(t => t.Descr))} are read");
        if (header.Shape.Length > 64) throw Bad($"its array {name} has {header.Shape.Length} axes; numpy allows 64");
        Int128 bytes = WidthOf(type);
        foreach (var extent in header.Shape)
            if ((bytes *= extent) > long.MaxValue) throw Bad($"its array {name} claims an impossible shape");
        if (header.DataOffset + bytes != member.Bytes)
            throw Bad($"its array {name}, shape [{string.Join(", ", header.Shape)}], needs {header.DataOffset + bytes} "
                + $"bytes, its member has {member.Bytes}");
        tensors.Add(name,
            new(name, type, header.Shape, header.DataOffset + (unpacked is null ? member.Offset : 0), (long)bytes)
            {
                Strides = header.FortranOrder ? FirstAxisFastest(header.Shape) : null
            });
        if (unpacked is not null) inflated.Add(name, unpacked);
    }

    /// <summary>Strides of Fortran order; null where C order is the same.</summary>
    static long[]? FirstAxisFastest(long[] shape)
    {
        if (shape.Count(e => e > 1) < 2 || shape.Contains(0)) return null;
        var strides = new long[shape.Length];
        long stride = 1;
        for (var axis = 0; axis < shape.Length; axis++) (strides[axis], stride) = (stride, stride * shape[axis]);
        return strides;
    }

    /// <summary>A compressed member's content. Stops at the claimed size.</summary>
    unsafe byte[] Inflate(ZipMember member)
    {
        if (member.Bytes > Array.MaxLength || member.StoredBytes > int.MaxValue)
            throw Bad($"its compressed member {member.Name} claims {member.Bytes} bytes; save it with numpy.savez");
        var content = new byte[member.Bytes];
        fixed (byte* packed = file.Slice(member.Offset, (int)member.StoredBytes))
        {
            using var stream = new DeflateStream(new UnmanagedMemoryStream(packed, member.StoredBytes),
                CompressionMode.Decompress);
            try
            {
                if (stream.ReadAtLeast(content, content.Length, throwOnEndOfStream: false) != content.Length
                    || stream.ReadByte() >= 0)
                    throw Bad($"its compressed member {member.Name} does not inflate to the {member.Bytes} bytes it "
                        + "claims");
            }
            catch (InvalidDataException) { throw Bad($"its compressed member {member.Name} is damaged"); }
        }
        return Crc32.Append(0, content) == member.Crc ? content
            : throw Bad($"the checksum of its member {member.Name} is wrong; it is damaged");
    }

    protected internal override SaeException Bad(string why) => new($"{Path} is not a usable .npz file: {why}");

    public override void Dispose() => file.Dispose();
}
