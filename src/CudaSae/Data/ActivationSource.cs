namespace CudaSae.Data;

/// <summary>Activation vectors in .npy or .safetensors shards, memory-mapped: row i of the whole, in the shards' order. All shards
/// have one width and one element type (f32, f16 or bf16).</summary>
public sealed class ActivationSource : IDisposable
{
    readonly List<Shard> shards = [];

    ActivationSource[] joined = [];             // sources side by side, instead of shards
    [ThreadStatic] static byte[]? joinedRow;

    sealed record Shard(string Path, IDisposable Owner, Func<long, int, ReadOnlySpan<byte>> Slice, long FirstRow, long Rows);

    ActivationSource() { }

    public long Rows { get; private set; }
    public int Width { get; private set; }              // d
    public InputType Type { get; private set; }
    public int RowBytes => Width * Type.Bytes();
    public IEnumerable<string> Paths => shards.Select(s => s.Path).Concat(joined.SelectMany(j => j.Paths));

    /// <summary>Sources side by side: row i is row i of each, one behind the other. A transcoder's input and target, or a crosscoder's sites. The result owns them.</summary>
    /// <exception cref="SaeException">They differ in rows or element type.</exception>
    public static ActivationSource Join(params ActivationSource[] sources)
    {
        foreach (var other in sources)
        {
            var (name, first) = (other.Paths.First(), sources[0].Paths.First());
            if (other.Rows != sources[0].Rows) throw new SaeException($"{name} holds {other.Rows} rows but {first} {sources[0].Rows}; rows of both must be those of the same tokens");
            if (other.Type != sources[0].Type) throw new SaeException($"{name} holds {other.Type} but {first} {sources[0].Type}; both must agree");
        }
        return new() { joined = sources, Rows = sources[0].Rows, Width = sources.Sum(s => s.Width), Type = sources[0].Type };
    }

    /// <summary>Opens files, or all .npy and .safetensors files of folders in the order of their names.</summary>
    /// <param name="tensor">Name of the tensor in safetensors files; null takes the only two-dimensional one, or "activations".</param>
    /// <exception cref="SaeException">A file is missing, malformed, or unlike the first.</exception>
    public static ActivationSource Open(IEnumerable<string> paths, string? tensor = null)
    {
        var source = new ActivationSource();
        try
        {
            foreach (var path in paths.SelectMany(Expand)) source.Add(path, tensor);
            if (source.shards.Count == 0) throw new SaeException("no activation files were given; name .npy or .safetensors files, or a folder of them");
            if (source.Rows == 0) throw new SaeException($"{source.shards[0].Path} holds no rows");
            return source;
        }
        catch
        {
            source.Dispose();
            throw;
        }
    }

    /// <summary>Rows that lie in memory; they are not copied.</summary>
    /// <param name="rows">[rows, width] contiguous, in the machine's byte order.</param>
    public static ActivationSource Of(ReadOnlyMemory<byte> rows, int width, InputType type)
    {
        var count = rows.Length / (width * type.Bytes());
        if (count == 0 || count * width * type.Bytes() != rows.Length) throw new SaeException($"{rows.Length} bytes are not whole rows of {width} numbers of {type}");
        var source = new ActivationSource { Width = width, Type = type, Rows = count };
        source.shards.Add(new("memory", new MemoryStream(), (offset, length) => rows.Span.Slice((int)offset, length), 0, count));
        return source;
    }

    static IEnumerable<string> Expand(string path)
    {
        if (!Directory.Exists(path)) return [path];
        var files = Directory.GetFiles(path).Where(f => f.EndsWith(".npy", StringComparison.Ordinal) || f.EndsWith(".safetensors", StringComparison.Ordinal)).Order(StringComparer.Ordinal).ToArray();
        return files.Length > 0 ? files : throw new SaeException($"folder {path} holds no .npy or .safetensors file");
    }

    void Add(string path, string? tensor)
    {
        if (!File.Exists(path)) throw new SaeException($"{path} does not exist");
        var (owner, slice, shape, type) = path.EndsWith(".npy", StringComparison.Ordinal) ? OpenNpy(path)
            : path.EndsWith(".safetensors", StringComparison.Ordinal) ? OpenSafetensors(path, tensor)
            : throw new SaeException($"{path} is neither .npy nor .safetensors; convert it to one of these");
        var shard = new Shard(path, owner, slice, Rows, shape[0]);
        shards.Add(shard);
        if (shards.Count == 1) (Width, Type) = (checked((int)shape[1]), type);
        else if (shape[1] != Width) throw new SaeException($"{path} is {shape[1]} wide but {shards[0].Path} is {Width}; all shards must agree");
        else if (type != Type) throw new SaeException($"{path} holds {type} but {shards[0].Path} holds {Type}; all shards must agree");
        Rows += shape[0];
    }

    static (IDisposable, Func<long, int, ReadOnlySpan<byte>>, long[], InputType) OpenNpy(string path)
    {
        var file = new MappedFile(path);
        try
        {
            var header = NpyFile.ReadHeader(file);
            var type = header.Descr switch
            {
                "<f4" => InputType.Float32,
                "<f2" => InputType.Float16,
                _ => throw NpyFile.Bad(file, $"its element type is {header.Descr}; '<f4' and '<f2' are read"),
            };
            Check(path, header.Shape);
            var needed = (Int128)header.Shape[0] * header.Shape[1] * type.Bytes() + header.DataOffset;
            if (needed != file.Length) throw NpyFile.Bad(file, $"its shape needs {needed} bytes, it has {file.Length}; it is truncated or has a tail");
            return (file, (offset, length) => file.Slice(header.DataOffset + offset, length), header.Shape, type);
        }
        catch { file.Dispose(); throw; }
    }

    static (IDisposable, Func<long, int, ReadOnlySpan<byte>>, long[], InputType) OpenSafetensors(string path, string? name)
    {
        var file = new SafetensorsFile(path);
        try
        {
            var matrices = file.Tensors.Values.Where(t => t.Shape.Length == 2 && t.Type is "F32" or "F16" or "BF16").ToArray();
            var tensor = name is not null ? matrices.FirstOrDefault(t => t.Name == name)
                : matrices.Length == 1 ? matrices[0] : matrices.FirstOrDefault(t => t.Name == "activations");
            if (tensor is null) throw new SaeException($"{path} has no matrix {name ?? "activations"}; it holds {string.Join(", ", file.Tensors.Keys.Take(8))}: choose one with --tensor");
            Check(path, tensor.Shape);
            var type = tensor.Type switch { "F32" => InputType.Float32, "F16" => InputType.Float16, _ => InputType.BFloat16 };
            return (file, (offset, length) => file.Slice(tensor, offset, length), tensor.Shape, type);
        }
        catch { file.Dispose(); throw; }
    }

    static void Check(string path, long[] shape)
    {
        if (shape.Length != 2) throw new SaeException($"{path} has shape [{string.Join(", ", shape)}]; activations are a matrix [rows, width]");
        if (shape[1] is < 1 or > 16384) throw new SaeException($"{path} is {shape[1]} wide; 1 to 16384 is possible");
    }

    /// <summary>The raw bytes of row <paramref name="i"/>; of joined sources a copy that the thread's next call overwrites.</summary>
    public ReadOnlySpan<byte> Row(long i)
    {
        if (joined.Length > 0) return JoinedRow(i);
        var shard = Find(i);
        return shard.Slice((i - shard.FirstRow) * RowBytes, RowBytes);
    }

    ReadOnlySpan<byte> JoinedRow(long i)
    {
        if (joinedRow is null || joinedRow.Length < RowBytes) joinedRow = new byte[RowBytes];
        var at = 0;
        foreach (var source in joined)
        {
            source.Row(i).CopyTo(joinedRow.AsSpan(at));
            at += source.RowBytes;
        }
        return joinedRow.AsSpan(0, RowBytes);
    }

    /// <summary>File and row within it, for messages.</summary>
    public string Locate(long i)
    {
        if (joined.Length > 0) return string.Join(" or ", joined.Select(s => s.Locate(i)));
        var shard = Find(i);
        return $"{shard.Path}, row {i - shard.FirstRow}";
    }

    Shard Find(long i)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((ulong)i, (ulong)Rows, nameof(i));
        int low = 0, high = shards.Count - 1;
        while (low < high)
        {
            var middle = (low + high + 1) / 2;
            if (shards[middle].FirstRow <= i) low = middle;
            else high = middle - 1;
        }
        return shards[low];
    }

    /// <summary>Row <paramref name="i"/> as float32.</summary>
    public void ReadRow(long i, Span<float> into)
    {
        var bytes = Row(i);
        for (var c = 0; c < Width; c++)
            into[c] = Type switch
            {
                InputType.Float32 => BitConverter.ToSingle(bytes[(4 * c)..]),
                InputType.Float16 => (float)BitConverter.ToHalf(bytes[(2 * c)..]),
                _ => BitConverter.UInt32BitsToSingle((uint)BitConverter.ToUInt16(bytes[(2 * c)..]) << 16),
            };
    }

    public void Dispose()
    {
        foreach (var shard in shards) shard.Owner.Dispose();
        shards.Clear();
        foreach (var source in joined) source.Dispose();
        joined = [];
    }
}
