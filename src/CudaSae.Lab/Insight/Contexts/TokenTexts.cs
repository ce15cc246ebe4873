using CudaSae.Activations;

namespace CudaSae.Lab.Insight.Contexts;

/// <summary>The text of each row of a pass and its sequence. They come from a .jsonl beside the data, as harvest writes
/// it, or from the store's token ids; otherwise rows have no texts. It takes 4 bytes a row.</summary>
sealed class TokenTexts
{
    readonly int[] piece;       // an index into Pieces for each row
    readonly List<int> sequences;

    TokenTexts(string origin, int rows, int[] piece, string[] pieces, List<int> sequences) =>
        (Origin, Rows, this.piece, Pieces, this.sequences) = (origin, rows, piece, pieces, sequences);

    /// <summary>The source of the texts, for readers.</summary>
    public string Origin { get; }

    /// <summary>The number of rows of the pass, which are counted from its first row.</summary>
    public int Rows { get; }

    /// <summary>The texts that occur, each once; empty if rows have no tokens. A space replaces '▁'.</summary>
    public IReadOnlyList<string> Pieces { get; }
    public bool HasTokens => Pieces.Count > 0;

    /// <summary>Index of a row's text in <see cref="Pieces"/>, if <see cref="HasTokens"/>.</summary>
    public int PieceOf(int row) => piece[row];

    /// <summary>The rows [first, end) of a row's sequence; the row alone if rows have no tokens.</summary>
    public (int First, int End) Sequence(int row)
    {
        if (!HasTokens) return (row, row + 1);
        var at = sequences.BinarySearch(row);
        if (at < 0) at = ~at - 1;
        return (sequences[at], at + 1 < sequences.Count ? sequences[at + 1] : Rows);
    }

    /// <exception cref="SaeException">A .jsonl beside the data is damaged, or does not describe these rows.</exception>
    public static TokenTexts Open(RowSlice rows, TextOptions options)
    {
        var (source, builder) = (rows.Source, new PieceTable((int)rows.Count));
        if (FromSentences(rows, builder)) return builder.Finish("the sentences beside the data");
        if (!source.HasTokens)
            return options is { Pieces: null, BosId: null, ContextLength: 0 }
                ? new("row numbers", (int)rows.Count, [], [], [])
                : throw new SaeException($"{source.Paths.First()} has neither token ids nor a .jsonl beside it, so "
                    + "that a vocabulary or sequence lengths have no effect; leave them out");
        FromIds(rows, options, builder);
        return builder.Finish(options.Pieces is null ? "token ids" : "token ids and a vocabulary");
    }

    /// <summary>Whether every row was described beside its file.</summary>
    static bool FromSentences(RowSlice rows, PieceTable into)
    {
        foreach (var (path, first, count) in rows.Source.Files)
        {
            long from = Math.Max(rows.First, first), end = Math.Min(rows.End, first + count),
                next = rows.First + into.Count;
            if (from != next || from >= end) continue;
            var sentences = Path.ChangeExtension(path, ".jsonl");
            if (File.Exists(sentences)) SentenceFile.Read(sentences, from - first, end - first, into.Add);
        }
        return into.Count == rows.Count;
    }

    static void FromIds(RowSlice rows, TextOptions options, PieceTable into)
    {
        into.Clear();
        var known = new Dictionary<int, string>();
        foreach (var (_, first, count) in rows.Source.Files)
            for (long row = Math.Max(rows.First, first), end = Math.Min(rows.End, first + count);
                row < end && row == rows.First + into.Count; row++)
            {
                var id = rows.Source.Token(row);
                if (!known.TryGetValue(id, out var text)) known[id] = text = options.Pieces?.Piece(id) ?? $"⟨{id}⟩";
                var begins = into.Count == 0 || row == first || id == options.BosId
                    || (options.ContextLength > 0 && (row - first) % options.ContextLength == 0);
                into.Add(text, begins);
            }
    }

    /// <summary>Collects rows' texts, each distinct one once.</summary>
    sealed class PieceTable(int rows)
    {
        const int LongestPiece = 64;        // in characters; longer texts are cut
        readonly Dictionary<string, int> index = new(StringComparer.Ordinal);
        readonly List<string> pieces = [];
        readonly List<int> sequences = [];
        readonly int[] piece = new int[rows];

        public int Count { get; private set; }

        public void Clear()
        {
            index.Clear();
            pieces.Clear();
            sequences.Clear();
            Count = 0;
        }

        public void Add(string text, bool begins)
        {
            if (text.Length > LongestPiece) text = text[..LongestPiece] + "…";
            if (!index.TryGetValue(text, out var at))
            {
                index[text] = at = pieces.Count;
                pieces.Add(text.Replace('▁', ' '));
            }
            if (begins || Count == 0) sequences.Add(Count);
            piece[Count++] = at;
        }

        public TokenTexts Finish(string origin) => new(origin, rows, piece, [.. pieces], sequences);
    }
}
