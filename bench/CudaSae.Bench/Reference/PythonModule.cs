using System.Text.RegularExpressions;

namespace CudaSae.Bench.Reference;

/// <summary>A function, a method or a property of a Python module.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Decorator">The name of its decorator; empty for none.</param>
/// <param name="Parameters">Its parameters as the source writes them, without self and cls.</param>
/// <param name="Doc">The lines of its docstring; empty for none.</param>
sealed record PythonFunction(string Name, string Decorator, string Parameters, IReadOnlyList<string> Doc);

/// <summary>A class of a Python module.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Base">Its base class; empty for none.</param>
/// <param name="Doc">The lines of its docstring.</param>
/// <param name="Functions">Its methods and properties, with those of a private base behind them.</param>
/// <param name="Attributes">The public attributes that its constructor sets.</param>
sealed record PythonClass(string Name, string Base, IReadOnlyList<string> Doc,
    IReadOnlyList<PythonFunction> Functions, IReadOnlyList<string> Attributes);

/// <summary>The documented names of a Python module in the form of cudasae.py: four spaces of indentation, one
/// definition a line, and docstrings in <c>"""</c>.</summary>
/// <param name="Doc">The lines of the module's docstring.</param>
/// <param name="Exported">The names of <c>__all__</c>.</param>
/// <param name="Classes">All classes, private ones too.</param>
/// <param name="Functions">All functions.</param>
sealed partial record PythonModule(IReadOnlyList<string> Doc, IReadOnlyList<string> Exported,
    IReadOnlyList<PythonClass> Classes, IReadOnlyList<PythonFunction> Functions)
{
    public static PythonModule Parse(string text)
    {
        var lines = text.Split('\n');
        var exported = Names().Matches(AllNames().Match(text).Groups["names"].Value);
        var classes = new List<PythonClass>();
        for (var i = 0; i < lines.Length; i++)
        {
            if (ClassLine().Match(lines[i]) is not { Success: true } start) continue;
            var end = Array.FindIndex(lines, i + 1, line => line.Length > 0 && line[0] != ' ');
            var body = lines[(i + 1)..(end < 0 ? lines.Length : end)];
            var outer = start.Groups["base"].Value;
            var own = FunctionsOf(body, 4);
            classes.Add(new(start.Groups["name"].Value, outer, DocAt(body, 0), [.. own,
                .. classes.Where(one => one.Name == outer && one.Name.StartsWith('_')).SelectMany(one => one.Functions)
                    .Where(one => own.All(mine => mine.Name != one.Name))], AttributesOf(body)));
        }
        return new(DocAt(lines, 0), [.. exported.Select(name => name.Groups[1].Value)], classes, FunctionsOf(lines, 0));
    }

    /// <summary>The functions at one depth of indentation.</summary>
    static List<PythonFunction> FunctionsOf(string[] lines, int indent)
    {
        var (found, decorator) = (new List<PythonFunction>(), "");
        for (var i = 0; i < lines.Length; i++)
        {
            if (lines[i].Length <= indent || lines[i][..indent].Trim().Length > 0 || lines[i][indent] == ' ') continue;
            var line = lines[i][indent..];
            if (!line.StartsWith("def ", StringComparison.Ordinal))
            {
                decorator = line[0] == '@' ? line[1..] : "";
                continue;
            }
            while (!line.EndsWith(':')) line += $" {lines[++i].Trim()}";
            var signature = FunctionLine().Match(line);
            if (!signature.Success) throw new SaeException($"a line of the Python module has an unknown form: {line}");
            found.Add(new(signature.Groups["name"].Value, decorator, signature.Groups["parameters"].Value,
                DocAt(lines, i + 1)));
            decorator = "";
        }
        return found;
    }

    /// <summary>The docstring that begins at a line, without its indentation; empty for none.</summary>
    static string[] DocAt(string[] lines, int first)
    {
        const string quotes = "\"\"\"";
        if (first >= lines.Length || !lines[first].TrimStart().StartsWith(quotes, StringComparison.Ordinal)) return [];
        var indent = lines[first].Length - lines[first].TrimStart().Length;
        var end = first;
        while (!lines[end].EndsWith(quotes, StringComparison.Ordinal) || end == first && lines[end].Trim() == quotes)
            end++;
        var doc = string.Join('\n', lines[first..(end + 1)].Select(line => line[Math.Min(indent, line.Length)..]));
        return doc[quotes.Length..^quotes.Length].TrimEnd().Split('\n');
    }

    /// <summary>The names x of lines "self.x = …" in the constructor.</summary>
    static string[] AttributesOf(string[] body)
    {
        var first = Array.FindIndex(body, line => line.StartsWith("    def __init__(", StringComparison.Ordinal));
        bool IsWithin(string line) => line.Length == 0 || line.StartsWith("     ", StringComparison.Ordinal);
        bool Sets(string line) =>
            line.TrimStart().StartsWith("self.", StringComparison.Ordinal) && line.Contains(" = ");
        return first < 0 ? [] :
        [
            .. body.Skip(first + 1).TakeWhile(IsWithin).Where(Sets)
                .SelectMany(line => Attribute().Matches(line[..line.IndexOf(" = ", StringComparison.Ordinal)]))
                .Select(match => match.Groups[1].Value),
        ];
    }

    [GeneratedRegex(@"^__all__ = \[(?<names>[^\]]*)\]", RegexOptions.Multiline)]
    private static partial Regex AllNames();

    [GeneratedRegex("\"(\\w+)\"")]
    private static partial Regex Names();

    [GeneratedRegex(@"^class (?<name>\w+)(\((?<base>[\w.]*)\))?:")]
    private static partial Regex ClassLine();

    [GeneratedRegex(@"^def (?<name>\w+)\(((self|cls)(, )?)?(?<parameters>.*)\):$")]
    private static partial Regex FunctionLine();

    [GeneratedRegex(@"\bself\.([a-z]\w*)")]
    private static partial Regex Attribute();
}
