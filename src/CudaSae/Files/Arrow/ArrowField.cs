namespace CudaSae.Files.Arrow;

/// <summary>A column of an Arrow schema, or a part of one, and where its node and its first buffer stand in every
/// record batch: those of all
/// fields follow each other depth first (apache/arrow, format/Schema.fbs and docs/source/format/Columnar.rst).
/// Extension types such as
/// HuggingFace's Array2D show as what they are stored as: lists in lists.</summary>
/// <param name="Element">Of numbers, in safetensors' words; null for other types.</param>
/// <param name="Offsets">Bytes of an offset of a list of any length: 4 or 8; 0 for all other types.</param>
/// <param name="ListSize">Of a list of fixed length; 0 for all other types.</param>
/// <param name="Inner">What a list holds; null for other types.</param>
sealed record ArrowField(string Name, string? Element, int Offsets, int ListSize, ArrowField? Inner, int Node,
    int Buffer)
{
    const int MaxDepth = 32, MaxFields = 2000;

    public bool IsList => Inner is not null;

    /// <summary>What stands inside all lists.</summary>
    public ArrowField Leaf => Inner is null ? this : Inner.Leaf;

    /// <summary>The columns of a schema.</summary>
    /// <exception cref="InvalidDataException">A column has a type whose number of buffers is not fixed.</exception>
    public static ArrowField[] ReadSchema(FlatTable schema)
    {
        if (schema.Int16(0) != 0)
            throw new InvalidDataException("its numbers are big-endian; write it on a little-endian machine");
        int nodes = 0, buffers = 0;
        var columns = new ArrowField[Math.Min(schema.Count(1, 4), MaxFields + 2)];
        for (var i = 0; i < columns.Length; i++) columns[i] = Read(schema.Table(1, i), 0, ref nodes, ref buffers);
        return columns;
    }

    static ArrowField Read(FlatTable field, int depth, ref int nodes, ref int buffers)
    {
        if (depth > MaxDepth || nodes > MaxFields)
            throw new InvalidDataException("its schema is too deep or too large");
        var name = field.Text(0, TensorFile.MaxNameLength);
        var (type, node, buffer) = (field.Byte(2), nodes++, buffers);
        var encoded = field.Has(4);         // by a dictionary: only the indices are in the batch
        buffers += encoded ? 2 : Buffers(type, name);
        ArrowField? inner = null;
        var children = encoded ? 0 : field.Count(5, 4);
        for (var i = 0; i < children; i++)
        {
            var child = Read(field.Table(5, i), depth + 1, ref nodes, ref buffers);
            if (i == 0 && type is List or LargeList or FixedSizeList) inner = child;
        }
        var listSize = type == FixedSizeList && !encoded ? field.Table(3).Int32(0) : 0;
        if (listSize < 0) throw new InvalidDataException($"column {name} has lists of {listSize}");
        return new(name, encoded ? null : ElementOf(type, field), type == List ? 4 : type == LargeList ? 8 : 0,
            listSize, inner, node, buffer);
    }

    const byte Int = 2, FloatingPoint = 3, List = 12, FixedSizeList = 16, LargeList = 21;       // of union Type

    static string? ElementOf(byte type, FlatTable field) => type switch
    {
        FloatingPoint => field.Table(3).Int16(0) switch { 0 => "F16", 1 => "F32", 2 => "F64", _ => null },
        Int =>
            (field.Table(3).Int32(0), field.Table(3).Byte(1)) switch
            {
                (64, not 0) => "I64",
                (32, not 0) => "I32",
                (16, not 0) => "I16",
                (32, 0) => "U32",
                (16, 0) => "U16",
                _ => null
            },
        _ => null,
    };

    /// <summary>Buffers a type has in a batch, its children's not counted.</summary>
    static int Buffers(byte type, string name) => type switch
    {
        1 => 0,                                                     // null
        13 or FixedSizeList => 1,                                   // struct
        // numbers, booleans, dates and times, fixed-size binary
        Int or FloatingPoint or 6 or 7 or 8 or 9 or 10 or 11 or 15 or 18 => 2,
        List or LargeList or 17 => 2,                               // map
        4 or 5 or 19 or 20 => 3,                                    // binary and text
        _ =>
            throw new InvalidDataException($"column {name} has type {type} (a union, a view or run-end encoded), which "
                + "is not read"),
    };
}
