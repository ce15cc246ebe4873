using System.Text;
using CudaSae.Cli;
using CudaSae.Lab.Insight.Probes;

namespace CudaSae.Tests;

public class LabelTests
{
    static Labels Npy<T>(string descr, T[] values, params long[] shape) where T : unmanaged
    {
        using var folder = new TemporaryFolder();
        ProbeData.WriteNpy(folder["l.npy"], descr, values, shape);
        return NpyLabels.Read(folder["l.npy"], 4);
    }

    static Labels Csv(string text, long rows = 3) =>
        CsvLabels.Read(new MemoryStream(Encoding.UTF8.GetBytes(text)), "l.csv", rows);

    [Fact]
    public void EveryTypeOfNumpyIsRead()
    {
        short[] expected = [0, 2, -1, 1];
        foreach (var labels in (Labels[])[Npy<sbyte>("|i1", [0, 2, -1, 1], 4), Npy<short>("<i2", [0, 2, -1, 1], 4),
            Npy<int>("<i4", [0, 2, -1, 1], 4), Npy<long>("<i8", [0, 2, -1, 1], 4)])
            Assert.Equal(expected, labels[0].ToArray());
        foreach (var labels in (Labels[])[Npy<byte>("|b1", [0, 1, 1, 0], 4), Npy<float>("<f4", [0, 1, 1, 0], 4),
            Npy<double>("<f8", [0, 1, 1, 0], 4), Npy<Half>("<f2", [Half.Zero, Half.One, Half.One, Half.Zero], 4)])
        {
            Assert.Equal([0, 1, 1, 0], labels[0].ToArray());
            Assert.Equal(new Property(0, 1, 2, 4), Assert.Single(labels.Properties));
        }
        var board = Npy<byte>("|u1", [0, 1, 2, 3, 4, 5, 6, 255], 4, 1, 2);
        Assert.Equal(((1, 2), 2, 256), (board.Grid!.Value, board.Questions.Count, board.Questions[1].Classes.Length));
        Assert.Equal([0, 2, 4, 6], board[0].ToArray());
        Assert.Equal([1, 3, 5, 255], board[1].ToArray());
    }

    [Fact]
    public void InvalidNpyLabelsAreRefused()
    {
        AssertOneLine("labels 3 rows, the data have 4", () => Npy<int>("<i4", [0, 1, 2], 3));
        AssertOneLine("row 2 answers NaN to question 0", () => Npy<float>("<f4", [0, 1, float.NaN, 1], 4));
        AssertOneLine("row 1 answers 0.5 to question 0", () => Npy<float>("<f4", [0, 0.5f, 1, 1], 4));
        AssertOneLine("row 3 answers 256 to question 0", () => Npy<int>("<i4", [0, 1, 2, 256], 4));
        AssertOneLine("row 0 answers -2 to question 0", () => Npy<int>("<i4", [-2, 1, 2, 2], 4));
        AssertOneLine("4 axes", () => Npy<int>("<i4", [0, 1, 2, 2], 4, 1, 1, 1));
        AssertOneLine("elements are <c8", () => Npy<long>("<c8", [0, 1, 2, 2], 4));
        AssertOneLine("truncated", () => Npy<int>("<i4", [0, 1, 2, 2], 4, 2));
        AssertOneLine("5000 questions", () => Npy<byte>("|u1", new byte[20_000], 4, 5000));
        AssertOneLine("0 questions", () => Npy<byte>("|u1", [], 4, 0));
        AssertOneLine("at most 65536", () => Npy<byte>("|u1", [.. Enumerable.Repeat((byte)255, 4 * 300)], 4, 300));
        AssertOneLine("Fortran", () =>
        {
            using var folder = new TemporaryFolder();
            var bytes = NpyFile.MakeHeader("<i4", 4);
            File.WriteAllBytes(folder["l.npy"],
                [.. Encoding.Latin1.GetBytes(Encoding.Latin1.GetString(bytes).Replace("False, ", "True,  ")),
                    .. new byte[16]]);
            NpyLabels.Read(folder["l.npy"], 4);
        });
    }

    [Fact]
    public void CsvClassesKeepTheirOrder()
    {
        var labels =
            Csv("\ufeffanimal,\"a, b\",n,flag,bit\r\ncat,x,10,TRUE,1\r\n,\"y\"\"\nz\",-1,false,0\r\ndog,x,2,,1\r\n");
        Assert.Equal(["animal", "a, b", "n", "flag", "bit"], labels.Questions.Select(q => q.Name));
        Assert.Equal([0, -1, 1], labels[0].ToArray());
        Assert.Equal(["x", "y\"\nz"], labels.Questions[1].Classes);
        Assert.Equal([1, -1, 0], labels[2].ToArray());
        Assert.Equal(["2", "10"], labels.Questions[2].Classes);
        Assert.Equal([1, 0, -1], labels[3].ToArray());
        Assert.Equal([1, 0, 1], labels[4].ToArray());
        Assert.Equal([false, false, false, true, true], labels.Questions.Select(q => q.Binary));
        Assert.Equal([0, -1, 0], Csv("q\na\n\na")[0].ToArray()); // an empty line is an unlabelled row of one question
    }

    [Theory]
    [InlineData("", "it is empty")]
    [InlineData("a,b\n1,2\n3,4\n", "labels 2 rows, the data have 3|fewer than 3 rows")]
    [InlineData("a\n1\n2\n3\n4\n", "more than the 3 rows")]
    [InlineData("a,b\n1,2\n3\n4,5\n", "row 1 has 1 answers to 2 questions")]
    [InlineData("a,a\n1,2\n3,4\n5,6\n", "two questions are named a")]
    [InlineData("a,\n1,2\n3,4\n5,6\n", "question 1 of its first line has no name")]
    [InlineData("a\n1\nNaN\n2\n", "row 1 answers 'NaN' to a: nan is not a class")]
    [InlineData("a\n1\n\"x\n2\n", "is not CSV")]
    [InlineData("a\n1\n\"x\"y\n2\n", "is not CSV")]
    public void InvalidCsvLabelsAreRefused(string text, string expected) => AssertOneLine(expected, () => Csv(text));

    [Fact]
    public void TooManyClassesAreRefused()
    {
        Assert.Equal(256, Csv($"q\n{string.Join('\n', Enumerable.Range(0, 256))}\n", 256).Questions[0].Classes.Length);
        AssertOneLine("row 256 answers 'c256' to q: it is class number 257",
            () => Csv($"q\n{string.Join('\n', Enumerable.Range(0, 257).Select(i => $"c{i}"))}\n", 257));
        AssertOneLine("at most 4096", () => Csv(string.Join(',', Enumerable.Range(0, 4097)) + "\n"));
    }

    [Fact]
    public void ClassesAreNamedAndRowsSelected()
    {
        var labels = Npy<int>("<i4", [0, 1, 2, 1], 4).Named(["empty", "mine", "theirs"]);
        Assert.Equal("l = theirs", labels.Name(labels.Properties[2]));
        Assert.Equal([1, 2, 0],
            labels.Take(3).Properties.Select(p => p.Positives == 1 ? p.Class == 2 ? 0 : p.Class + 1 : -1));
        AssertOneLine("gives 2 names; question l has 3 classes", () => labels.Named(["a", "b"]));
    }

    [Fact]
    public void TokensLabelThemselvesAndTheirNeighbours()
    {
        var labels = TokenLabels.Of([["▁a", "▁st", "out", "▁of", ")"], ["▁10", "s"]]);
        string[] Of(string name) => labels.Answers[Array.IndexOf(labels.Names, name)];
        Assert.Equal(["yes", "yes", "no", "yes", "no", "yes", "no"], Of("word start"));
        Assert.Equal(["yes", "no", "no", "no", "no", "no", "no"], Of("whole word"));
        Assert.Equal(["no", "no", "no", "no", "yes", "no", "no"], Of("punctuation"));
        Assert.Equal(["no", "no", "no", "no", "no", "yes", "no"], Of("digit"));
        Assert.Equal(["", "▁a", "▁st", "out", "▁of", "", "▁10"], Of("previous token"));
        Assert.Equal(["no", "no", "no", "no", "yes", "no", "yes"], Of("last"));
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["x.jsonl"], "{\"row\":0,\"tokens\":[\"▁a\"]}\n{\"row\":2,\"tokens\":[\"b\"]}\n");
        AssertOneLine("does not start at row 1", () => TokenLabels.Read(folder["x.jsonl"], 2));
        File.WriteAllText(folder["x.jsonl"], "{\"row\":0,\"tokens\":[\"▁a\"]}\n");
        AssertOneLine("1 tokens, the data have 2 rows", () => TokenLabels.Read(folder["x.jsonl"], 2));
        File.WriteAllText(folder["x.jsonl"], "{\"row\":0,\"tokens\":3}\n");
        AssertOneLine("line 1 is not a sentence", () => TokenLabels.Read(folder["x.jsonl"], 1));
    }
}
