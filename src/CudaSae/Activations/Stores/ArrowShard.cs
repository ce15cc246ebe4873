using CudaSae.Files;
using CudaSae.Files.Arrow;
using CudaSae.Numerics;

namespace CudaSae.Activations.Stores;

/// <summary>One .arrow file of a HuggingFace dataset, as SAELens caches activations: a column named after the hook,
/// Array2D (context, d) of float16 or
/// float32, and token_ids, int32 lists. A batch's numbers are contiguous, so that a row is one read.</summary>
sealed class ArrowShard : IShard
{
    readonly ArrowStream stream;
    readonly List<long> firstRows = [], offsets = [], tokenOffsets = [];     // of each batch that is not empty
    readonly TokenIds? tokens;
    readonly int tokenBytes;

    /// <param name="name">Of the column; null takes the only one of lists of floats.</param>
    public ArrowShard(string path, string? name) : this(new MappedFile(path), name) { }

    internal ArrowShard(MappedFile file, string? name)
    {
        stream = new(file);
        try
        {
            var column = Choose(name);
            (Type, Site) = (InputTypes.Of(column.Leaf.Element!)!.Value, column.Name);
            var ids = stream.Columns.FirstOrDefault(c => c is { Name: "token_ids" or "tokens", IsList: true });
            foreach (var batch in stream.Batches.Where(b => b.Length != 0)) Add(batch, column, ids);
            if (ids is null) return;
            tokenBytes = TensorFile.WidthOf(ids.Leaf.Element ?? "");
            tokens = TokenIds.Of($"{Path}, column {ids.Name},", ids.Leaf.Element ?? "no integer", Rows, Rows,
                ReadToken);
        }
        catch { stream.Dispose(); throw; }
    }

    public string Path => stream.Path;
    public long Rows { get; private set; }
    public int Width { get; private set; }
    public InputType Type { get; }
    public bool HasTokens => tokens is not null;
    public string? Site { get; }

    ArrowField Choose(string? name)
    {
        ArrowField[] floats = [.. stream.Columns.Where(c => c.IsList
            && InputTypes.Of(c.Leaf.Element ?? "") is not null)];
        var chosen = name is not null ? floats.FirstOrDefault(c => c.Name == name) : floats.Length == 1 ? floats[0]
            : null;
        return chosen
            ?? throw stream.Bad($"it has {(name is null ? "not one column" : $"no column {name}")} of lists of float16 "
                + "or float32; it holds "
                + $"{string.Join(", ", stream.Columns.Take(8).Select(c => $"{c.Name} ({c.Leaf.Element ?? "other"})"))}: choose one with --tensor");
    }

    void Add(ArrowBatch batch, ArrowField column, ArrowField? ids)
    {
        var values = ArrowColumn.Of(stream, batch, column);
        var (rows, width) = Shards.Flatten($"{Path}, column {column.Name},", values.Shape);
        if (firstRows.Count > 0 && width != Width)
            throw stream.Bad($"column {column.Name} is {Width} wide and then {width}");
        if (ids?.Leaf.Element is not null)
        {
            var beside = ArrowColumn.Of(stream, batch, ids);
            if (!beside.Shape.AsSpan().SequenceEqual(values.Shape.AsSpan(..^1)))
                throw stream.Bad($"column {ids.Name} is [{string.Join(", ", beside.Shape)}] beside "
                    + $"[{string.Join(", ", values.Shape)}] of {column.Name}; there must be one token id a row");
            tokenOffsets.Add(beside.Offset);
        }
        firstRows.Add(Rows);
        offsets.Add(values.Offset);
        (Width, Rows) = (width, Rows + rows);
    }

    int RowBytes => Width * Type.Bytes();

    public long Run(long i) =>
        Shards.Find(firstRows, i) + 1 is var next && next < firstRows.Count ? firstRows[next] - i : Rows - i;
    public void Read(long i, Span<byte> into) => stream.Read(Place(i), into);
    public void Expect(long i, int count) => stream.Expect(Place(i), (long)count * RowBytes);

    long Place(long i)
    {
        var batch = Shards.Find(firstRows, i);
        return offsets[batch] + (i - firstRows[batch]) * RowBytes;
    }

    /// <summary>Of one token id: <paramref name="offset"/> counts through all batches.</summary>
    void ReadToken(long offset, Span<byte> into)
    {
        var row = offset / tokenBytes;
        var batch = Shards.Find(firstRows, row);
        stream.Read(tokenOffsets[batch] + (row - firstRows[batch]) * tokenBytes, into);
    }

    public int Token(long i) => tokens![i];
    public void Dispose() => stream.Dispose();
}
