using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using CudaSae.Files;

namespace CudaSae.Lab.Harvest;

/// <summary>Byte-pair segmentation over a vocabulary in llama2.c's layout: int32 length of the longest piece, then of
/// each piece float32 score, int32 length, bytes.
/// Characters first, UTF-8 bytes where one is unknown; then again and again the neighbours whose union scores best, the
/// leftmost of equals, as SentencePiece's BPE does.</summary>
sealed class Llama2Tokenizer
{
    /// <summary>Begins every sequence.</summary>
    public const int Bos = 1;

    const int Unknown = 0, Eos = 2, FirstByte = 3;      // ids 3 to 258 are the 256 bytes
    const int BytesAPiece = 150;                        // in memory, beside its text three times
    const int Floor = 16 << 20;
    readonly Dictionary<string, int> ids = [];          // of a piece's bytes, one char a byte
    readonly List<string> bytes = [];
    readonly List<float> scores = [];
    string[]? pieces;

    /// <exception cref="SaeException">The file is missing, or no such vocabulary.</exception>
    public Llama2Tokenizer(string path) : this(new MappedFile(path)) { }

    /// <param name="file">Disposed when it is read.</param>
    internal Llama2Tokenizer(MappedFile file)
    {
        using (file) Read(file);
    }

    void Read(MappedFile file)
    {
        SaeException Bad(string why) =>
            new($"{file.Path} is no vocabulary in llama2.c's layout: {why}", kind: SaeErrorKind.Files);
        if (file.Length < 4) throw Bad($"it has {file.Length} bytes");
        var longest = MemoryMarshal.Read<int>(file.Slice(0, 4));
        for (long at = 4; at < file.Length;)
        {
            if (file.Length - at < 8) throw Bad($"it ends within piece {scores.Count}");
            var (score, length) =
                (MemoryMarshal.Read<float>(file.Slice(at, 4)), MemoryMarshal.Read<int>(file.Slice(at + 4, 4)));
            if (length < 1 || length > longest)
                throw Bad($"piece {scores.Count} has {length} bytes; the header says 1 to {longest}");
            if (length > file.Length - at - 8)
                throw Bad($"piece {scores.Count} claims {length} bytes, {file.Length - at - 8} are left");
            if (!float.IsFinite(score))
                throw Bad($"the score of piece {scores.Count} is {score.ToString(CultureInfo.InvariantCulture)}");
            if ((long)BytesAPiece * scores.Count > 3 * file.Length + Floor)
                throw Bad($"more than {scores.Count} pieces in {file.Length} bytes; it is damaged or made to exhaust "
                    + "memory");
            var piece = Encoding.Latin1.GetString(file.Slice(at + 8, length));
            ids.TryAdd(piece, scores.Count);
            bytes.Add(piece);
            scores.Add(score);
            at += 8 + length;
        }
        if (scores.Count <= Eos) throw Bad($"it holds {scores.Count} pieces; unknown, begin and end come first");
    }

    /// <summary>The pieces as people read them, by id: bytes of ASCII as their character; other bytes alone as
    /// &lt;0xE2&gt;.</summary>
    public IReadOnlyList<string> Pieces =>
        pieces ??= [.. bytes.Select(piece =>
            Encoding.UTF8.GetString(Bytes(piece) is [> 0x7f] ? Encoding.Latin1.GetBytes(piece) : Bytes(piece)))];

    /// <summary>What a piece stands for: of &lt;0x0A&gt; the one byte.</summary>
    static byte[] Bytes(string piece) =>
        piece is ['<', '0', 'x', _, _, '>']
            && byte.TryParse(piece.AsSpan(3, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture,
                out var only)
            ? [only] : Encoding.Latin1.GetBytes(piece);

    /// <summary>Ids of a text: <see cref="Bos"/>, then its pieces; a text that is not empty is read with a space before
    /// it.</summary>
    public int[] Encode(string text)
    {
        var chain = new MergeChain(text.Length + 2);
        if (text.Length > 0) Add(chain, " ");
        foreach (var rune in text.EnumerateRunes())
            Add(chain, Encoding.Latin1.GetString(Encoding.UTF8.GetBytes(rune.ToString())));
        var merges =
            new PriorityQueue<(int Left, int Right, int LeftId, int RightId, int Joined), (float Score, int Left)>(Order);
        for (var i = 1; i < chain.Count; i++) Offer(i - 1);
        while (merges.TryDequeue(out var merge, out _))
        {
            // one of the two is in another piece by now
            if (!chain.Holds(merge.Left, merge.LeftId, merge.Right, merge.RightId)) continue;
            chain.Join(merge.Left, merge.Joined);
            Offer(merge.Left);
            if (chain.Before(merge.Left) is >= 0 and var before) Offer(before);
        }
        return chain.Ids(Bos);

        void Offer(int left)
        {
            if (chain.After(left) is not (>= 0 and var right)) return;
            if (ids.TryGetValue(bytes[chain.Id(left)] + bytes[chain.Id(right)], out var joined))
                merges.Enqueue((left, right, chain.Id(left), chain.Id(right), joined), (scores[joined], left));
        }
    }

    static readonly Comparer<(float Score, int Left)> Order =
        Comparer<(float Score, int Left)>.Create((a, b) => a.Score != b.Score
        ? b.Score.CompareTo(a.Score) : a.Left.CompareTo(b.Left));

    void Add(MergeChain chain, string character)
    {
        if (ids.TryGetValue(character, out var id)) chain.Add(id);
        else foreach (var b in character) chain.Add(FirstByte + b < scores.Count ? FirstByte + b : Unknown);
    }

    /// <summary>The text of ids. Begin and end are left out, and the space that <see cref="Encode"/> puts before a
    /// text.</summary>
    public string Decode(ReadOnlySpan<int> ids)
    {
        var text = new List<byte>();
        var starts = true;
        foreach (var id in ids)
        {
            if (id is not (Bos or Eos))
                text.AddRange(starts && bytes[id][0] == ' ' ? Bytes(bytes[id][1..]) : Bytes(bytes[id]));
            starts = id == Bos;
        }
        return Encoding.UTF8.GetString(CollectionsMarshal.AsSpan(text));
    }
}
