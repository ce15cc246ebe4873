using System.Reflection;

namespace CudaSae.Bench.Reference;

/// <summary>docs/reference/csharp.md: the public API of the engine's assembly, from its types and their XML
/// documentation.</summary>
static class CSharpPage
{
    /// <summary>Types by task. Enumerations, and types in other types, are not listed here.</summary>
    static readonly (string Title, string[] Types)[] Groups =
    [
        ("Train", ["SaeTrainer", "Preset", "TrainConfig", "Resampling", "StepMetrics", "MemoryPlan"]),
        ("Use an SAE", ["Sae", "SparseRows", "SaeModel", "SaeParameters", "Matrix", "SaeFormats", "ISaeFormat"]),
        ("Architecture and loss", ["SaeSpec", "Selection", "Transcoding", "Nesting", "SparsityPenalty", "PreActLoss",
            "AuxLoss", "GhostGrads"]),
        ("Errors", ["SaeException"]),
    ];

    const string Enumerations = "Enumerations";

    public static string Text(XmlDocs docs)
    {
        var sections = Sections(typeof(Sae).Assembly.GetExportedTypes());
        return $"""
            {ReferencePages.Notice}
            # C#

            This page lists the public types of the package `CudaSae`. [Embedding](../guide/embedding.md) shows a
            program, and describes lifetimes and threads. The first line of a declaration is the namespace. A type in
            another type is named with it, as in `new Selection.TopK(32)`. A parameter of a record is also a property of
            it. Members that the compiler adds to records are not listed.

            ## Overview

            {string.Concat(sections.Select(section => Overview(docs, section.Title, section.Types)))}
            """ + string.Join('\n', sections.Select(section => $"## {section.Title}\n\n"
                + string.Join('\n', section.Types.Select(type => CSharpType.Text(docs, type)))));
    }

    /// <summary>The types of each section, in the order of the page. A type in another type follows that.</summary>
    /// <exception cref="SaeException">A type belongs to no section.</exception>
    public static IReadOnlyList<(string Title, IReadOnlyList<Type> Types)> Sections(IReadOnlyList<Type> exported)
    {
        var rest = exported.ToList();
        var sections = new List<(string Title, IReadOnlyList<Type> Types)>();
        foreach (var (title, names) in Groups)
        {
            var types = names.SelectMany(name => exported.Where(type => !type.IsEnum && Outermost(type).Name == name)
                .OrderBy(type => type.IsNested).ThenBy(type => type.MetadataToken)).ToList();
            rest.RemoveAll(types.Contains);
            sections.Add((title, types));
        }
        sections.Add((Enumerations, [.. rest.Where(type => type.IsEnum).OrderBy(type => type.Name)]));
        return rest.Find(type => !type.IsEnum) is { } missing
            ? throw new SaeException($"{missing.FullName} is public, and no section of csharp.md lists it: add it to "
                + "CSharpPage.Groups")
            : sections;
    }

    static Type Outermost(Type type) => type.DeclaringType is { } outer ? Outermost(outer) : type;

    static string Overview(XmlDocs docs, string title, IReadOnlyList<Type> types)
    {
        string[] Row(Type type) =>
        [
            Markdown.Link(CSharpNames.Name(type)), Markdown.FirstSentence(docs.Summary(type)),
            .. title == Enumerations ? [] : (string[])
            [
                string.Join(", ", CSharpType.Calls(type).Select(call => call.Heading).Distinct().Select(heading =>
                    $"[`{(heading.StartsWith("new ", StringComparison.Ordinal) ? "new" : heading.Split('.')[^1])}`]"
                        + $"(#{Markdown.Anchor(heading)})")),
            ],
        ];
        string[] head = title == Enumerations ? ["Type", "Purpose"] : ["Type", "Purpose", "Methods"];
        return $"[{title}](#{Markdown.Anchor(title)}):\n\n{ReferencePages.Table(head, types.Select(Row))}\n";
    }
}
