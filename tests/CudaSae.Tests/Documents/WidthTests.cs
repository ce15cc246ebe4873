using System.Text.RegularExpressions;

namespace CudaSae.Tests;

/// <summary>Lines of text files end at 120 characters, the width of .editorconfig.</summary>
public partial class WidthTests
{
    const int Width = 120;

    static readonly string[] Extensions =
        ["cs", "cu", "cuh", "h", "cpp", "md", "py", "sh", "ps1", "js", "css", "csproj", "props", "targets", "yml"];

    /// <summary>Folders without written files: build outputs, measured results, and runs.</summary>
    static readonly string[] Skipped = ["artifacts", "bin", "obj", "results", "runs", "shared"];

    [Fact]
    public void LinesEndAt120Characters()
    {
        var files = Files(new(Repository.Root)).ToArray();
        Assert.True(files.Length > 500, $"only {files.Length} files were found");
        var wide =
            from file in files
            from line in File.ReadLines(file.FullName).Index()
            where line.Item.Length > Width && line.Item.EnumerateRunes().Count() > Width
                && !IsExempt(line.Item, file.Extension)
            select $"{Path.GetRelativePath(Repository.Root, file.FullName)}:{line.Index + 1}";
        Assert.True(!wide.Any(), string.Join('\n', wide));
    }

    [Theory]
    [InlineData("| a | b |", ".md", true)]
    [InlineData("[text of a link](https://example.org)", ".md", true)]
    [InlineData("- ![picture](a.svg)", ".md", true)]
    [InlineData("    `one span of code`", ".md", true)]
    [InlineData("a sentence with a [link](https://example.org)", ".md", false)]
    [InlineData("`code` and text", ".md", false)]
    [InlineData("| a | b |", ".cs", false)]
    [InlineData("    <OneElement>true</OneElement>", ".props", true)]
    public void TablesAndUnbreakableLinesAreExempt(string line, string extension, bool exempt) =>
        Assert.Equal(exempt, IsExempt(line, extension));

    static IEnumerable<FileInfo> Files(DirectoryInfo folder) =>
        folder.EnumerateFiles()
            .Where(file => Extensions.Contains(file.Extension.TrimStart('.'))
                && !file.Name.EndsWith(".g.cs", StringComparison.Ordinal))
            .Concat(folder.EnumerateDirectories()
                .Where(below => !Skipped.Contains(below.Name) && below.LinkTarget is null
                    && (below.Name is ".github" || !below.Name.StartsWith('.'))).SelectMany(Files));

    /// <summary>Lines without a space to break at, and in Markdown rows of tables and lines that are one link or one
    /// code span.</summary>
    static bool IsExempt(string line, string extension) =>
        !line.Trim().Contains(' ') || (extension == ".md" && Unbreakable().IsMatch(line));

    [GeneratedRegex(@"^\s*(\||([-*] |> )?(!?\[[^\]]*\]\([^)]*\)|`[^`]*`)[.,;:]?$)")]
    private static partial Regex Unbreakable();
}
