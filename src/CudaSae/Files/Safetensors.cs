using System.Buffers.Binary;
using System.Text.Json;
using CudaSae.Text;

namespace CudaSae.Files;

/// <summary>A safetensors file, mapped. Headers with wrong sizes, overlaps, gaps, or shapes that do not match their
/// bytes are refused. Layout: u64 header length, JSON header, data (huggingface/safetensors).</summary>
sealed class SafetensorsFile : TensorFile
{
    const long MaxHeaderBytes = 100_000_000;
    const int BytesAPart = 80;      // in memory, for one part of the JSON and the tensors made from it
    readonly MappedFile file;
    readonly Dictionary<string, StoredTensor> tensors;
    Dictionary<string, string> metadata = [];

    public SafetensorsFile(string path) : this(new MappedFile(path)) { }

    internal SafetensorsFile(MappedFile file)
    {
        this.file = file;
        try { tensors = Read(); }
        catch (JsonException e) { file.Dispose(); throw Bad($"its header is not JSON ({e.Message.Split('.')[0]})"); }
        catch (InvalidOperationException) { file.Dispose(); throw Bad("its header holds text that is not UTF-8"); }
        catch { file.Dispose(); throw; }
    }

    public override string Path => file.Path;
    public override IReadOnlyDictionary<string, StoredTensor> Tensors => tensors;
    public override IReadOnlyDictionary<string, string> Metadata => metadata;

    public override ReadOnlySpan<byte> Slice(StoredTensor tensor, long offset, int length) =>
        file.Slice(tensor.Offset + Within(tensor, offset, length), length);
    public override void Read(StoredTensor tensor, long offset, Span<byte> into) =>
        file.Read(tensor.Offset + Within(tensor, offset, into.Length), into);
    internal override void Expect(StoredTensor tensor, long offset, long length) =>
        file.Expect(tensor.Offset + Within(tensor, offset, length), length);

    Dictionary<string, StoredTensor> Read()
    {
        if (file.Length < 8) throw Bad($"it has {file.Length} bytes, too few for a header");
        var headerBytes = BinaryPrimitives.ReadUInt64LittleEndian(file.Slice(0, 8));
        if (headerBytes > MaxHeaderBytes || (long)headerBytes > file.Length - 8)
            throw Bad($"its header claims {headerBytes} bytes of the file's {file.Length}; it is truncated or not a "
                + "safetensors file");
        var dataStart = 8 + (long)headerBytes;
        JsonBudget.Check(file.Slice(8, (int)headerBytes), BytesAPart, file.Length, Bad);
        using var header = JsonDocument.Parse(file.Slice(8, (int)headerBytes).ToArray());
        if (header.RootElement.ValueKind != JsonValueKind.Object) throw Bad("its header is not a JSON object");
        var tensors = new Dictionary<string, StoredTensor>();
        foreach (var entry in header.RootElement.EnumerateObject())
        {
            var name = entry.Name;      // each access allocates a new text
            if (name.Length > MaxNameLength)
                throw Bad($"a tensor's name has {name.Length} characters; {MaxNameLength} are possible");
            if (name == "__metadata__") metadata = ReadMetadata(entry.Value);
            else if (!tensors.TryAdd(name, ReadTensor(name, entry.Value, dataStart)))
                throw Bad($"tensor {name} occurs twice");
        }
        var end = dataStart;
        foreach (var tensor in tensors.Values.OrderBy(t => t.Offset).ThenBy(t => t.Bytes))
        {
            if (tensor.Offset != end)
                throw Bad($"tensor {tensor.Name} starts at byte {tensor.Offset}, {end} was expected: tensors overlap "
                    + "or leave gaps");
            end += tensor.Bytes;
        }
        if (end != file.Length)
            throw Bad($"its header describes {end} bytes, the file has {file.Length}; it is truncated or has a tail");
        return tensors;
    }

    Dictionary<string, string> ReadMetadata(JsonElement element)
    {
        if (element.ValueKind != JsonValueKind.Object) throw Bad("its __metadata__ is not an object");
        var metadata = new Dictionary<string, string>();
        foreach (var pair in element.EnumerateObject()) metadata[pair.Name] = pair.Value.ToString();
        return metadata;
    }

    StoredTensor ReadTensor(string name, JsonElement value, long dataStart)
    {
        if (value.ValueKind != JsonValueKind.Object || !value.TryGetProperty("dtype", out var type)
            || type.ValueKind != JsonValueKind.String
            || !value.TryGetProperty("shape", out var shape) || shape.ValueKind != JsonValueKind.Array
            || !value.TryGetProperty("data_offsets", out var offsets) || offsets.ValueKind != JsonValueKind.Array
            || offsets.GetArrayLength() != 2)
            throw Bad($"tensor {name} lacks dtype, shape or data_offsets");
        var extents = shape.EnumerateArray().Select(e => Whole(e, name)).ToArray();
        long start = Whole(offsets[0], name), end = Whole(offsets[1], name);
        var bytes = (UInt128)Width(type.GetString()!, name);
        foreach (var extent in extents)
            if ((bytes *= (UInt128)extent) > long.MaxValue) throw Bad($"tensor {name} claims an impossible shape");
        if (end < start || (UInt128)(end - start) != bytes || dataStart + end > file.Length || dataStart + end < 0)
            throw Bad($"tensor {name} claims bytes {start} to {end}, its shape needs {bytes} and the file has "
                + $"{file.Length - dataStart}");
        return new(name, type.GetString()!, extents, dataStart + start, end - start);
    }

    long Whole(JsonElement e, string name) =>
        e.ValueKind == JsonValueKind.Number && e.TryGetInt64(out var whole) && whole >= 0 ? whole
            : throw Bad($"tensor {name} has a number that is not a size: {e}");

    int Width(string type, string name) =>
        WidthOf(type) is > 0 and var width ? width : throw Bad($"tensor {name} has the unknown type {type}");

    protected internal override SaeException Bad(string why) => new($"{Path} is not a usable safetensors file: {why}");

    public override void Dispose() => file.Dispose();
}

/// <summary>Writes safetensors: tensors in the order of their names, and a header that is padded with spaces to 8
/// bytes.</summary>
static class SafetensorsWriter
{
    /// <summary>Writes atomically. The content of each tensor is produced while it is written, so no large tensor is
    /// copied.</summary>
    public static void Write(string path, IEnumerable<TensorToWrite> tensors,
        IReadOnlyDictionary<string, string>? metadata = null)
    {
        var ordered = Ordered(tensors);
        AtomicFile.Write(path, stream => WriteContent(stream, ordered, metadata));
    }

    /// <summary>Writes as <see cref="Write"/>.</summary>
    /// <returns>The size of the file, and the CRC-32 of its bytes.</returns>
    public static (long Bytes, uint Checksum) WriteSummed(string path, IEnumerable<TensorToWrite> tensors,
        IReadOnlyDictionary<string, string>? metadata = null)
    {
        var (ordered, written) = (Ordered(tensors), (0L, 0u));
        AtomicFile.Write(path, stream =>
        {
            using var summed = new SummedStream(stream);
            WriteContent(summed, ordered, metadata);
            written = (summed.Length, summed.Checksum);
        });
        return written;
    }

    static TensorToWrite[] Ordered(IEnumerable<TensorToWrite> tensors) =>
        [.. tensors.OrderBy(t => t.Name, StringComparer.Ordinal)];

    static void WriteContent(Stream stream, TensorToWrite[] tensors, IReadOnlyDictionary<string, string>? metadata)
    {
        stream.Write(Header(tensors, metadata));
        foreach (var tensor in tensors)
        {
            var start = stream.Position;
            tensor.Content(stream);
            if (stream.Position - start != tensor.Bytes)
                throw new InvalidOperationException($"tensor {tensor.Name} wrote {stream.Position - start} bytes "
                    + $"of {tensor.Bytes}");
        }
    }

    static byte[] Header(TensorToWrite[] tensors, IReadOnlyDictionary<string, string>? metadata)
    {
        using var memory = new MemoryStream();
        memory.Write(new byte[8]);
        using (var json = new Utf8JsonWriter(memory))
        {
            json.WriteStartObject();
            if (metadata is not null)
            {
                json.WriteStartObject("__metadata__");
                foreach (var (key, value) in metadata) json.WriteString(key, value);
                json.WriteEndObject();
            }
            long offset = 0;
            foreach (var tensor in tensors)
            {
                json.WriteStartObject(tensor.Name);
                json.WriteString("dtype", tensor.Type);
                json.WriteStartArray("shape");
                foreach (var extent in tensor.Shape) json.WriteNumberValue(extent);
                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(offset);
                json.WriteNumberValue(offset += tensor.Bytes);
                json.WriteEndArray();
                json.WriteEndObject();
            }
            json.WriteEndObject();
        }
        while (memory.Length % 8 != 0) memory.WriteByte((byte)' ');
        var header = memory.ToArray();
        BinaryPrimitives.WriteUInt64LittleEndian(header, (ulong)header.Length - 8);
        return header;
    }
}
