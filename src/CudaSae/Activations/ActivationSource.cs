using System.Buffers;
using CudaSae.Activations.Stores;
using CudaSae.Files;
using CudaSae.Numerics;

namespace CudaSae.Activations;

/// <summary>Activation vectors in memory-mapped files; rows are numbered through all files in their order. The files
/// may have the formats of this project (.npy, .safetensors) or be another project's store, which <see cref="Store"/>
/// recognizes. All shards have the same width and element type (f32, f16 or bf16).</summary>
sealed class ActivationSource : IDisposable
{
    readonly List<IShard> shards = [];
    readonly List<long> firstRows = [];         // index of each shard's first row

    readonly FolderNotes notes = new();

    ActivationSource[] joined = [];             // sources side by side, in place of shards
    [ThreadStatic] static byte[]? oneRow;

    ActivationSource() { }

    /// <summary>Number of rows.</summary>
    public long Rows { get; private set; }
    public int Width { get; private set; }              // d, columns of a row
    public InputType Type { get; private set; }
    /// <summary>Bytes of a row.</summary>
    public int RowBytes => Width * Type.Bytes();
    /// <summary>Returns whether so many rows may not all stay in the memory of the machine.</summary>
    public bool ExceedsMemory(long rows) =>
        (double)rows * RowBytes > GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 2.0;
    /// <summary>Paths of the files, in their order.</summary>
    public IEnumerable<string> Paths => shards.Select(s => s.Path).Concat(joined.SelectMany(j => j.Paths));

    /// <summary>Files and folders inside the opened folders that are not read; docs/reference/formats.md lists the
    /// reasons.</summary>
    public IReadOnlyList<LeftOutFile> LeftOut =>
        joined.Length > 0 ? [.. joined.SelectMany(j => j.LeftOut)] : notes.LeftOut;

    /// <summary>Remarks for the user, one per line: files of a folder that are not read and the reason, numbers that
    /// are missing in file names, and token ids that only some of the files have.</summary>
    public IEnumerable<string> Remarks => [.. joined.SelectMany(j => j.Remarks), .. notes.Lines, .. PartialTokens];

    IEnumerable<string> PartialTokens => HasTokens || !shards.Any(s => s.HasTokens) ? []
        : [$"token ids are left out: {TensorFile.Shown(shards.First(s => !s.HasTokens && s.Rows > 0).Path)} has none"];

    /// <summary>The files with the row at which each begins; for joined sources, those of the first source, then those
    /// of the second, and so on.</summary>
    internal IEnumerable<(string Path, long FirstRow, long Rows)> Files =>
        shards.Select((shard, i) => (shard.Path, firstRows[i], shard.Rows)).Concat(joined.SelectMany(j => j.Files));

    /// <summary>Joins sources side by side: row i consists of row i of each source. The sources are a transcoder's
    /// input and target, or a crosscoder's sites. The result owns them.</summary>
    /// <exception cref="SaeException">The sources differ in the number of rows, in element type or, for some of the
    /// rows, in token ids.</exception>
    public static ActivationSource Join(params ActivationSource[] sources)
    {
        foreach (var other in sources)
        {
            var (name, first) = (other.Paths.First(), sources[0].Paths.First());
            if (other.Rows != sources[0].Rows)
                throw new SaeException($"{name} holds {other.Rows} rows but {first} {sources[0].Rows}; rows of both "
                    + "must be those of the same tokens");
            if (other.Type != sources[0].Type)
                throw new SaeException($"{name} holds {other.Type} but {first} {sources[0].Type}; both must agree");
        }
        RequireSameTokens([.. sources.Where(s => s.HasTokens)]);
        return new()
        {
            joined = sources, Rows = sources[0].Rows, Width = sources.Sum(s => s.Width), Type = sources[0].Type
        };
    }

    /// <summary>Compares the token ids of up to 4096 rows at equal distances.</summary>
    static void RequireSameTokens(ActivationSource[] sources)
    {
        foreach (var other in sources.Skip(1))
            for (long i = 0, step = Math.Max(1, other.Rows / 4096); i < other.Rows; i += step)
                if (other.Token(i) != sources[0].Token(i))
                    throw new SaeException($"{other.Locate(i)} is token {other.Token(i)} but {sources[0].Locate(i)} "
                        + $"token {sources[0].Token(i)}; rows of both must be those of the same tokens");
    }

    /// <param name="note">Takes each of <see cref="Remarks"/>.</param>
    /// <inheritdoc cref="Open(IEnumerable{string}, string?)"/>
    public static ActivationSource Open(IEnumerable<string> paths, string? tensor, Action<string> note)
    {
        var source = Open(paths, tensor);
        try
        {
            foreach (var remark in source.Remarks) note(remark);
            return source;
        }
        catch { source.Dispose(); throw; }
    }

    /// <summary>Opens files, or the stores in folders.</summary>
    /// <param name="paths">Files and folders.</param>
    /// <param name="tensor">Selects one of several matrices in a file or store: the name of a tensor (.safetensors) or
    /// column (.arrow), or "layer=13" for the shards of saev. Null selects the only one, or the tensor "activations" or
    /// "activation".</param>
    /// <exception cref="SaeException">A file is missing, malformed, unlike the first, or named twice; or the files of a
    /// folder are ambiguous.</exception>
    public static ActivationSource Open(IEnumerable<string> paths, string? tensor = null)
    {
        var (source, seen) = (new ActivationSource(), new Dictionary<string, string>());
        try
        {
            foreach (var path in paths)
                foreach (var shard in Store.Open(path, tensor, source.notes))
                {
                    source.Add(shard);
                    var real = RealPath.Identity(shard.Path);
                    if (shard.Rows > 0 && !seen.TryAdd(real, shard.Path)) throw Twice(shard.Path, seen[real]);
                }
            if (source.shards.Count == 0)
                throw new SaeException("no activation files were given; name files, or a folder of them");
            if (source.Rows == 0) throw new SaeException($"{source.shards[0].Path} holds no rows");
            return source;
        }
        catch
        {
            source.Dispose();
            throw;
        }
    }

    /// <summary>Returns the path of a file that both sources contain, or null if there is none.</summary>
    internal string? FileSharedWith(ActivationSource other)
    {
        var others = other.Paths.Select(RealPath.Identity).ToHashSet();
        return Paths.FirstOrDefault(path => others.Contains(RealPath.Identity(path)));
    }

    static SaeException Twice(string path, string before) =>
        new(path == before ? $"{path} is named twice, so its rows would be read twice; name it once"
            : $"{path} and {before} are the same file, whose rows would be read twice; keep or name one of them");

    /// <summary>Wraps rows in memory; they are not copied.</summary>
    /// <param name="rows">[rows, width], contiguous, in the machine's byte order.</param>
    public static ActivationSource Of(ReadOnlyMemory<byte> rows, int width, InputType type)
    {
        var count = rows.Length / (width * type.Bytes());
        if (count == 0 || count * width * type.Bytes() != rows.Length)
            throw new SaeException($"{rows.Length} bytes are not whole rows of {width} numbers of {type}");
        var source = new ActivationSource();
        source.Add(new MemoryShard(rows, width, type));
        return source;
    }

    void Add(IShard shard)
    {
        shards.Add(shard);
        firstRows.Add(Rows);
        if (shard.Rows == 0)        // an empty shard may have no width
        {
            notes.LeaveOut([shard.Path], "0 rows");
            return;
        }
        if (Rows == 0) (Width, Type) = (shard.Width, shard.Type);
        else if (shard.Width != Width)
            throw new SaeException($"{shard.Path} is {shard.Width} wide but {FirstPath} is {Width}; "
                + "all shards must agree");
        else if (shard.Type != Type)
            throw new SaeException($"{shard.Path} holds {shard.Type} but {FirstPath} holds {Type}; "
                + "all shards must agree");
        Rows += shard.Rows;
    }

    string FirstPath => shards.First(s => s.Rows > 0).Path;

    /// <summary>Copies the raw bytes of row <paramref name="i"/>.</summary>
    /// <param name="into">Receives <see cref="RowBytes"/> bytes.</param>
    /// <exception cref="SaeException">A file was shortened since it was opened.</exception>
    public void Read(long i, Span<byte> into)
    {
        if (into.Length != RowBytes)
            throw new ArgumentException($"the span has {into.Length} bytes; a row has {RowBytes}", nameof(into));
        if (joined.Length == 0)
        {
            var (shard, row) = Find(i);
            shard.Read(row, into);
            return;
        }
        foreach (var source in joined)
        {
            source.Read(i, into[..source.RowBytes]);
            into = into[source.RowBytes..];
        }
    }

    /// <summary>Copies the raw bytes of consecutive rows, starting at row <paramref name="first"/>, in as few reads as
    /// the files allow.</summary>
    /// <param name="into">Receives whole rows, [any, <see cref="RowBytes"/>].</param>
    /// <exception cref="SaeException">A file was shortened since it was opened.</exception>
    public void ReadRows(long first, Span<byte> into)
    {
        if (into.Length % RowBytes != 0)
            throw new ArgumentException($"the span has {into.Length} bytes; a row has {RowBytes}", nameof(into));
        if (joined.Length > 0)
        {
            var at = 0;
            foreach (var source in joined) source.ReadRowsInto(first, into, RowBytes, ref at);
            return;
        }
        while (into.Length > 0)
        {
            var (shard, row) = Find(first);
            var count = (int)Math.Min(into.Length / RowBytes, shard.Run(row));
            shard.Read(row, into[..(count * RowBytes)]);
            first += count;
            into = into[(count * RowBytes)..];
        }
    }

    /// <summary>Copies rows into columns of wider rows, from byte <paramref name="at"/> of each.</summary>
    void ReadRowsInto(long first, Span<byte> into, int pitch, ref int at)
    {
        var rows = into.Length / pitch;
        var own = ArrayPool<byte>.Shared.Rent(rows * RowBytes);
        try
        {
            ReadRows(first, own.AsSpan(0, rows * RowBytes));
            for (var b = 0; b < rows; b++) own.AsSpan(b * RowBytes, RowBytes).CopyTo(into[(b * pitch + at)..]);
        }
        finally { ArrayPool<byte>.Shared.Return(own); }
        at += RowBytes;
    }

    /// <summary>Announces that <paramref name="count"/> rows from row <paramref name="first"/> on will be read
    /// soon.</summary>
    internal void Expect(long first, long count = 1)
    {
        foreach (var source in joined) source.Expect(first, count);
        if (joined.Length > 0) return;
        while (count > 0)
        {
            var (shard, row) = Find(first);
            var run = (int)Math.Min(Math.Min(count, int.MaxValue), shard.Run(row));
            shard.Expect(row, run);
            first += run;
            count -= run;
        }
    }

    /// <summary>Whether every shard has token ids; for joined sources, whether one of the sources has them.</summary>
    public bool HasTokens =>
        joined.Length > 0 ? joined.Any(j => j.HasTokens) : shards.All(s => s.HasTokens || s.Rows == 0);

    /// <summary>The network and the site from which the rows were taken, as text: the note of a harvest, a dataset's
    /// column, or a store's layer. Null if a file has none or the files differ.</summary>
    /// <exception cref="SaeException">A note is damaged.</exception>
    public string? Site =>
        joined.Length > 0 ? joined.All(j => j.Site is not null) ? string.Join(" beside ", joined.Select(j => j.Site))
            : null
        : shards.Select(s => s.Site).Distinct().ToArray() is [{ Length: > 0 } one] ? one : null;

    /// <summary>Returns the token id of row <paramref name="i"/>; requires <see cref="HasTokens"/>.</summary>
    public int Token(long i)
    {
        if (joined.Length > 0) return joined.First(j => j.HasTokens).Token(i);
        var (shard, row) = Find(i);
        return shard.Token(row);
    }

    /// <summary>Returns the file of a row and its row within the file, for messages.</summary>
    public string Locate(long i)
    {
        if (joined.Length > 0) return string.Join(" or ", joined.Select(s => s.Locate(i)));
        var (shard, row) = Find(i);
        return shard.Locate(row);
    }

    (IShard Shard, long Row) Find(long i)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((ulong)i, (ulong)Rows, nameof(i));
        var shard = Shards.Find(firstRows, i);
        return (shards[shard], i - firstRows[shard]);
    }

    /// <summary>Reads row <paramref name="i"/> as float32.</summary>
    public void ReadRow(long i, Span<float> into)
    {
        if (oneRow is null || oneRow.Length < RowBytes) oneRow = new byte[RowBytes];
        var bytes = oneRow.AsSpan(0, RowBytes);
        Read(i, bytes);
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
        foreach (var shard in shards) shard.Dispose();
        shards.Clear();
        foreach (var source in joined) source.Dispose();
        joined = [];
    }
}
