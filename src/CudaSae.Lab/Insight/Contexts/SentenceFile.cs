using System.Text;
using System.Text.Json;
using CudaSae.Text;

namespace CudaSae.Lab.Insight.Contexts;

/// <summary>The .jsonl that harvest writes beside activations: a line a sentence, {"row": its first row, "tokens": [a
/// text a row]}. Lines follow each other without a gap.</summary>
static class SentenceFile
{
    const int BytesAPart = 100;     // of JSON, in memory

    /// <summary>Gives the tokens of rows [from, end) in order, and whether each begins a sentence.</summary>
    /// <exception cref="SaeException">It cannot be read, or does not describe every row up to
    /// <paramref name="end"/>.</exception>
    public static void Read(string path, long from, long end, Action<string, bool> visit)
    {
        try
        {
            using var text = new StreamReader(path);
            Read(path, text, from, end, visit);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SaeException($"cannot read {path}: {e.Message.TrimEnd('.')}", e);
        }
    }

    /// <param name="path">Its name, for messages.</param>
    internal static void Read(string path, TextReader text, long from, long end, Action<string, bool> visit)
    {
        long row = 0, number = 0;
        try
        {
            while (row < end && text.ReadLine() is { } line)
            {
                number++;
                if (line.Length > 0)
                    row = ReadLine(line, row, from, end, visit,
                        why => new($"{path}, line {number}: {why}; make it again with the data, or take it away"));
            }
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException
            or FormatException)
        {
            throw new SaeException($"{path}, line {number} is not {{\"row\", \"tokens\"}} of a sentence; make it again "
                + "with the data, or take it away",
                e);
        }
        if (row < end)
            throw new SaeException($"{path} describes {row} rows but the data beside it have at least {end}; make it "
                + "again with the data, or take it away");
    }

    /// <returns>The row behind the sentence.</returns>
    static long ReadLine(string line, long row, long from, long end, Action<string, bool> visit,
        Func<string, SaeException> bad)
    {
        var bytes = Encoding.UTF8.GetBytes(line);
        JsonBudget.Check(bytes, BytesAPart, bytes.Length, bad);
        using var json = JsonDocument.Parse(bytes);
        var first = json.RootElement.GetProperty("row").GetInt64();
        if (first != row) throw bad($"the sentence begins at row {first} where row {row} follows");
        foreach (var token in json.RootElement.GetProperty("tokens").EnumerateArray())
        {
            if (row >= from && row < end) visit(token.GetString() ?? throw bad("a token is null"), row == first);
            row++;
        }
        return row;
    }
}
