using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>Activations that SAELens cached: HuggingFace datasets and Arrow streams.</summary>
public class ArrowTests
{
    static ActivationSource Open(TemporaryFolder folder, ArrowBytes arrow, string? column = null)
    {
        File.WriteAllBytes(folder["x.arrow"], arrow.Write());
        return ActivationSource.Open([folder["x.arrow"]], column);
    }

    public static readonly TheoryData<string, bool, bool, bool> Kinds = new()
    {
        { "F32", false, false, true }, { "F16", false, false, true }, { "F32", true, false, false },
        { "F16", false, true, false },
    };

    [Theory, MemberData(nameof(Kinds))]
    public void RowsAndTokensAreReadAsWritten(string element, bool large, bool framed, bool fixedTokens)
    {
        using var folder = new TemporaryFolder();
        using var source = Open(folder,
            new() { Element = element, LargeLists = large, Framed = framed, FixedTokenLists = fixedTokens },
            ArrowBytes.Hook);
        Assert.Equal((20, 3, true, ArrowBytes.Hook), (source.Rows, source.Width, source.HasTokens, source.Site));
        Assert.Equal(element == "F32" ? InputType.Float32 : InputType.Float16, source.Type);
        var row = new float[3];
        for (var i = 0; i < 20; i++)
        {
            source.ReadRow(i, row);
            Assert.Equal([3 * i / 8f, (3 * i + 1) / 8f, (3 * i + 2) / 8f], row);
            Assert.Equal(1000 + i, source.Token(i));
        }
    }

    [Fact]
    public void DatasetFilesAreReadInTheOrderOfTheState()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder["d"]);
        var (one, two) = (new ArrowBytes { Contexts = [1, 0], TokenPositions = 0 }.Write(),
            new ArrowBytes { Contexts = [0, 4], TokenPositions = 0 }.Write());
        File.WriteAllBytes(folder["d/data-00000-of-00002.arrow"], one);
        AssertOneLine("holds 1 of 00002 files", () => ActivationSource.Open([folder["d"]]).Dispose());
        File.WriteAllBytes(folder["d/data-00001-of-00002.arrow"], two);
        using (var source = ActivationSource.Open([folder["d"]]))
            Assert.Equal((20, false), (source.Rows, source.HasTokens));
        File.WriteAllText(folder["d/state.json"],
            """{"_data_files": [{"filename": "data-00001-of-00002.arrow"}, """
            + """{"filename": "data-00000-of-00002.arrow"}], "_split": null}""");
        using (var source = ActivationSource.Open([folder["d"]])) Assert.Contains("data-00000", source.Locate(16));
        File.WriteAllText(folder["d/state.json"], """{"_data_files": [{"filename": "../x.arrow"}]}""");
        AssertOneLine("not beside it", () => ActivationSource.Open([folder["d"]]).Dispose());
        File.WriteAllBytes(folder["d/empty.arrow"], new ArrowBytes { Contexts = [] }.Write());
        File.WriteAllText(folder["d/state.json"],
            """{"_data_files": [{"filename": "empty.arrow"}, {"filename": "data-00001-of-00002.arrow"},"""
            + """ {"filename": "empty.arrow"}]}""");
        using (var source = ActivationSource.Open([folder["d"]])) Assert.Equal((16, 3), (source.Rows, source.Width));
        File.WriteAllText(folder["d/state.json"], """{"_data_files": 5}""");
        AssertOneLine("does not name", () => ActivationSource.Open([folder["d"]]).Dispose());
    }

    [Fact]
    public void UnexpectedStreamsAreRefusedInOneLine()
    {
        using var folder = new TemporaryFolder();
        void Refused(string expected, ArrowBytes arrow, string? column = null) =>
            AssertOneLine(expected, () => Open(folder, arrow, column).Dispose());
        Refused("truncated", new() { Ended = false });
        Refused("not one column", new() { Element = "F64" });
        Refused("no column other", new(), "other");
        Refused("lists of 3 and of 4", new() { ListTooLong = 2 });
        Refused("holds nulls", new() { Nulls = 1 });
        Refused("claims", new() { NodeBonus = 1 });
        Refused("claims", new() { NodeBonus = 1L << 61 });
        Refused("compressed", new() { Compressed = true });
        Refused("big-endian", new() { BigEndian = true });
        Refused("type 24", new() { TextType = 24 });
        Refused("one token id for each row", new() { TokenPositions = 5 });
        Refused("0 wide", new() { Width = 0 });
        Refused("no rows", new() { Contexts = [] });
        Refused("no rows", new() { Contexts = [0] });
        var whole = new ArrowBytes().Write();
        for (var length = 0; length < whole.Length; length += 7)
        {
            File.WriteAllBytes(folder["cut.arrow"], whole[..length]);
            AssertOneLine("truncated|no message|is empty",
                () => ActivationSource.Open([folder["cut.arrow"]]).Dispose());
        }
    }

    /// <summary>Files with random changes of bytes are read or refused, and no row lies outside the file.</summary>
    [Fact]
    public void DamagedFilesAreReadOrRefused()
    {
        using var folder = new TemporaryFolder();
        var whole = new ArrowBytes { Contexts = [2] }.Write();
        var random = new Random(3);
        var refused = 0;
        for (var t = 0; t < 3000; t++)
        {
            var damaged = whole.ToArray();
            for (var n = random.Next(1, 4); n > 0; n--)
                damaged[random.Next(damaged.Length)] =
                    random.Next(3) switch { 0 => 0, 1 => 255, _ => (byte)random.Next(256) };
            File.WriteAllBytes(folder["x.arrow"], damaged);
            try
            {
                using var source = ActivationSource.Open([folder["x.arrow"]]);
                var row = new float[source.Width];
                for (var i = 0L; i < Math.Min(source.Rows, 100); i++)
                {
                    source.ReadRow(i, row);
                    if (source.HasTokens) _ = source.Token(i);
                    source.ReadRow(source.Rows - 1 - i, row);
                }
            }
            catch (SaeException e)
            {
                Assert.DoesNotContain('\n', e.Message);
                refused++;
            }
        }
        Assert.InRange(refused, 500, 2900);
    }
}
