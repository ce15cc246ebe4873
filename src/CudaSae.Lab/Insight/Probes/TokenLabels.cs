using System.Text.Json;

namespace CudaSae.Lab.Insight.Probes;

/// <summary>Questions about tokens that their text alone answers: of the token itself (its form, its place) and of its
/// neighbours, which a row can only know by attention.</summary>
/// <param name="Names">Of the questions.</param>
/// <param name="Answers">[questions][rows]; empty where there is none.</param>
sealed record TokenLabels(string[] Names, string[][] Answers)
{
    /// <summary>Tokens that have a class of their own.</summary>
    public const int Frequent = 20;

    const char Space = '▁';         // SentencePiece's mark of a word's start
    const string Other = "other";

    static readonly HashSet<string> FunctionWords = [.. "a an the of in on at to for from by with without as and or nor but that which who whom whose this these those is are was were be been being has have had it its he she his her their they them not no than into over under about through between among against during after before up down out off such some any all each every one other than so if when where while can may will would".Split(' ')];

    static readonly string[] Endings = ["ing", "ed", "tion", "ly", "s"];

    /// <summary>Reads what harvest writes beside a .npy: {"row": first row, "tokens": [...]} a line, one a
    /// sentence.</summary>
    /// <param name="rows">Of the .npy.</param>
    /// <exception cref="SaeException">A line is no such object, or the sentences are not those of the rows.</exception>
    public static TokenLabels Read(string path, long rows)
    {
        var sentences = new List<string[]>();
        long row = 0;
        try
        {
            foreach (var line in File.ReadLines(path))
            {
                using var json = JsonDocument.Parse(line);
                if (json.RootElement.GetProperty("row").GetInt64() != row)
                    throw Bad($"sentence {sentences.Count} starts at another row than {row}");
                sentences.Add([.. json.RootElement.GetProperty("tokens").EnumerateArray()
                    .Select(t => t.GetString() is { Length: > 0 } token ? token
                        : throw Bad($"sentence {sentences.Count} has an empty token"))]);
                row += sentences[^1].Length;
            }
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException
            or FormatException)
        {
            throw Bad($"line {sentences.Count + 1} is no sentence with row and tokens");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SaeException($"cannot read {path}, the tokens of the rows: {e.Message.TrimEnd('.')}; harvest "
                + "writes it beside the .npy",
                e);
        }
        return row == rows ? Of(sentences)
            : throw new SaeException($"{path} has {row} tokens, the data have {rows} rows; name the data that it was "
                + "written with");

        SaeException Bad(string why) =>
            new($"{path} does not tell the tokens of the rows: {why}; harvest writes it beside the .npy");
    }

    /// <param name="sentences">Tokens, '▁' where a word starts.</param>
    public static TokenLabels Of(IReadOnlyList<string[]> sentences)
    {
        string[] frequent = [.. sentences.SelectMany(s => s).CountBy(t => t).OrderByDescending(t => t.Value)
            .ThenBy(t => t.Key, StringComparer.Ordinal).Take(Frequent).Select(t => t.Key)];
        string Named(string token) => Array.IndexOf(frequent, token) >= 0 ? token : Other;
        (string Name, Func<string[], int, string> Answer)[] questions =
        [
            ("word start", (s, t) => Yes(Starts(s, t))),
            ("whole word", (s, t) => Yes(Whole(s, t))),
            ("function word", (s, t) => Yes(Whole(s, t) && FunctionWords.Contains(Text(s[t]).ToLowerInvariant()))),
            ("punctuation", (s, t) => Yes(!Text(s[t]).Any(char.IsLetterOrDigit))),
            ("digit", (s, t) => Yes(s[t].Any(char.IsDigit))),
            ("letters",
                (s, t) =>
                    Text(s[t]).Length switch { 1 => "1", 2 => "2", <= 4 => "3 to 4", <= 7 => "5 to 7",
                        _ => "8 or more" }),
            ("ending",
                (s, t) =>
                    Endings.FirstOrDefault(e => Text(s[t]).Length > e.Length
                        && Text(s[t]).EndsWith(e, StringComparison.Ordinal)) is { } e
                        ? $"-{e}" : Other),
            ("token", (s, t) => Named(s[t])),
            ("position",
                (_, t) =>
                    t switch { 0 => "1st", 1 => "2nd", <= 3 => "3rd to 4th", <= 7 => "5th to 8th",
                        <= 15 => "9th to 16th", _ => "later" }),
            ("last", (s, t) => Yes(t == s.Length - 1)),
            ("sentence",
                (s, _) => s.Length switch { <= 8 => "to 8 tokens", <= 16 => "to 16", <= 32 => "to 32", _ => "longer" }),
            ("previous token", (s, t) => t == 0 ? "" : Named(s[t - 1])),
            ("next token", (s, t) => t == s.Length - 1 ? "" : Named(s[t + 1])),
        ];
        return new([.. questions.Select(q => q.Name)],
            [.. questions.Select(q =>
                sentences.SelectMany(s => Enumerable.Range(0, s.Length).Select(t => q.Answer(s, t))).ToArray())]);
    }

    static bool Starts(string[] s, int t) => t == 0 || s[t][0] == Space;

    static bool Whole(string[] s, int t) => Starts(s, t) && (t == s.Length - 1 || Starts(s, t + 1));

    static string Text(string token) => token.TrimStart(Space) is { Length: > 0 } text ? text : token;

    static string Yes(bool yes) => yes ? "yes" : "no";
}
