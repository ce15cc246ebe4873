using System.Text.RegularExpressions;

namespace CudaSae.Bench.Reference;

/// <summary>One declaration of a C header.</summary>
/// <param name="Kind">What it declares.</param>
/// <param name="Name">Its name; an enumeration has that of its first constant.</param>
/// <param name="Section">The text of the section comment above it.</param>
/// <param name="Code">The declaration.</param>
/// <param name="Comment">The lines of its comment, without the marks of a comment.</param>
sealed record CDeclaration(CKind Kind, string Name, string Section, string Code, IReadOnlyList<string> Comment);

enum CKind { Constant, Record, Function }

/// <summary>The comments and declarations of a C header in the form of cudasae.h: the introduction first, each comment
/// directly above its declarations, and <c>/* ---- name ---- */</c> above a section.</summary>
/// <param name="Introduction">The lines of the first comment.</param>
/// <param name="Declarations">In the order of the header.</param>
sealed partial record CHeader(IReadOnlyList<string> Introduction, IReadOnlyList<CDeclaration> Declarations)
{
    /// <exception cref="SaeException">A declaration has no comment, or an unknown form.</exception>
    public static CHeader Parse(string text)
    {
        var lines = text.Split('\n');
        var (introduction, section) = ((IReadOnlyList<string>?)null, "");
        IReadOnlyList<string> comment = [];         // of the adjacent declarations; empty after a blank line
        var found = new List<CDeclaration>();
        for (var i = 0; i < lines.Length;)
        {
            var end = i + 1;
            if (lines[i].StartsWith("/* ----", StringComparison.Ordinal)) section = lines[i].Trim(' ', '/', '*', '-');
            else if (lines[i].StartsWith("/*", StringComparison.Ordinal))
            {
                while (!lines[end - 1].EndsWith("*/", StringComparison.Ordinal)) end++;
                comment = Comment(lines[i..end]);
                introduction ??= comment;
            }
            else if (IsDeclaration(lines[i]))
            {
                end = EndOf(lines, i);
                found.Add(Declaration(string.Join('\n', lines[i..end]), section, comment, i + 1));
            }
            else comment = [];
            i = end;
        }
        return new(introduction ?? throw new SaeException("the header has no introduction"), found);
    }

    static bool IsDeclaration(string line) =>
        line.Length > 0 && !line.StartsWith('}') && !line.StartsWith("extern", StringComparison.Ordinal)
            && (line[0] != '#' || Macro().IsMatch(line));

    /// <summary>The line after a declaration, which ends outside braces with a semicolon.</summary>
    static int EndOf(string[] lines, int first)
    {
        if (lines[first][0] == '#') return first + 1;
        for (var (i, depth) = (first, 0); i < lines.Length; i++)
        {
            var code = TrailingComment().Replace(lines[i], "").TrimEnd();
            depth += code.Count(c => c == '{') - code.Count(c => c == '}');
            if (depth == 0 && code.EndsWith(';')) return i + 1;
        }
        throw new SaeException($"line {first + 1} of the header begins a declaration that does not end");
    }

    static CDeclaration Declaration(string code, string section, IReadOnlyList<string> comment, int line)
    {
        var (kind, name) = (CKind.Constant, Macro().Match(code));
        if (!name.Success) name = Enumeration().Match(code);
        if (!name.Success) (kind, name) = (CKind.Record, Record().Match(code));
        if (!name.Success) (kind, name) = (CKind.Function, Function().Match(code));
        if (!name.Success) throw new SaeException($"line {line} of the header has an unknown form: {code}");
        if (comment.Count == 0 && !code.Contains('\n') && TrailingComment().Match(code) is { Success: true } behind)
        {
            comment = Comment([behind.Value.Trim()]);
            code = code[..behind.Index].TrimEnd();
        }
        return comment.Count > 0 ? new(kind, name.Groups["name"].Value, section, code, comment)
            : throw new SaeException($"line {line} of the header: {name.Groups["name"].Value} has no comment");
    }

    static string[] Comment(string[] lines) =>
        [.. string.Join('\n', lines)[2..^2].Split('\n')
            .Select((line, i) => i > 0 && line.StartsWith(" *", StringComparison.Ordinal) ? line[2..] : line)
            .Select(line => (line.StartsWith(' ') ? line[1..] : line).TrimEnd())];

    [GeneratedRegex(@"^#define (?<name>\w+) \S")]
    private static partial Regex Macro();

    [GeneratedRegex(@"^enum \{\s*(?<name>\w+)")]
    private static partial Regex Enumeration();

    [GeneratedRegex(@"^typedef struct (?:\{.*\}|\w+) (?<name>\w+);", RegexOptions.Singleline)]
    private static partial Regex Record();

    [GeneratedRegex(@"^[\w ]+[ *](?<name>\w+)\([^()]*\);$")]
    private static partial Regex Function();

    [GeneratedRegex(@"\s*/\*.*\*/$")]
    private static partial Regex TrailingComment();
}
