using CudaSae.Files;
using CudaSae.Numerics;

namespace CudaSae.Activations.Stores;

/// <summary>A matrix in a file of named tensors: safetensors, a chunk of OpenMOSS's cache ("activation", "tokens",
/// "mask"; Language-Model-SAEs),
/// or one of HoagyC's numbered chunks. Token ids are the tensor "tokens" or "token_ids".</summary>
sealed class TensorShard : IShard
{
    const string OpenMossName = "activation";

    readonly TensorFile file;
    readonly StoredTensor tensor;
    readonly TokenIds? tokens;
    readonly KeptRows? kept;
    readonly long stride;       // bytes between rows

    /// <param name="name">Of the matrix; null takes the only one, or "activations" or "activation".</param>
    public TensorShard(string path, string? name)
    {
        file = TensorFile.Open(path);
        try
        {
            tensor = Choose(name);
            var (rows, width) = Shards.Flatten($"{path}, tensor {tensor.Name},", tensor.Shape);
            (Width, Type) = (width, InputTypes.Of(tensor.Type)!.Value);
            stride = RowStride() * tensor.ElementBytes;
            tokens = OpenTokens(rows);
            kept = OpenMask(rows);
            Rows = kept?.Count ?? rows;
        }
        catch { file.Dispose(); throw; }
    }

    public string Path => file.Path;
    public long Rows { get; }
    public int Width { get; }
    public InputType Type { get; }
    public bool HasTokens => tokens is not null;

    int RowBytes => Width * Type.Bytes();

    public long Run(long i) => stride != RowBytes ? 1 : kept is null ? Rows - i : kept.Run(i);
    public void Read(long i, Span<byte> into) => file.Read(tensor, InFile(i) * stride, into);
    public void Expect(long i, int count) => file.Expect(tensor, InFile(i) * stride, (long)count * RowBytes);
    public int Token(long i) => tokens![InFile(i)];
    public string Locate(long i) => $"{Path}, row {InFile(i)}";

    long InFile(long i) => kept is null ? i : kept[i];

    StoredTensor Choose(string? name)
    {
        StoredTensor[] floats = [.. file.Tensors.Values.Where(t => t.Shape.Length >= 2
            && InputTypes.Of(t.Type) is not null)];
        StoredTensor? Named(string wanted) => floats.FirstOrDefault(t => t.Name == wanted);
        StoredTensor[] matrices = [.. floats.Where(t => t.Shape.Length == 2)];
        var chosen = name is not null ? Named(name)
            : floats.Length == 1 ? floats[0]
            : Named("activations") ?? Named(OpenMossName) ?? (matrices.Length == 1 ? matrices[0] : null);
        return chosen
            ?? throw new SaeException($"{Path} has no matrix {name ?? "activations"} of F32, F16 or BF16; it holds "
                + $"{string.Join(", ", file.Tensors.Values.Take(8).Select(t => $"{t.Name} ({t.Type})"))}: choose one "
                + "with --tensor");
    }

    long RowStride()
    {
        if (tensor.Strides is not { } strides) return Width;
        var regular = strides[^1] == 1 || Width == 1;
        long step = -1, rows = 1;       // of the axes before the last, which must lie as one axis of rows would
        for (var axis = strides.Length - 2; axis >= 0; axis--)
        {
            if (tensor.Shape[axis] == 1) continue;
            if (step < 0) step = strides[axis];
            regular &= strides[axis] == step * rows;
            rows *= tensor.Shape[axis];
        }
        return regular ? Math.Max(step, 0)
            : throw file.Bad($"tensor {tensor.Name} is stored with strides [{string.Join(", ", strides)}], its rows "
                + "not one after another; save it after .contiguous()");
    }

    TokenIds? OpenTokens(long rows)
    {
        if (!file.Tensors.TryGetValue("tokens", out var ids) && !file.Tensors.TryGetValue("token_ids", out ids))
            return null;
        RequirePlain(ids);
        return TokenIds.Of($"{Path}, tensor {ids.Name},", ids.Type, Shards.Count(ids.Shape), rows,
            (offset, into) => file.Read(ids, offset, into));
    }

    /// <summary>OpenMOSS keeps only the rows whose mask is set: the others are padding and special tokens.</summary>
    KeptRows? OpenMask(long rows)
    {
        if (tensor.Name != OpenMossName || !file.Tensors.TryGetValue("mask", out var mask)) return null;
        RequirePlain(mask);
        if (InputTypes.Of(mask.Type) is not null || Shards.Count(mask.Shape) != rows)
            throw file.Bad($"its mask is {mask.Type} [{string.Join(", ", mask.Shape)}]; one truth value a row was "
                + $"expected, {rows} in all");
        var read = KeptRows.Of(rows, mask.ElementBytes, (offset, into) => file.Read(mask, offset, into));
        return read.Count == rows ? null : read;
    }

    void RequirePlain(StoredTensor beside)
    {
        if (beside.Strides is not null)
            throw file.Bad($"tensor {beside.Name} is stored with strides [{string.Join(", ", beside.Strides)}]; save "
                + "it after .contiguous()");
    }

    public void Dispose() => file.Dispose();
}
