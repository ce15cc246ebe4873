using System.Text.Json;
using CudaSae.Text;

namespace CudaSae.Lab.Insight.Contexts;

/// <summary>Texts of token ids from JSON: an array of pieces or of [piece, score] (SentencePiece ports), an object
/// piece → id (GPT-2's vocab.json), or Hugging Face's tokenizer.json,
/// which holds either as model.vocab, and added_tokens. Pieces in GPT-2's byte alphabet are turned back into
/// text.</summary>
sealed class VocabularyFile : ITokenPieces
{
    const int BytesAPart = 100;         // of JSON, in memory, with the piece made of it
    const int MaxId = 1 << 24;
    readonly Dictionary<int, string> pieces = [];

    /// <exception cref="SaeException">It is missing, or no vocabulary.</exception>
    public VocabularyFile(string path) : this(path, Content(path)) { }

    internal VocabularyFile(string path, byte[] content)
    {
        SaeException Bad(string why) => new($"{path} is no vocabulary: {why}; name a vocab.json or tokenizer.json");
        try
        {
            JsonBudget.Check(content, BytesAPart, content.Length, Bad);
            using var json = JsonDocument.Parse(content);
            Read(json.RootElement, Bad);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or IndexOutOfRangeException
            or FormatException or KeyNotFoundException)
        {
            throw Bad("it is neither pieces in order nor pieces with ids");
        }
        if (pieces.Count == 0) throw Bad("it holds no piece");
        if (!pieces.Values.Any(ByteAlphabet.IsUsed)) return;
        foreach (var (id, piece) in pieces.ToArray()) pieces[id] = ByteAlphabet.Decode(piece);
    }

    static byte[] Content(string path)
    {
        try { return File.ReadAllBytes(path); }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SaeException($"cannot read {path}: {e.Message.TrimEnd('.')}", e);
        }
    }

    void Read(JsonElement root, Func<string, SaeException> bad)
    {
        if (root.ValueKind == JsonValueKind.Array)
        {
            var id = 0;
            foreach (var entry in root.EnumerateArray())
                Add(id++, entry.ValueKind == JsonValueKind.Array ? entry[0] : entry, bad);
        }
        else if (root.TryGetProperty("model", out var model) && model.ValueKind == JsonValueKind.Object)
        {
            Read(model.GetProperty("vocab"), bad);
            if (root.TryGetProperty("added_tokens", out var added))
                foreach (var token in added.EnumerateArray())
                    Add(token.GetProperty("id").GetInt32(), token.GetProperty("content"), bad);
        }
        else
            foreach (var entry in root.EnumerateObject()) Add(entry.Value.GetInt32(), entry.Name, bad);
    }

    void Add(int id, JsonElement piece, Func<string, SaeException> bad) =>
        Add(id, piece.GetString() ?? throw bad($"piece {id} is null"), bad);

    void Add(int id, string piece, Func<string, SaeException> bad)
    {
        if (id is < 0 or > MaxId) throw bad($"\"{piece}\" has id {id}; 0 to {MaxId} are possible");
        pieces[id] = piece;
    }

    public string? Piece(int id) => pieces.GetValueOrDefault(id);
}
