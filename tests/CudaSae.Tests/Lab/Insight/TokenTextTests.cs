using System.Text;
using CudaSae.Lab.Insight.Contexts;

namespace CudaSae.Tests;

/// <summary>Texts and borders of rows from every file that may accompany activations.</summary>
public class TokenTextTests
{
    static ActivationSource Activations(TemporaryFolder folder, int rows, int[]? tokens = null, string name = "x")
    {
        File.WriteAllBytes(folder[$"{name}.npy"], [.. NpyFile.MakeHeader("<f4", rows, 2), .. new byte[rows * 8]]);
        if (tokens is not null)
            File.WriteAllBytes(folder[$"{name}.tokens.npy"],
                [.. NpyFile.MakeHeader("<i4", rows), .. tokens.SelectMany(BitConverter.GetBytes)]);
        return ActivationSource.Open([folder[$"{name}.npy"]]);
    }

    static IEnumerable<string> Pieces(TokenTexts texts) =>
        Enumerable.Range(0, texts.Rows).Select(row => texts.Pieces[texts.PieceOf(row)]);

    [Fact]
    public void SentencesBesideTheDataGiveTextsAndBorders()
    {
        using var folder = new TemporaryFolder();
        using var source = Activations(folder, 6, [9, 9, 9, 9, 9, 9]);
        File.WriteAllLines(folder["x.jsonl"],
            ["""{"row":0,"text":"a b","tokens":["▁a","▁b"]}""", """{"row":2,"text":"c","tokens":["▁c"]}""",
                """{"row":3,"tokens":["▁a","</script>","\u202e"]}"""]);
        var texts = TokenTexts.Open(new(source, 1, 5), new());
        Assert.Equal([" b", " c", " a", "</script>", "\u202e"], Pieces(texts));
        Assert.Equal([(0, 1), (1, 2), (2, 5), (2, 5), (2, 5)], Enumerable.Range(0, 5).Select(texts.Sequence));
    }

    [Theory]
    [InlineData("""{"row":0,"tokens":["a"]}""", "describes 1 rows")]
    [InlineData("""{"row":0,"tokens":["a"]}|{"row":2,"tokens":["b"]}""", "line 2: .* row 2 where row 1")]
    [InlineData("{\"row\":0,\"tokens\":[\"a\",", "line 1 is not")]
    [InlineData("""{"row":0,"tokens":["a",5]}""", "line 1 is not")]
    [InlineData("""{"row":0,"tokens":["a",null]}""", "null")]
    [InlineData("""{"row":0,"tokens":["\ud800","b"]}""", "line 1 is not")]
    [InlineData("""{"row":0.5,"tokens":[]}""", "line 1 is not")]
    [InlineData("""{"tokens":[]}""", "line 1 is not")]
    [InlineData("""5""", "line 1 is not")]
    public void DamagedSentencesAreRefusedInOneLine(string lines, string expected)
    {
        using var folder = new TemporaryFolder();
        using var source = Activations(folder, 2);
        File.WriteAllLines(folder["x.jsonl"], lines.Split('|'));
        AssertOneLine(expected, () => TokenTexts.Open(new(source, 0, 2), new()));
    }

    [Fact]
    public void TokenIdsGetBordersFromBosOrLengthAndTextsFromAVocabulary()
    {
        using var folder = new TemporaryFolder();
        using var source = Activations(folder, 6, [1, 5, 6, 1, 7, 5]);
        File.WriteAllText(folder["vocab.json"],
            """[["<unk>",0],["<s>",0],["a",0],["b",0],["c",0],["▁d",-1.5],["e",null]]""");
        var texts = TokenTexts.Open(new(source, 0, 6),
            new() { Pieces = new VocabularyFile(folder["vocab.json"]), BosId = 1 });
        Assert.Equal(["<s>", " d", "e", "<s>", "⟨7⟩", " d"], Pieces(texts));
        Assert.Equal([(0, 3), (3, 6)], new[] { 2, 3 }.Select(texts.Sequence));
        Assert.Equal([(0, 1), (1, 3), (3, 5)],
            new[] { 0, 1, 4 }.Select(TokenTexts.Open(new(source, 1, 5), new() { ContextLength = 2 }).Sequence));
        Assert.Equal((0, 6), TokenTexts.Open(new(source, 0, 6), new()).Sequence(4));
        Assert.Equal(["⟨1⟩", "⟨5⟩"], Pieces(TokenTexts.Open(new(source, 0, 2), new())));
        Assert.Equal(["b", "⟨5⟩"],
            Pieces(TokenTexts.Open(new(source, 0, 2), new() { Pieces = new PieceList(["a", "b"]) })));
    }

    [Fact]
    public void RowsWithoutTokensStandAlone()
    {
        using var folder = new TemporaryFolder();
        using var source = Activations(folder, 3);
        var texts = TokenTexts.Open(new(source, 0, 3), new());
        Assert.False(texts.HasTokens);
        Assert.Equal((1, 2), texts.Sequence(1));
        AssertOneLine("neither token ids nor", () => TokenTexts.Open(new(source, 0, 3), new() { BosId = 1 }));
    }

    [Fact]
    public void AVeryLongPieceIsTruncated()
    {
        using var folder = new TemporaryFolder();
        using var source = Activations(folder, 2);
        File.WriteAllText(folder["x.jsonl"],
            $$"""{"row":0,"tokens":["{{new string('y', 100_000)}}","""
                + $$""" "{{string.Concat(Enumerable.Repeat("𝕏", 50_000))}}"]}""");
        Assert.All(TokenTexts.Open(new(source, 0, 2), new()).Pieces,
            piece => Assert.InRange(Encoding.UTF8.GetByteCount(piece), 64, 255));
    }

    [Theory]
    [InlineData("""["a","b"," c"]""", " c")]
    [InlineData("""{"a":0,"Ġc":2}""", " c")]
    [InlineData("""{"Ãī":2,"Ġx":1}""", "É")]
    [InlineData("""{"model":{"vocab":{"a":0,"Ġc":1}},"added_tokens":[{"id":2,"content":"<|end|>"}]}""", "<|end|>")]
    [InlineData("""{"model":{"type":"Unigram","vocab":[["<unk>",0],["a",-1],["▁c",-2]]}}""", "▁c")]
    [InlineData("""{"model":2}""", "model")]
    public void VocabulariesOfAllFormsAreRead(string json, string second) =>
        Assert.Equal(second, new VocabularyFile("v.json", Encoding.UTF8.GetBytes(json)).Piece(2));

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("5")]
    [InlineData("[5]")]
    [InlineData("[[]]")]
    [InlineData("[null]")]
    [InlineData("""{"a":-1}""")]
    [InlineData("""{"a":"b"}""")]
    [InlineData("""{"a":4000000000}""")]
    [InlineData("""{"model":{}}""")]
    [InlineData("""["\ud800"]""")]
    public void AnInvalidVocabularyIsRefusedInOneLine(string json) =>
        AssertOneLine("v.json is not a vocabulary",
            () => _ = new VocabularyFile("v.json", Encoding.UTF8.GetBytes(json)));
}
