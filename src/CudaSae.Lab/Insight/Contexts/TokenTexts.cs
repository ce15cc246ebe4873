using CudaSae.Activations;

namespace CudaSae.Lab.Insight.Contexts;

/// <summary>The text of each row that is looked at, and the sequence it stands in: from a .jsonl beside the data as
/// harvest writes it, else from the store's
/// token ids, else none. 4 bytes a row.</summary>
sealed class TokenTexts
{
    readonly int[] piece;       // of each row an index into Pieces
    readonly List<int> sequences;

    TokenTexts(string origin, int rows, int[] piece, string[] pieces, List<int> sequences) =>
        (Origin, Rows, this.piece, Pieces, this.sequences) = (origin, rows, piece, pieces, sequences);

    /// <summary>Where they come from, for people.</summary>
    public string Origin { get; }

    /// <summary>Rows looked at; they are counted from the first of them.</summary>
    public int Rows { get; }

    /// <summary>Texts that occur, each once; empty where rows have no tokens. '▁' is a space.</summary>
    public IReadOnlyList<string> Pieces { get; }
    public bool HasTokens => Pieces.Count > 0;

    /// <summary>Index of a row's text in <see cref="Pieces"/>, where <see cref="HasTokens"/>.</summary>
    public int PieceOf(int row) => piece[row];

    /// <summary>Rows [first, end) of the sequence that a row stands in; of rows without tokens the row alone.</summary>
    public (int First, int End) Sequence(int row)
    {
        if (!HasTokens) return (row, row + 1);
        var at = sequences.BinarySearch(row);
        if (at < 0) at = ~at - 1;
        return (sequences[at], at + 1 < sequences.Count ? sequences[at + 1] : Rows);
    }

    /// <param name="firstRow">First of <paramref name="rows"/> rows of the source.</param>
    /// <exception cref="SaeException">A .jsonl beside the data is damaged, or does not describe these rows.</exception>
    public static TokenTexts Open(ActivationSource source, long firstRow, int rows, TextOptions options)
    {
        var builder = new PieceTable(rows);
        if (FromSentences(source, firstRow, rows, builder)) return builder.Finish("the sentences beside the data");
        if (!source.HasTokens)
            return options is { Pieces: null, BosId: null, ContextLength: 0 } ? new("row numbers", rows, [], [], [])
                : throw new SaeException($"{source.Paths.First()} has neither token ids nor a .jsonl beside it, so "
                    + "that a vocabulary or borders of sequences say nothing; leave them out");
        FromIds(source, firstRow, rows, options, builder);
        return builder.Finish(options.Pieces is null ? "token ids" : "token ids and a vocabulary");
    }

    /// <summary>Whether every row was described beside its file.</summary>
    static bool FromSentences(ActivationSource source, long firstRow, int rows, PieceTable into)
    {
        foreach (var (path, first, count) in source.Files)
        {
            long from = Math.Max(firstRow, first), end = Math.Min(firstRow + rows, first + count), next = firstRow
                + into.Count;
            if (from != next || from >= end) continue;
            var sentences = Path.ChangeExtension(path, ".jsonl");
            if (File.Exists(sentences)) SentenceFile.Read(sentences, from - first, end - first, into.Add);
        }
        return into.Count == rows;
    }

    static void FromIds(ActivationSource source, long firstRow, int rows, TextOptions options, PieceTable into)
    {
        into.Clear();
        var known = new Dictionary<int, string>();
        foreach (var (_, first, count) in source.Files)
            for (long row = Math.Max(firstRow, first),
                end = Math.Min(firstRow + rows, first + count); row < end && row == firstRow + into.Count; row++)
            {
                var id = source.Token(row);
                if (!known.TryGetValue(id, out var text)) known[id] = text = options.Pieces?.Piece(id) ?? $"⟨{id}⟩";
                var begins = into.Count == 0 || row == first || id == options.BosId
                    || (options.ContextLength > 0 && (row - first) % options.ContextLength == 0);
                into.Add(text, begins);
            }
    }

    /// <summary>Collects rows' texts, each distinct one once.</summary>
    sealed class PieceTable(int rows)
    {
        const int LongestPiece = 64;        // characters: what is longer is no token that a page could show
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
