using System.Text.RegularExpressions;
using CudaSae.Bench.Reference;

namespace CudaSae.Tests;

/// <summary>Links between documents lead to files and headings that exist.</summary>
public partial class LinkTests
{
    [Fact]
    public void LinksLeadToFilesAndHeadings()
    {
        var pages = Directory.GetFiles(Repository.Root, "*.md")
            .Concat(new[] { "docs", "bench", "kernels", "src" }.SelectMany(folder => Directory.GetFiles(
                Path.Combine(Repository.Root, folder), "*.md", SearchOption.AllDirectories))).ToArray();
        var links = pages.SelectMany(page => Links(page).Select(link => (Page: page, Link: link))).ToArray();
        Assert.True(links.Length > 300, $"only {links.Length} links were found");
        Assert.Empty(links.Where(link => !Exists(link.Page, link.Link))
            .Select(link => $"{Path.GetRelativePath(Repository.Root, link.Page)}: {link.Link}"));
    }

    [Theory]
    [InlineData("../../README.md#terminology", true)]
    [InlineData("csharp.md#saetrainerstep", true)]
    [InlineData("#saetrainerstep", false)]
    [InlineData("csharp.md#saetrainerleap", false)]
    [InlineData("basic.md", false)]
    public void ALinkIsFollowed(string link, bool exists) =>
        Assert.Equal(exists, Exists(Path.Combine(Repository.Root, "docs", "reference", "python.md"), link));

    static IEnumerable<string> Links(string page) => Link().Matches(Code().Replace(File.ReadAllText(page), "${link}"))
        .Select(match => match.Groups["to"].Value)
        .Where(link => !link.Contains("://") && !link.StartsWith("mailto:", StringComparison.Ordinal));

    static bool Exists(string page, string link)
    {
        var (file, anchor) = link.Split('#') is [var name, var heading] ? (name, heading) : (link, "");
        var path = file.Length == 0 ? page : Path.GetFullPath(Path.Combine(Path.GetDirectoryName(page)!, file));
        return anchor.Length == 0 ? Path.Exists(path) : File.Exists(path) && Anchors(path).Contains(anchor);
    }

    /// <summary>Anchors of the headings of a page. GitHub numbers equal ones from the second on.</summary>
    static IEnumerable<string> Anchors(string path) => Heading().Matches(Fenced().Replace(File.ReadAllText(path), ""))
        .Select(match => Markdown.Anchor(match.Groups["text"].Value)).GroupBy(anchor => anchor)
        .SelectMany(same => same.Select((anchor, i) => i == 0 ? anchor : $"{anchor}-{i}"));

    [GeneratedRegex(@"\]\((?<to>[^()\s]+)\)")]
    private static partial Regex Link();

    [GeneratedRegex(@"^#+ (?<text>.+)$", RegexOptions.Multiline)]
    private static partial Regex Heading();

    [GeneratedRegex(@"^```.*?^```", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex Fenced();

    /// <summary>Blocks and spans of code, with the brackets of a link whose text they are.</summary>
    [GeneratedRegex(@"^```.*?^```|^    [^\n]*$|\[`[^`\n]*`(?<link>\])|`[^`\n]*`",
        RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex Code();
}
