using System.Text;
using System.Text.Json;
using CudaSae.Text;

namespace CudaSae.Lab.Harvest;

/// <summary>SentencePiece's unigram segmentation over the encoder's 8000 pieces: the most probable cut by Viterbi (Kudo
/// 2018,
/// arXiv 1804.10959). Ties and unknown characters as the published JavaScript port treats them, so ids agree.</summary>
sealed class UseLiteTokenizer
{
    internal const char Separator = '\u2581';        // stands for a space, and before the first word
    const int BytesAPart = 100;             // of JSON, in memory, with the pieces made of it
    const int Reserved = 6;                 // unknown, <s>, </s> and three spare ids: never matched
    readonly Dictionary<string, (float Score, int Id)> pieces = [];
    readonly string[] text;
    int longest;

    /// <param name="path">vocab.json: an array of [piece, log probability].</param>
    /// <exception cref="SaeException">It is missing, or no such array.</exception>
    public UseLiteTokenizer(string path) : this(path, Content(path)) { }

    internal UseLiteTokenizer(string path, byte[] content)
    {
        try { text = Read(content, why => new($"{path} is no vocabulary: {why}")); }
        catch (Exception e) when (e is JsonException or InvalidOperationException or IndexOutOfRangeException)
        {
            throw new SaeException($"{path} is no vocabulary, an array of [piece, log probability]; fetch it with "
                + "build/fetch-use-lite.sh",
                e);
        }
    }

    static byte[] Content(string path)
    {
        try { return File.ReadAllBytes(path); }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SaeException($"cannot read {path}: {e.Message.TrimEnd('.')}", e);
        }
    }

    string[] Read(byte[] content, Func<string, SaeException> bad)
    {
        JsonBudget.Check(content, BytesAPart, content.Length, bad);
        using var json = JsonDocument.Parse(content);
        var entries = json.RootElement.EnumerateArray().ToArray();
        if (entries.Length == 0) throw bad("it holds no piece");
        var text = new string[entries.Length];
        for (var id = 0; id < entries.Length; id++)
        {
            text[id] = entries[id][0].GetString() ?? throw bad($"piece {id} is null");
            if (id < Reserved) continue;
            var score = entries[id][1];        // null, in one entry, counts as 0 in the port
            pieces[text[id]] = (score.ValueKind == JsonValueKind.Number ? score.GetSingle() : 0, id);
            longest = Math.Max(longest, text[id].EnumerateRunes().Count());
        }
        return text;
    }

    /// <summary>The piece with that id; its leading '▁' is a space.</summary>
    public string Piece(int id) => text[id];

    /// <summary>All of them, by id.</summary>
    public IReadOnlyList<string> Pieces => text;

    /// <summary>Ids of a sentence's pieces; 0 is unknown, and a row of unknowns is one.</summary>
    /// <param name="sentence">In Unicode's NFKC form, which the published port makes itself: this program runs without
    /// ICU.</param>
    public int[] Encode(string sentence)
    {
        if (sentence.Length == 0) return [];
        var runes = (Separator + sentence.Replace(' ', Separator)).EnumerateRunes().Select(r => r.ToString()).ToArray();
        var best = new double[runes.Length + 1];
        var (word, length) = (new int[runes.Length + 1], new int[runes.Length + 1]);
        for (var end = 1; end <= runes.Length; end++)
        {
            length[end] = 1;        // unknown, one character, at no cost: as in the port
            var piece = new StringBuilder();
            for (var start = end - 1; start >= Math.Max(0, end - longest); start--)
            {
                piece.Insert(0, runes[start]);
                if (!pieces.TryGetValue(piece.ToString(), out var match)) continue;
                var score = match.Score + best[start];
                // The port visits starts in ascending order and lets later equals win; descending, only a better one
                // may.
                if (best[end] == 0 || score > best[end])
                    (best[end], word[end], length[end]) = (score, match.Id, end - start);
            }
        }
        var ids = new List<int>();
        for (var at = runes.Length; at > 0; at -= length[at])
            if (word[at] != 0 || ids.Count == 0 || ids[^1] != 0) ids.Add(word[at]);
        ids.Reverse();
        return [.. ids];
    }
}
