using System.Text.Json.Nodes;
using CudaSae.Lab.Insight;
using CudaSae.Lab.Report;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>Fronts, and the baseline of principal components compared with numpy.</summary>
public class ParetoTests
{
    static SweepPoint Point(string line, double l0, double fvu) =>
        new($"{line}-{l0}", line, 64, l0, new(null, new Evaluation(100, fvu, l0, 1, 0.9, 1), 1));

    [Fact]
    public void TheFrontOmitsDominatedMembers()
    {
        SweepPoint[] points = [Point("a", 8, 0.4), Point("a", 32, 0.2), Point("b", 10, 0.42), Point("b", 30, 0.19),
            Point("c", 64, 0.19), Point("b", 64, 0.1)];
        Assert.Equal(["a-8", "b-30", "b-64"], Pareto.Front(points).Select(p => p.Name));
        var chapter = Pareto.Report(points, null, "");
        var front = ((LinesFigure)chapter.Figures[0]).Series.Single(s => s.Name == "Pareto front");
        Assert.Equal([8f, 30f, 64f], front.X);
        // a at 32 is 0.2; b between (30, 0.19) and (64, 0.1): 0.19 (0.1/0.19)^(ln(32/30)/ln(64/30)) = 0.1799, so a
        // leaves 11.2 % more.
        Assert.Equal(0.19 * Math.Pow(0.1 / 0.19, Math.Log(32 / 30.0) / Math.Log(64 / 30.0)),
            Pareto.At(points.Where(p => p.Line == "b"), 32)!.Value, 1e-12);
        Assert.Equal("3 of 6 members lie on the Pareto front: b (2), a (1). At L0 32 b leaves the least unexplained, "
            + "FVU 0.1799; a leaves 11.2 % more.",
            chapter.Figures[0].Finding);
        Assert.Null(Pareto.At(points.Where(p => p.Line == "a"), 33));
    }

    static double[] Symmetric(int d, int seed)
    {
        var random = new Random(seed);
        var a = new double[d * d];
        for (var i = 0; i < d; i++)
            for (var j = 0; j <= i; j++) a[i * d + j] = a[j * d + i] = random.NextDouble() - 0.5;
        return a;
    }

    /// <summary>A v = λ v, and the vectors are orthonormal up to rounding, including equal eigenvalues and matrices
    /// that are already diagonal.</summary>
    [Theory, InlineData(1), InlineData(2), InlineData(5), InlineData(37), InlineData(300)]
    public void EigenvectorsSatisfyTheirDefinition(int d)
    {
        var a = Symmetric(d, d);
        if (d == 5)
        {
            Array.Clear(a);
            for (var i = 0; i < d; i++) a[i * d + i] = i < 3 ? 2 : -1;
        }
        var eigen = new SymmetricEigen(a, d);
        for (var j = 0; j < d; j++)
        {
            var v = eigen.Vector(j);
            if (j > 0) Assert.True(eigen.Values[j] <= eigen.Values[j - 1]);
            for (var i = 0; i < d; i++)
                Assert.Equal(eigen.Values[j] * v[i], Doubles.Dot(a.AsSpan(i * d, d), v), 1e-12 * d);
            for (var i = 0; i <= j; i++) Assert.Equal(i == j ? 1 : 0, Doubles.Dot(v, eigen.Vector(i)), 1e-13 * d);
        }
        AssertOneLine("not finite", () => new SymmetricEigen([double.NaN], 1));
    }

    [Fact]
    public void ComponentsMatchNumpy()
    {
        Assert.SkipWhen(Python.WithTorch is null, Python.Missing);
        using var folder = new TemporaryFolder();
        const int Rows = 900, Held = 150, D = 70;
        var random = new Random(3);
        var mixing = Symmetric(D, 8);
        var values = new float[Rows * D];
        for (var r = 0; r < Rows; r++)
        {
            var latent = Enumerable.Range(0, D).Select(i => (random.NextDouble() - 0.3) / (1 + 0.2 * i)).ToArray();
            for (var c = 0; c < D; c++) values[r * D + c] = (float)Doubles.Dot(latent, mixing.AsSpan(c * D, D)) + 0.5f;
        }
        Write(folder["x.npy"], values.AsSpan(0, (Rows - Held) * D), D);
        Write(folder["held.npy"], values.AsSpan((Rows - Held) * D), D);
        Python.Run("pca.py", folder["x.npy"], folder["held.npy"], folder["pca.json"]);
        var numpy = JsonNode.Parse(File.ReadAllText(folder["pca.json"]))!;

        using var source =
            ActivationSource.Of(System.Runtime.InteropServices.MemoryMarshal.AsBytes(values.AsSpan()).ToArray(),
            D, InputType.Float32);
        var pca = new Pca(source, Rows - Held, 0, D);
        var (components, largest) = pca.Unexplained(new(source, Rows - Held, Held), 0);
        for (var j = 0; j < D; j++)
        {
            Assert.Equal((double)numpy["values"]![j]!, pca.Eigen.Values[j], 1e-8 * pca.Eigen.Values[0]);
            Assert.Equal(1,
                Math.Abs(Doubles.Dot([.. numpy["vectors"]![j]!.AsArray().Select(v => (double)v!)],
                    pca.Eigen.Vector(j))),
                1e-8);
        }
        for (var k = 0; k <= D; k++)
        {
            Assert.Equal((double)numpy["components"]![k]!, components[k], 1e-8);
            Assert.Equal((double)numpy["largest"]![k]!, largest[k], 1e-8);
        }
        Assert.True(largest[10] < components[10]);
    }

    static void Write(string path, ReadOnlySpan<float> rows, int width)
    {
        using var stream = File.Create(path);
        stream.Write(NpyFile.MakeHeader("<f4", rows.Length / width, width));
        stream.Write(System.Runtime.InteropServices.MemoryMarshal.AsBytes(rows));
    }
}
