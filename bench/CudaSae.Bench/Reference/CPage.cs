using System.Text.RegularExpressions;

namespace CudaSae.Bench.Reference;

/// <summary>docs/reference/c.md: the declarations and comments of cudasae.h.</summary>
static partial class CPage
{
    public static string Text(CHeader header)
    {
        var functions = header.Declarations.Where(one => one.Kind == CKind.Function).GroupBy(one => one.Section)
            .ToArray();
        return $"""
            {ReferencePages.Notice}
            # C

            [cudasae.h](../../src/CudaSae.Native/cudasae.h) is the header of the C library.
            [Embedding](../guide/embedding.md) shows how to build the library, and a program.

            {Introduction(header)}
            ## Overview

            {string.Join('\n', functions.Select(Overview))}
            {Markdown.Wrap($"Records: {Records(header)}. [Constants](#constants) follow them.")}
            {string.Concat(functions.Select(Functions))}## Records

            {string.Join('\n', Of(header, CKind.Record).Select(Heading))}
            ## Constants

            {string.Join('\n', Of(header, CKind.Constant).Select(Constant))}
            """;
    }

    /// <summary>The paragraphs after the first, which describes the header. A subject of one word is bold.</summary>
    static string Introduction(CHeader header) => Markdown.Prose(Subject().Replace(
        string.Join('\n', header.Introduction.SkipWhile(line => line.Length > 0)), "**$0**").Split('\n'), "c");

    static string Overview(IGrouping<string, CDeclaration> section) =>
        $"[{Title(section.Key)}](#{Markdown.Anchor(section.Key)}):\n\n"
            + ReferencePages.Table(["Function", "Purpose"], section.Select(function => (string[])
            [
                Markdown.Link(function.Name), Markdown.FirstSentence(Markdown.WithCode(
                    string.Join(' ', function.Comment.TakeWhile(line => line.Length > 0)))),
            ]));

    static string Functions(IGrouping<string, CDeclaration> section) =>
        $"## {Title(section.Key)}\n\n{string.Concat(section.Select(function => $"{Heading(function)}\n"))}";

    static string Heading(CDeclaration one) => $"### {one.Name}\n\n{Entry(one)}";

    static string Entry(CDeclaration one) =>
        $"{Markdown.Fence("c", one.Code)}\n{Markdown.Prose(one.Comment, "json")}";

    static string Constant(CDeclaration one) =>
        $"{Markdown.Prose(one.Comment, "json")}\n{Markdown.Fence("c", one.Code)}";

    static IEnumerable<CDeclaration> Of(CHeader header, CKind kind) =>
        header.Declarations.Where(one => one.Kind == kind);

    static string Records(CHeader header) =>
        string.Join(", ", Of(header, CKind.Record).Select(record => Markdown.Link(record.Name)));

    static string Title(string section) => section.Length > 0 ? $"{char.ToUpperInvariant(section[0])}{section[1..]}"
        : throw new SaeException("a function of the header is not in a section");

    [GeneratedRegex(@"(?<=\n\n|^\n)[A-Z][a-z]+\.")]
    private static partial Regex Subject();
}
