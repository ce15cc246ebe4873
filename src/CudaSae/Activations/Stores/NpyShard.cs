using CudaSae.Files;
using CudaSae.Numerics;

namespace CudaSae.Activations.Stores;

/// <summary>A .npy matrix; token ids in x.tokens.npy beside x.npy.</summary>
sealed class NpyShard : IShard
{
    readonly MappedFile file;
    readonly long dataOffset;
    readonly TokenIds? tokens;
    MappedFile? tokenFile;

    public NpyShard(string path) : this(new MappedFile(path)) { }

    internal NpyShard(MappedFile file)
    {
        this.file = file;
        try
        {
            var header = NpyFile.ReadHeader(file);
            Type = header.Descr switch
            {
                "<f4" => InputType.Float32,
                "<f2" => InputType.Float16,
                _ => throw NpyFile.Bad(file, $"its element type is {header.Descr}; '<f4' and '<f2' are read"),
            };
            RequireLength(file, header, Type.Bytes());
            (Rows, Width) = Shards.Flatten(Path, header.Shape);
            dataOffset = header.DataOffset;
            tokens = OpenTokens(System.IO.Path.ChangeExtension(Path, FileFormat.Tokens));
        }
        catch { Dispose(); throw; }
    }

    public string Path => file.Path;
    public long Rows { get; }
    public int Width { get; }
    public InputType Type { get; }
    public bool HasTokens => tokens is not null;
    public string? Site => SiteNote.Read(Path);

    int RowBytes => Width * Type.Bytes();

    public long Run(long i) => Rows - i;
    public void Read(long i, Span<byte> into) => file.Read(dataOffset + i * RowBytes, into);
    public void Expect(long i, int count) => file.Expect(dataOffset + i * RowBytes, (long)count * RowBytes);

    public int Token(long i) => tokens![i];

    TokenIds? OpenTokens(string path)
    {
        if (!File.Exists(path)) return null;
        tokenFile = new(path);
        var header = NpyFile.ReadHeader(tokenFile);
        var type = header.Descr switch
        {
            "<i8" => "I64",
            "<i4" => "I32",
            "<i2" => "I16",
            "<u4" => "U32",
            "<u2" => "U16",
            var other => other
        };
        if (TensorFile.WidthOf(type) is > 0 and var bytes) RequireLength(tokenFile, header, bytes);
        return TokenIds.Of(path, type, Shards.Count(header.Shape), Rows,
            (offset, into) => tokenFile.Read(header.DataOffset + offset, into));
    }

    static void RequireLength(MappedFile file, NpyFile.Header header, int elementBytes)
    {
        var needed = (Int128)elementBytes;
        foreach (var extent in header.Shape)
            if ((needed *= extent) > long.MaxValue) throw NpyFile.Bad(file, "it claims an impossible shape");
        needed += header.DataOffset;
        if (needed != file.Length)
            throw NpyFile.Bad(file,
                $"its shape needs {needed} bytes, it has {file.Length}; it is truncated or has a tail");
    }

    public void Dispose()
    {
        file.Dispose();
        tokenFile?.Dispose();
    }
}
