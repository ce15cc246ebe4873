using System.Text;
using System.Text.RegularExpressions;

namespace CudaSae.Bench.Reference;

/// <summary>docs/reference/python.md: the exported names of cudasae.py with their docstrings.</summary>
static partial class PythonPage
{
    public static string Text(PythonModule module)
    {
        var classes = Exported(module, module.Classes, one => one.Name);
        var functions = Exported(module, module.Functions, one => one.Name);
        if (module.Exported.FirstOrDefault(name => classes.All(one => one.Name != name)
                && functions.All(one => one.Name != name)) is { } unknown)
            throw new SaeException($"{unknown} is in __all__, but the module does not define it");
        return $"""
            {ReferencePages.Notice}
            # Python

            {Markdown.Prose(module.Doc, "python")}
            [cudasae.py](../../src/CudaSae.Native/cudasae.py) is the module. [Embedding](../guide/embedding.md) shows
            how to get the library, and a forward hook that trains.

            ## Overview

            {ReferencePages.Table(["Name", "Purpose"], [.. classes.SelectMany(Rows),
                .. functions.Select(one => Row(one.Name, one.Doc, one.Name))])}
            {string.Join('\n', [.. classes.Select(Class),
                .. functions.Select(one => $"## {one.Name}\n\n{Function("", one)}")])}
            """;
    }

    /// <summary>The public methods and properties of a class.</summary>
    static IEnumerable<PythonFunction> Public(PythonClass one) =>
        one.Functions.Where(function => !function.Name.StartsWith('_'));

    static IEnumerable<string[]> Rows(PythonClass one) =>
        [Row(one.Name, one.Doc, one.Name), .. Public(one).Select(function =>
            Row($"{one.Name}.{function.Name}", function.Doc, $"{one.Name}.{function.Name}"))];

    static string[] Row(string heading, IReadOnlyList<string> doc, string owner) =>
        [Markdown.Link(heading), Markdown.FirstSentence(Markdown.WithCode(
            string.Join(' ', Documented(doc, owner).TakeWhile(line => line.Length > 0))))];

    static string Class(PythonClass one)
    {
        var (doc, parameters) = (Documented(one.Doc, one.Name), Constructor(one));
        if (one.Attributes.FirstOrDefault(name => !Describes(doc, name)) is { } bad)
            throw new SaeException($"the docstring of {one.Name} does not describe the attribute {bad}");
        var text = new StringBuilder($"## {one.Name}\n\n");
        var signature = parameters is not null ? Signature(one.Name, parameters)
            : one.Base.Length > 0 && !one.Base.StartsWith('_') ? $"class {one.Name}({one.Base})" : $"class {one.Name}";
        text.Append(Markdown.Fence("python", signature)).Append('\n');
        text.Append(Markdown.Prose(doc, "python", [.. one.Attributes, .. NamesOf(parameters ?? "")]));
        foreach (var function in Public(one))
            text.Append($"\n### {one.Name}.{function.Name}\n\n{Function($"{one.Name}.", function)}");
        return text.ToString();
    }

    /// <summary>The parameters of a constructor that the docstring of its class describes; null if it describes none,
    /// because other functions make such objects.</summary>
    static string? Constructor(PythonClass one)
    {
        var parameters = one.Functions.FirstOrDefault(function => function.Name == "__init__")?.Parameters ?? "";
        var names = NamesOf(parameters).Except(one.Attributes).ToArray();
        var missing = names.Where(name => !Describes(one.Doc, name)).ToArray();
        return missing.Length == 0 && names.Length > 0 ? parameters
            : missing.Length == names.Length ? null
            : throw new SaeException($"the docstring of {one.Name} does not describe the parameter {missing[0]}");
    }

    static bool Describes(IReadOnlyList<string> doc, string name) =>
        doc.Any(line => Markdown.ItemOf(line, [name]) is not null);

    static string Function(string owner, PythonFunction one)
    {
        var name = $"{owner}{one.Name}";
        var signature = one.Decorator == "property" ? name : Signature(name, one.Parameters);
        return $"{Markdown.Fence("python", signature)}\n"
            + Markdown.Prose(Documented(one.Doc, name), "python", [.. NamesOf(one.Parameters)]);
    }

    static string Signature(string name, string parameters) =>
        Markdown.Wrap($"{parameters})", $"{name}(", Markdown.CodeWidth);

    static IEnumerable<string> NamesOf(string parameters) =>
        Parameter().Matches(parameters).Select(match => match.Groups[1].Value);

    static IReadOnlyList<string> Documented(IReadOnlyList<string> doc, string name) =>
        doc.Count > 0 ? doc : throw new SaeException($"{name} has no docstring");

    static T[] Exported<T>(PythonModule module, IReadOnlyList<T> all, Func<T, string> name) =>
        [.. module.Exported.SelectMany(exported => all.Where(one => name(one) == exported))];

    [GeneratedRegex(@"(?:^|, )(\w+)")]
    private static partial Regex Parameter();
}
