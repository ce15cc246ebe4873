using System.Runtime.InteropServices;

namespace CudaSae.Tests;

/// <summary>Folders as data: each file is read or left out with a reason, or the folder is refused. The rule is the
/// table in docs/reference/formats.md.</summary>
public class FolderTests
{
    /// <summary>Writes a file of two rows, or of the number of rows that the name gives after '#'. Every number is
    /// <paramref name="value"/>.</summary>
    static void Write(string path, float value)
    {
        var rows = path.Contains('#') ? path[^1] - '0' : 2;
        path = path.Split('#')[0];
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        var bytes = MemoryMarshal.AsBytes<float>(Enumerable.Repeat(value, rows * 3).ToArray()).ToArray();
        switch (Path.GetExtension(path).ToLowerInvariant())
        {
            case ".pt":
                PtWriter.Write(path, [new("tensor", "F32", [rows, 3], s => s.Write(bytes))]);
                break;
            case ".npy" when path.EndsWith(".tokens.npy", StringComparison.Ordinal):
                File.WriteAllBytes(path, [.. NpyFile.MakeHeader("<i4", rows), .. new byte[4 * rows]]);
                break;
            case ".npy":
                File.WriteAllBytes(path, [.. NpyFile.MakeHeader("<f4", rows, 3), .. bytes]);
                break;
            default: File.WriteAllText(path, "{}"); break;
        }
    }

    /// <summary>Returns the numbers of the files that the rows come from, in order.</summary>
    static string Read(ActivationSource source)
    {
        var row = new float[3];
        var order = new List<float>();
        for (var i = 0L; i < source.Rows; i++)
        {
            source.ReadRow(i, row);
            if (order.Count == 0 || order[^1] != row[2]) order.Add(row[2]);
        }
        return string.Join(' ', order);
    }

    /// <param name="files">Paths relative to the folder; every number in the k-th file is k.</param>
    /// <param name="read">Numbers of the files that are read, in order.</param>
    /// <param name="remarks">Lines about the folder, which they call d.</param>
    [Theory]
    [InlineData("acts_a.pt acts_b.pt", "0 1")]
    [InlineData("x.pt", "0")]
    [InlineData("A.PT b.pt C.NPY.bak", "0 1", "left out of d: C.NPY.bak (of a format that is not read from a folder)")]
    [InlineData("A.NPY b.npy", "0 1")]
    [InlineData("0.PT 1.pt 10.pt#0 2.pt 3.pt 4.pt 5.pt 6.pt 7.pt 8.pt 9.pt", "0 1 3 4 5 6 7 8 9 10",
        "left out of d: 10.pt (0 rows)")]
    [InlineData("a.npy ._a.npy .DS_Store .cache/x.npy", "0", "left out of d: .DS_Store, ._a.npy, .cache (hidden)")]
    [InlineData("0.pt ._0.pt", "0", "left out of d: ._0.pt (hidden)")]
    [InlineData("a.npy b.json c.txt d.md5 e.npy.tmp f.npz g.pth", "0",
        "left out of d: b.json, c.txt, d.md5, e.npy.tmp, f.npz, g.pth (of a format that is not read from a folder)")]
    [InlineData("a.npy b1 b2 b3 b4 b5 b6 b7 b8 b9", "0",
        "left out of d: b1, b2, b3, b4, b5, b6 and 3 more (of a format that is not read from a folder)")]
    [InlineData("a.npy sub/b.npy x.npy/c.npy", "0",
        "left out of d: sub, x.npy (folders inside are not entered: name one to read it)")]
    [InlineData("a.pt b.pt#0", "0", "left out of d: b.pt (0 rows)")]
    [InlineData("a.npy a.tokens.npy a.site.json", "0")]
    [InlineData("a.npy z.tokens.npy", "0", "left out of d: z.tokens.npy (token ids without a .npy of that name)")]
    [InlineData("a.npy a.tokens.npy b.npy", "0 2", "token ids are left out: d/b.npy has none")]
    [InlineData("a.npy t10k-images-idx3-ubyte", "0",
        "left out of d: t10k-images-idx3-ubyte (images: name the file to read it)")]
    [InlineData("0.pt 1.pt mean.pt a.npy", "0 1", "left out of d: a.npy, mean.pt (not among the numbered chunks)")]
    [InlineData("acts_1.pt acts_2.pt acts_10.pt", "0 2 1",
        "d: files are read in the order of their names as text, acts_10.pt before acts_2.pt")]
    [InlineData("acts_0.npy acts_1.npy acts_3.npy", "0 1 2", "d: acts_N.npy is missing for N = 2")]
    [InlineData("x-0-of-3.npy x-1-of-3.npy", "0 1", "d: x-N-of-3.npy is missing for N = 2")]
    [InlineData("layer_3.npy layer_11.npy", "1 0",
        "d: files are read in the order of their names as text, layer_11.npy before layer_3.npy")]
    [InlineData("á~[1].pt ü*?.pt", "0 1")]
    public void FilesAreReadOrLeftOutWithTheReason(string files, string read, params string[] remarks)
    {
        using var folder = new TemporaryFolder();
        foreach (var (i, file) in files.Split(' ').Index())
            if (file == "a.site.json") File.WriteAllText(folder["d/" + file], """{"model": "m", "site": "s"}""");
            else Write(folder["d/" + file], i);
        foreach (var slash in new[] { "", "/" })
        {
            using var source = ActivationSource.Open([folder["d"] + slash]);
            Assert.Equal(read, Read(source));
            Assert.Equal(remarks.Order(), source.Remarks.Select(line => line.Replace(folder["d"], "d")).Order());
            var hidden = files.Split(' ').Count(file => file.StartsWith('.'));
            Assert.Equal(hidden, source.LeftOut.Count(file => file.Reason == "hidden"));
        }
    }

    [Theory]
    [InlineData("a.npy b.pt", @"d holds \.pt files \(b\.pt\) and other activation files \(a\.npy\); name the files")]
    [InlineData("x.npz sub/a.npy", @"holds no \.npy, .* it holds x\.npz; name one of its folders: sub$")]
    [InlineData("t10k-images-idx3-ubyte", "images are read by the names of their files")]
    [InlineData("0.pt 2.pt", "chunk 1 should come after 0.pt, but 2.pt does")]
    [InlineData("1.pt", "chunk 0 should come first")]
    [InlineData("a.pt#0", "holds no rows")]
    [InlineData("a.npy b.npy>empty", "b.npy is empty")]
    [InlineData("a.pt b.pt>/nonexistent", "b.pt is a link to /nonexistent, which does not exist")]
    [InlineData("a.npy b.npy>a.npy", "d/b.npy and .*d/a.npy are the same file")]
    [InlineData("a.npy l.npy>l.npy", "l.npy cannot be read: Too many levels")]
    public void AFolderThatIsAmbiguousOrDamagedIsRefusedInOneLine(string files, string expected)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "links");
        using var folder = new TemporaryFolder();
        foreach (var file in files.Split(' '))
            if (file.Split('>') is not [var name, var target]) Write(folder["d/" + file], 1);
            else if (target == "empty") File.WriteAllBytes(folder["d/" + name], []);
            else File.CreateSymbolicLink(folder["d/" + name], target);
        AssertOneLine(expected, () => ActivationSource.Open([folder["d"]]).Dispose());
    }

    [Fact]
    public void AFileIsReadOnceByAnyPath()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "links");
        using var folder = new TemporaryFolder();
        Write(folder["d/a.npy"], 1);
        Directory.CreateSymbolicLink(folder["e"], folder["d"]);
        Directory.CreateSymbolicLink(folder["d/self"], ".");       // a loop, which is not entered
        AssertOneLine("named twice", () => ActivationSource.Open([folder["d"], folder["d/a.npy"]]).Dispose());
        AssertOneLine("e/a.npy and .*d/a.npy are the same file",
            () => ActivationSource.Open([folder["d/a.npy"], folder["e"]]).Dispose());
        using var source = ActivationSource.Open([folder["e"]]);
        using var other = ActivationSource.Open([folder["d/a.npy"]]);
        Assert.EndsWith("e/a.npy", source.FileSharedWith(other));
        Assert.Equal([folder["e/self"]], source.LeftOut.Select(f => f.Path));
        using var joined = ActivationSource.Join(source, ActivationSource.Open([folder["d/a.npy"]]));
        Assert.Equal((2, 6, 1), (joined.Rows, joined.Width, joined.LeftOut.Count));
    }

    /// <summary>The command prints the files that are left out of its data, of the data beside them, and of the
    /// held-out rows.</summary>
    [Fact]
    public void CommandsPrintTheFilesThatAreLeftOut()
    {
        using var folder = new TemporaryFolder();
        string[] names = ["d/a.pt#9", "d/b.pt#9", "d/n.txt", "h/a.npy#4", "h/b.npy#5", "h/m.txt"];
        foreach (var (i, name) in names.Index()) Write(folder[name], i);
        var (code, output, error) = CliProgram.Run(CliProgram.Start(
            "train", folder["d"], "--held-out", folder["h"], "--latents", "8", "--k", "2",
            "--batch-rows", "2", "--vectors", "4", "--backend", "cpu", "--out", folder["run"]));
        Assert.True(code == 0, error);
        Assert.Contains($"left out of {folder["d"]}: n.txt (of a format", output);
        Assert.Contains($"left out of {folder["h"]}: m.txt (of a format", output);
        Assert.Contains("18 rows to train on, 9 held out", output);
    }
}
