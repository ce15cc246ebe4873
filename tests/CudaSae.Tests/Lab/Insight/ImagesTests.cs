using System.Runtime.InteropServices;
using CudaSae.Lab.Insight.Images;
using CudaSae.Lab.Report;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>Statistics of SAEs over images, compared with scalar loops in double, and the command that shows
/// them.</summary>
[Trait("speed", "slow")]
public sealed class ImagesTests
{
    const int Side = 8, Pixels = Side * Side, Images = 240, Classes = 3;

    /// <summary>Makes a bright bar, a block or a frame, one shape for each class, at varying places.</summary>
    static (byte[] Pixels, byte[] Labels) Drawn()
    {
        var random = new Random(4);
        var (bytes, labels) = (new byte[Images * Pixels], new byte[Images]);
        for (var i = 0; i < Images; i++)
        {
            labels[i] = (byte)random.Next(Classes);
            var (at, size) = (random.Next(Side - 3), 2 + random.Next(2));
            for (var y = 0; y < Side; y++)
                for (var x = 0; x < Side; x++)
                {
                    var on = labels[i] switch
                    {
                        0 => y == at,
                        1 => x >= at && x < at + size && y >= at && y < at + size,
                        _ => x == 0 || y == 0 || x == Side - 1 || y == Side - 1
                    };
                    bytes[i * Pixels + y * Side + x] = (byte)(random.Next(20) + (on ? 150 + random.Next(80) : 0));
                }
        }
        return (bytes, labels);
    }

    static ImageData Open(out int[] labels)
    {
        var (bytes, classes) = Drawn();
        float[] values = [.. bytes.Select(b => b / 255f)];
        labels = [.. classes.Select(c => (int)c)];
        var source = ActivationSource.Of(MemoryMarshal.AsBytes<float>(values).ToArray(), Pixels, InputType.Float32);
        return new(RowSlice.All(source), Side, labels);
    }

    [Fact]
    public void TopRowsDensitiesAndSharesAreCounted()
    {
        const int Rows = 100, Latents = 6;
        var random = new Random(9);
        var dense = new double[Rows, Latents];
        var top = new ImageLatents(Latents, 2, row => (int)row % 2);
        var codes = new SparseRows();
        foreach (var (first, count) in ((int, int)[])[(0, 60), (60, 40)])
        {
            codes.Clear();
            for (var r = first; r < first + count; r++)
            {
                // the last latent never fires
                int[] on = [.. Enumerable.Range(0, Latents - 1).Where(_ => random.Next(3) == 0)];
                float[] values = [.. on.Select(_ => (float)random.Next(1, 9))];     // with ties
                for (var e = 0; e < on.Length; e++) dense[r, on[e]] = values[e];
                codes.Add(on, values);
            }
            top.Visit(new(first, codes, [], [], []));
        }
        Assert.Equal((Rows, 50, 50), (top.Rows, top.ClassRows[0], top.ClassRows[1]));
        for (var f = 0; f < Latents; f++)
        {
            double[] column = [.. Enumerable.Range(0, Rows).Select(r => dense[r, f])];
            Assert.Equal(column.Count(v => v != 0) / (double)Rows, top.Density(f));
            var expected = Enumerable.Range(0, Rows).Where(r => column[r] != 0).OrderByDescending(r => column[r])
                .Take(ImageLatents.Kept).Select(r => ((float)column[r], (long)r));
            Assert.Equal(expected, top.Of(f));
            var even = column.Where((_, r) => r % 2 == 0).Sum();
            Assert.Equal(column.Sum() > 0 ? even / column.Sum() : 0, top.Share(f, 0), 1e-9);
            Assert.Equal(Math.Max(top.Share(f, 0), top.Share(f, 1)), top.Purity(f).Share);
        }
    }

    [Theory]
    [InlineData(new float[] { 1, 1, 1, 1 }, 1, 1)]
    [InlineData(new float[] { 0, -3, 0, 0 }, 0.25, 0.25)]
    [InlineData(new float[] { 1, -1, 0, 0.05f }, 0.5252, 0.5)]
    [InlineData(new float[] { 0, 0, 0, 0 }, 0, 0)]
    public void SupportIsTheParticipationRatio(float[] v, double support, double area)
    {
        Assert.Equal(support, AtomMeasures.Support(v), 1e-3);
        Assert.Equal(area, AtomMeasures.Area(v));
    }

    [Fact]
    public void AtomsAreMeasuredAgainstTheImages()
    {
        using var data = Open(out var labels);
        using var parameters = new SaeParameters(new()
        {
            InputWidth = Pixels, Latents = 10,
            Selection = new Selection.TopK(2)
        });
        var random = new Random(2);
        for (var f = 0; f < 10; f++)
            for (var p = 0; p < Pixels; p++)
                (parameters.WDec[f][p], parameters.WEnc[f][p]) =
                    ((float)random.NextDouble() - 0.5f, (float)random.NextDouble() - 0.5f);
        double[][] images = [.. Enumerable.Range(0, Images)
            .Select(i => Array.ConvertAll(data.Image(i), v => (double)v))];
        double[] mean = Mean(images);
        for (var p = 0; p < Pixels; p++) parameters.WDec[0][p] = (float)(3 * (images[7][p] - mean[p])); // a template
        using var measures = new AtomMeasures(data.Activations, data);
        var atoms = measures.Of(parameters);
        double[][] centred = [.. images.Select(x => Less(x, mean))];
        double[][] classes = [.. Enumerable.Range(0, Classes)
            .Select(c => Less(Mean([.. images.Where((_, i) => labels[i] == c)]), mean))];
        for (var f = 0; f < 10; f++)
        {
            double[] row = [.. parameters.WDec[f].ToArray().Select(v => (double)v)],
            encoder = [.. parameters.WEnc[f].ToArray().Select(v => (double)v)];
            Assert.Equal(centred.Max(x => Cosine(row, x)), atoms[f].Nearest, 1e-5);
            Assert.Equal(classes.Max(x => Cosine(row, x)), atoms[f].ClassMean, 1e-5);
            Assert.Equal(Cosine(row, encoder), atoms[f].EncoderCosine, 1e-5);
            Assert.Equal(Math.Pow(row.Sum(Math.Abs), 2) / (Pixels * row.Sum(v => v * v)), atoms[f].Support, 1e-6);
            Assert.Equal(Math.Pow(encoder.Sum(Math.Abs), 2) / (Pixels * encoder.Sum(v => v * v)),
                atoms[f].EncoderSupport, 1e-6);
        }
        Assert.Equal(1, atoms[0].Nearest, 1e-5);
        Assert.True(AtomMeasures.IsTemplate(atoms[0]) && !AtomMeasures.IsTemplate(atoms[1]));
        double[] alike = [.. centred.Select((x, i) => centred.Where((_, j) => j != i).Max(y => Cosine(x, y))).Order()];
        Assert.Equal((alike[119] + alike[120]) / 2, measures.ImageNearest, 1e-5);
        var part = new Atom(measures.ImageSupport * 0.4, 0, 0.7, 0, 0, 0);
        Assert.True(measures.IsPart(part) && !measures.IsPart(part with { Nearest = 1 })
            && !measures.IsPart(part with { Support = 0.9 }));
    }

    static double[] Mean(double[][] rows) => [.. Enumerable.Range(0, Pixels).Select(p => rows.Average(r => r[p]))];

    static double[] Less(double[] a, double[] b) => [.. a.Select((v, i) => v - b[i])];

    static double Cosine(double[] a, double[] b) =>
        a.Zip(b).Sum(p => p.First * p.Second) / Math.Sqrt(a.Sum(v => v * v) * b.Sum(v => v * v));

    [Fact]
    public void EachPictureIsScaledSeparately()
    {
        var signed = Pictures.Signed("a", "A", 2, [[1, -2, 0, 0.5f], [0, 0, 0, 0]], ["x", "y"]);
        Assert.Equal((2, 2, true), (signed.Width, signed.Height, signed.Signed));
        Assert.Equal([192, 1, 128, 160, 128, 128, 128, 128], signed.Pixels);
        Assert.Equal([255, 0, 128, 0], Pictures.Unsigned("a", "A", 2, [[4, -4, 2, 0]], ["x"]).Pixels);
    }

    [Fact]
    public void MismatchedImageDataAreRefusedInOneLine()
    {
        static ActivationSource Source() => ActivationSource.Of(new byte[4 * Pixels * 3], Pixels, InputType.Float32);
        AssertOneLine("--width 7", () => _ = new ImageData(RowSlice.All(Source()), 7));
        AssertOneLine("2 labels for the 3 images", () => _ = new ImageData(RowSlice.All(Source()), 8, [0, 1]));
        AssertOneLine("give --labels", () => _ = new ImageData(RowSlice.All(Source()), 8, null, null, (null!, 1)));
    }

    static void Cli(params string[] arguments)
    {
        var (code, _, error) = CliProgram.Run(CliProgram.Start(arguments));
        Assert.True(code == 0, error);
    }

    [Fact]
    public void FilesBecomeFigures()
    {
        using var folder = new TemporaryFolder();
        var (pixels, labels) = Drawn();
        var (images, classes) = (folder["t-images-idx3-ubyte.gz"], folder["t-labels-idx1-ubyte"]);
        File.WriteAllBytes(images, IdxBytes.Packed(IdxBytes.Idx(IdxType.UInt8, [Images, Side, Side], pixels)));
        File.WriteAllBytes(classes, IdxBytes.Idx(IdxType.UInt8, [Images], labels));
        string[] small = ["--latents", "24", "--k", "3", "--aux-k", "8", "--batch-rows", "48", "--vectors", "4800",
            "--backend", "cpu"];
        Cli(["train", images, "--held-out", "120", "--out", folder["run"], .. small]);
        Cli("images", folder["run"], "--labels", classes, "--classes", "bar,block,frame", "--width", "8");
        var chapter = Assert.Single(Chapter.Load(folder["run"]));
        Assert.Equal(("images", 500), (chapter.Id, chapter.Order));
        Assert.Equal(["atoms", "encoders", "template-or-part", "templates", "reconstructions", "cumulative", "means",
            "purity", "classes", "gallery"],
            chapter.Figures.Select(f => f.Id));
        Assert.All(chapter.Figures,
            f =>
                Assert.True(f.Finding.Length > 0 && f.Formula.Length > 0 && !f.Finding.Contains("NaN"),
                    $"{f.Id}: {f.Finding}"));
        Assert.All(chapter.Figures.OfType<ImagesFigure>(),
            f => Assert.Equal((f.Captions.Length * Pixels, Side, Side), (f.Pixels.Length, f.Width, f.Height)));

        Cli("harvest", "classifier", "--images", images, "--labels", classes, "--model", folder["c.safetensors"],
            "--hidden1", "20", "--hidden2", "10", "--epochs", "20", "--learning-rate", "0.01", "--out",
            folder["h.npy"]);
        Cli(["train", folder["h.hidden1.npy"], "--held-out", "120", "--out", folder["hidden"], .. small]);
        Cli("images", folder["hidden"], "--data", images, "--labels", classes, "--width", "8", "--classifier",
            folder["c.safetensors"]);
        chapter = Assert.Single(Chapter.Load(folder["hidden"]));
        Assert.Equal(["back-projections", "neurons", "means", "purity", "classes", "gallery", "downstream",
            "downstream-l0"],
            chapter.Figures.Select(f => f.Id));
        var table = chapter.Figures.OfType<TableFigure>().Single();
        var accuracy = table.Columns.Single(c => c.Name == "accuracy %").Numbers!;
        Assert.True(accuracy[0] > 85 && accuracy[1] > accuracy[3], string.Join(", ", accuracy));
        using var written = ActivationSource.Open([folder["h.hidden1.npy"]]);
        Assert.Equal((Images, 20), (written.Rows, written.Width));
        using var file = new MappedFile(folder["h.labels.npy"]);
        Assert.Equal(labels.Select(l => (int)l),
            MemoryMarshal.Cast<byte, int>(file.Slice(NpyFile.ReadHeader(file).DataOffset, 4 * Images)).ToArray());
    }
}
