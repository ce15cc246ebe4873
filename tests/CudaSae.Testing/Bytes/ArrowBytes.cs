using static CudaSae.Testing.Bytes.FlatBytes;

namespace CudaSae.Testing.Bytes;

/// <summary>Writes an Arrow stream as a HuggingFace dataset of SAELens has it: a text column, the hook's Array2D
/// (positions, width), token_ids. Row r of
/// all holds r·width + c (over 8) at c, and token 1000 + r. What is set otherwise makes it unusual, or a lie.</summary>
sealed class ArrowBytes
{
    public string Element { get; init; } = "F32";
    public int[] Contexts { get; init; } = [2, 3];      // of each batch
    public int Positions { get; init; } = 4;
    public int Width { get; init; } = 3;
    public bool LargeLists { get; init; }
    public bool Framed { get; init; }                   // as an IPC file
    public bool Ended { get; init; } = true;
    public bool FixedTokenLists { get; init; } = true;
    public int TokenPositions { get; init; } = -1;      // 0 for no token column
    public int ListTooLong { get; init; } = -1;         // a list that takes one number of the next
    public long Nulls { get; init; }
    public long NodeBonus { get; init; }                // what nodes and batches claim besides what is there
    public bool Compressed { get; init; }
    public bool BigEndian { get; init; }
    public byte TextType { get; init; } = 5;            // utf8

    public const string Hook = "blocks.0.hook_resid_pre";

    int Tokens => TokenPositions < 0 ? Positions : TokenPositions;

    public byte[] Write()
    {
        List<byte> bytes = [.. Framed ? "ARROW1\0\0"u8 : []];
        bytes.AddRange(Message(1, new((0, (short)(BigEndian ? 1 : 0)), (1, Fields())), []));
        var row = 0;
        foreach (var contexts in Contexts)
        {
            bytes.AddRange(Batch(contexts, row));
            row += contexts * Positions;
        }
        if (Ended) bytes.AddRange([255, 255, 255, 255, 0, 0, 0, 0]);
        if (Framed) bytes.AddRange([1, 2, 3, 4, 4, 0, 0, 0, .. "ARROW1"u8]);
        return [.. bytes];
    }

    Table[] Fields()
    {
        var number = Element switch
        {
            "F16" => new Table((0, (short)0)),
            "F32" => new Table((0, (short)1)),
            _ => new Table((0, (short)2))
        };
        var hook = Field(Hook, List, new(), Field("item", List, new(), Field("item", 3, number)));
        Table[] extension = [new((0, "ARROW:extension:name"), (1, "datasets.features.features.Array2DExtensionType"))];
        hook = new([.. hook.Fields, (6, extension)]);
        var id = Field("item", 2, new((0, 32), (1, (byte)1)));
        var ids = FixedTokenLists ? Field("token_ids", 16, new((0, Tokens)), id) : Field("token_ids", List, new(), id);
        var text = Field("text", TextType, new());
        return Tokens == 0 ? [text, hook] : [text, hook, ids];
    }

    byte List => (byte)(LargeLists ? 21 : 12);

    static Table Field(string name, byte kind, Table type, params Table[] children) =>
        new((0, name), (1, (byte)1), (2, kind), (3, type), (5, children));

    byte[] Batch(int contexts, int firstRow)
    {
        int rows = contexts * Positions, numbers = rows * Width;
        List<byte[]> buffers =
        [
            [], Offsets(contexts, 2, false), [.. Enumerable.Repeat((byte)'x', 2 * contexts)],
            [], Offsets(contexts, Positions, LargeLists), [], Offsets(rows, Width, LargeLists, ListTooLong), [],
            Values(firstRow * Width, numbers),
        ];
        List<(long, long)> nodes = [(contexts + NodeBonus, 0), (contexts + NodeBonus, Nulls), (rows, 0), (numbers, 0)];
        if (Tokens > 0)
        {
            nodes.AddRange([(contexts + NodeBonus, 0), (contexts * Tokens, 0)]);
            buffers.AddRange(FixedTokenLists ? [[]] : [[], Offsets(contexts, Tokens, LargeLists)]);
            buffers.AddRange([[],
                [.. Enumerable.Range(0, contexts * Tokens)
                    .SelectMany(i => BitConverter.GetBytes(1000 + firstRow + i))]]);
        }
        var body = new List<byte>();
        var places = new List<(long, long)>();
        foreach (var buffer in buffers)
        {
            places.Add((body.Count, buffer.Length));
            body.AddRange([.. buffer, .. new byte[(8 - buffer.Length % 8) % 8]]);
        }
        var batch = new Table((0, contexts + NodeBonus), (1, nodes.ToArray()), (2, places.ToArray()));
        return Message(3, Compressed ? new([.. batch.Fields, (3, new Table())]) : batch, [.. body]);
    }

    static byte[] Offsets(int lists, int length, bool wide, int tooLong = -1) =>
        [.. Enumerable.Range(0, lists + 1).Select(i => (long)i * length + (i == tooLong ? 1 : 0))
            .SelectMany(at => wide ? BitConverter.GetBytes(at) : BitConverter.GetBytes((int)at))];

    byte[] Values(int first, int count) => [.. Enumerable.Range(first, count).SelectMany(i => Element switch
    {
        "F16" => BitConverter.GetBytes((Half)(i / 8f)),
        "F32" => BitConverter.GetBytes(i / 8f),
        _ => BitConverter.GetBytes(i / 8.0),
    })];

    static byte[] Message(byte kind, Table header, byte[] body)
    {
        var metadata = Root(new((0, (short)4), (1, kind), (2, header), (3, (long)body.Length)));
        var padded = (metadata.Length + 7) / 8 * 8;
        return [255, 255, 255, 255, .. BitConverter.GetBytes(padded), .. metadata,
            .. new byte[padded - metadata.Length], .. body];
    }
}
