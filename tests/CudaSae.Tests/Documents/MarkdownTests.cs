using CudaSae.Bench.Reference;

namespace CudaSae.Tests;

/// <summary>Generated text marks names of code, and its lines end where Markdown stays the same.</summary>
public class MarkdownTests
{
    [Theory]
    [InlineData("**Errors.** A code of docs/reference/c.md.", "**Errors.** A code of [docs/reference/c.md](c.md).")]
    [InlineData("*sae is NULL; see docs/guide/gpu.md", "`*sae` is `NULL`; see [docs/guide/gpu.md](../guide/gpu.md)")]
    [InlineData("x [rows, d_out], `cudasae train`", "x [rows, `d_out`], `cudasae train`")]
    [InlineData("{\"a_b\": 1}; config[\"c_d\"] is \"e\".", "`{\"a_b\": 1}`; `config[\"c_d\"]` is `\"e\"`.")]
    public void NamesOfCodeAndOfPagesAreMarked(string text, string marked) =>
        Assert.Equal(marked, Markdown.WithCode(text));

    [Theory]
    [InlineData("Reads x. rows: its rows.", "Reads x.")]
    [InlineData("See Gao et al. 2024 for k. θ is fixed.", "See Gao et al. 2024 for k.")]
    [InlineData("One sentence.", "One sentence.")]
    public void AnOverviewHasFirstSentences(string text, string first) =>
        Assert.Equal(first, Markdown.FirstSentence(text));

    /// <summary>A line does not begin with a mark of a quotation or of a list, and code is not divided.</summary>
    [Fact]
    public void LinesAreDividedWhereMarkdownStaysTheSame()
    {
        Assert.Equal("- aa\n  bb >\n  cc\n", Markdown.Wrap("aa bb > cc", "- ", 8));
        Assert.Equal("aa - 1.\nbb\n", Markdown.Wrap("aa - 1. bb", width: 4));
        Assert.Equal("aa\n`b b b`\n", Markdown.Wrap("aa `b b b`", width: 8));
    }
}
