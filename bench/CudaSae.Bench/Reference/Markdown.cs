using System.Text;
using System.Text.RegularExpressions;

namespace CudaSae.Bench.Reference;

/// <summary>Text of Markdown, in lines of at most 120 columns.</summary>
static partial class Markdown
{
    const int Width = 120;

    /// <summary>Columns of a generated declaration. GitHub shows them without a scroll bar.</summary>
    public const int CodeWidth = 110;

    /// <summary>A paragraph or a list item. Code spans are not divided, and a line does not begin with a word that
    /// Markdown reads as a mark.</summary>
    /// <param name="text">The words.</param>
    /// <param name="mark">Text before the first word, such as "- ".</param>
    /// <param name="width">The largest length of a line.</param>
    /// <returns>Lines that each end with a line end; later lines are indented by the length of the mark.</returns>
    public static string Wrap(string text, string mark = "", int width = Width)
    {
        var (lines, line) = (new StringBuilder(), new StringBuilder(mark));
        foreach (Match word in Words().Matches(text))
        {
            if (line.Length > mark.Length && line.Length + 1 + word.Length > width)
            {
                lines.Append(line).Append('\n');
                line.Clear().Append(' ', mark.Length);
            }
            else if (line.Length > mark.Length) line.Append(' ');
            line.Append(word.Value);
        }
        return $"{lines}{line}\n";
    }

    /// <summary>A block of code.</summary>
    public static string Fence(string language, string code) => $"```{language}\n{code.TrimEnd('\n')}\n```\n";

    /// <summary>A text in which exponents of numbers are written as in 3e-6.</summary>
    public static string Exponents(string text) => Exponent().Replace(text, "e$1");

    /// <summary>A link to a heading of the same page.</summary>
    public static string Link(string heading) => $"[`{heading}`](#{Anchor(heading)})";

    /// <summary>The anchor that GitHub gives to a heading.</summary>
    public static string Anchor(string heading) =>
        NotInAnchors().Replace(heading.ToLowerInvariant(), "").Replace(' ', '-');

    /// <summary>The text up to the end of its first sentence.</summary>
    public static string FirstSentence(string text) => SentenceEnd().Match(text) is { Success: true } end
        ? text[..(end.Index + 1)] : text;

    /// <summary>The Markdown of a comment or a docstring. Lines that are indented by four spaces after a blank line are
    /// code. A line that begins with the name of a parameter and a colon begins an item of a list.</summary>
    /// <param name="lines">The lines of the comment, without its marks.</param>
    /// <param name="language">The language of its code.</param>
    /// <param name="parameters">Names that begin items.</param>
    public static string Prose(
        IReadOnlyList<string> lines, string language, IReadOnlyCollection<string>? parameters = null)
    {
        var blocks = new List<string>();
        for (var i = 0; i < lines.Count;)
        {
            if (lines[i].Length == 0) i++;
            else if (IsCode(lines[i]))
            {
                var end = i;
                while (end < lines.Count && (lines[end].Length == 0 || IsCode(lines[end]))) end++;
                blocks.Add(Fence(language, string.Concat(lines.Skip(i).Take(end - i)
                    .Select(line => $"{line[Math.Min(4, line.Length)..]}\n"))));
                i = end;
            }
            else
            {
                var item = ItemOf(lines[i], parameters);
                var end = i + 1;
                while (end < lines.Count && lines[end].Length > 0 && ItemOf(lines[end], parameters) is null) end++;
                var text = string.Join(' ', lines.Skip(i).Take(end - i));
                blocks.Add(item is null ? Wrap(WithCode(text))
                    : Wrap($"`{item}`:{WithCode(text[(item.Length + 1)..])}", "- "));
                i = end;
            }
        }
        return string.Concat(blocks.Select((block, i) =>
            i > 0 && !(block.StartsWith("- ", StringComparison.Ordinal)
                && blocks[i - 1].StartsWith("- ", StringComparison.Ordinal)) ? $"\n{block}" : block));
    }

    /// <summary>The parameter that a line begins to describe; null if it does not.</summary>
    public static string? ItemOf(string line, IReadOnlyCollection<string>? parameters) =>
        line.IndexOf(": ", StringComparison.Ordinal) is > 0 and var colon && parameters is not null
            && parameters.Contains(line[..colon]) ? line[..colon] : null;

    /// <summary>Marks names of code in a sentence: names with an underscore, calls, pointers and JSON. Names of pages
    /// become links.</summary>
    public static string WithCode(string text) => WithLinks(Code().Replace(text, match =>
        match.Value[0] == '`' || match.Groups["page"].Success ? match.Value : $"`{match.Value}`"));

    /// <summary>Replaces the path of a page of docs by a link that docs/reference can use.</summary>
    public static string WithLinks(string text) => Page().Replace(text, match =>
    {
        var (folder, name) = (match.Groups["folder"].Value, match.Groups["name"].Value);
        return $"[{match.Value}]({(folder == "reference" ? "" : $"../{folder}/")}{name}.md)";
    });

    static bool IsCode(string line) => line.StartsWith("    ", StringComparison.Ordinal);

    // A mark of Markdown stays with the word before it.
    [GeneratedRegex(@"(?:`[^`]*`|[^\s`])+(?: (?:[-+*>#=|]+|\d+[.)])(?= |$))*")]
    private static partial Regex Words();

    [GeneratedRegex(@"[^\p{L}\p{N} _-]")]
    private static partial Regex NotInAnchors();

    // A sentence may begin with code, with a letter of a formula, or with the name of a parameter and a colon.
    [GeneratedRegex(@"\.(?= (?:[\p{Lu}`]|\p{Ll} |\w+: ))")]
    private static partial Regex SentenceEnd();

    [GeneratedRegex(@"\bdocs/(?<folder>\w+)/(?<name>[\w-]+)\.md")]
    private static partial Regex Page();

    // Code, pages, JSON, settings, texts, sizes, pointers, and names with a point or an underscore.
    [GeneratedRegex("""`[^`]*`|(?<page>docs/[\w/-]+\.md)|\{"[^{}]*\}|\w+\["\w+"\]|"\w+"|"""
        + @"sizeof\(\w+\)|(?<!\*)\*\w+|\bNULL\b|[A-Za-z]\w*\.\w+(?:\(\))?|\w+_\w+(?:\.\w+)*(?:\(\))?\*?")]
    private static partial Regex Code();

    [GeneratedRegex(@"(?<=[0-9])E\+?(-?)0*(?=[0-9])")]
    private static partial Regex Exponent();
}
