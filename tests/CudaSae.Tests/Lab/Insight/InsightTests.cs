using System.Globalization;
using System.Text.Json;
using CudaSae.Lab.Insight;
using CudaSae.Lab.Report;
using static CudaSae.Testing.Problems.InsightProblem;

namespace CudaSae.Tests;

/// <summary>Diagnostics compared with scalar double loops, and with numpy on saved weights and codes.</summary>
public class InsightTests
{
    static void AssertNear(double expected, double actual, double tolerance = 1e-5) =>
        Assert.True(double.IsNaN(expected) && double.IsNaN(actual)
            || Math.Abs(expected - actual) <= tolerance * Math.Max(1e-3, Math.Abs(expected)),
            $"expected {expected:R}, was {actual:R}");

    [Theory, InlineData("topk"), InlineData("relu"), InlineData("layer norm")]
    public void LatentStatisticsEqualScalarSums(string kind)
    {
        using var folder = new TemporaryFolder();
        using var p = new InsightProblem(folder, kind);
        var s = new LatentStatistics(p.Sae.Model);
        CodePass.Run(p.Sae, p.Source.Rows, s);
        double norms = 0, products = 0;
        for (var r = 0; r < Rows; r++)
        {
            norms += Dot(p.Reconstruct(r), p.Reconstruct(r));
            products += Dot(p.Reconstruct(r), p.X[r]);
        }
        AssertNear(norms / products, s.TotalGamma);
        for (var f = 0; f < N; f++)
        {
            int[] fired = [.. Enumerable.Range(0, Rows).Where(r => p.Code[r][f] != 0)];
            Assert.Equal(fired.Length, s.Firings[f]);
            AssertNear(fired.Length == 0 ? double.NaN : fired.Average(r => p.Code[r][f]), s.Mean(f));
            AssertNear(fired.Length == 0 ? double.NaN : fired.Average(r => p.Code[r][f] * p.Code[r][f]),
                s.MeanSquare(f));
            Assert.Equal(fired.Length == 0 ? 0 : fired.Max(r => p.Code[r][f]), s.Max[f]);
            double own = 0, left = 0;
            foreach (var r in fired)
            {
                double[] without = p.Reconstruct(r, i => i != f), with = p.Reconstruct(r);
                double[] c = [.. with.Zip(without, (a, b) => a - b)];
                own += Dot(c, c);
                left += Dot(c, p.X[r].Zip(without, (a, b) => a - b));
            }
            AssertNear(own > 0 && left > 0 ? own / left : double.NaN, s.Gamma(f));
        }
        Assert.Equal(0, s.Firings[5]);
        AssertNear(Math.Log10(0.5 / Rows), s.LogDensity(5));
        Assert.Equal(p.Code.CountBy(code => code.Count(v => v != 0)).Where(c => c.Value > 0).OrderBy(c => c.Key)
            .Select(c => (c.Key, (long)c.Value)),
            s.RowsByL0.Select((rows, l0) => (l0, rows)).Where(c => c.rows > 0));
    }

    [Theory, InlineData("topk"), InlineData("layer norm")]
    public void HighActivationsEqualCodesCutAtEachLevel(string kind)
    {
        using var folder = new TemporaryFolder();
        using var p = new InsightProblem(folder, kind);
        float[] max = [.. Enumerable.Range(0, N).Select(f => (float)p.Code.Max(code => code[f]))];
        var high = new HighActivations(p.Sae.Model, max);
        CodePass.Run(p.Sae, p.Source.Rows, high);
        double[] mean = [.. Enumerable.Range(0, D).Select(c => p.X.Average(x => x[c]))];
        var total = p.X.Sum(x => x.Zip(mean, (a, m) => (a - m) * (a - m)).Sum());
        for (var level = 0; level < 9; level++)
        {
            var bar = HighActivations.Levels[level];
            bool Above(int r, int f) => p.Code[r][f] > bar * max[f];
            AssertNear(Enumerable.Range(0, Rows).Average(r => Enumerable.Range(0, N).Any(f => Above(r, f)) ? 1.0 : 0),
                high.RowShare(level));
            AssertNear(Enumerable.Range(0, Rows).Average(r => Enumerable.Range(0, N).Count(f => Above(r, f))),
                high.PerRow(level));
            AssertNear(Enumerable.Range(0, Rows)
                .Sum(r => p.X[r].Zip(p.Reconstruct(r, f => Above(r, f)), (x, h) => (h - x) * (h - x)).Sum()) / total,
                high.Fvu(level));
        }
    }

    [Fact]
    public void CoordinatesAndProjectionEqualTwoPasses()
    {
        using var folder = new TemporaryFolder();
        using var p = new InsightProblem(folder, "topk");
        double[] direction = [.. Enumerable.Range(0, D).Select(c => Math.Sqrt((c + 1) * 2.0 / (D * (D + 1))))];
        var (input, along) = (new InputCoordinates(D), new InputProjection(direction));
        CodePass.Run(p.Sae, p.Source.Rows, input, along);
        double Variance(Func<double[], double> of) => p.X.Average(x => Math.Pow(of(x) - p.X.Average(of), 2));
        for (var c = 0; c < D; c++)
        {
            AssertNear(p.X.Average(x => x[c]), input.Mean[c]);
            AssertNear(Variance(x => x[c]), input.Variance(c));
        }
        AssertNear(p.X.Average(x => Dot(x, direction)), along.Mean);
        AssertNear(Variance(x => Dot(x, direction)), along.Variance);
        var byVariance = Enumerable.Range(0, D).OrderBy(c => Variance(x => x[c])).ToArray();
        for (var place = 0; place < D; place++) Assert.Equal(place + 1, input.VarianceRanks()[byVariance[place]]);
    }

    [Fact]
    public void GeometryAndComparisonEqualAllPairs()
    {
        using var folder = new TemporaryFolder();
        using InsightProblem p = new(folder, "topk"), other = new(folder, "topk", latents: 131, seed: 4);
        p.Weights.WEnc[9].Clear(); // the state after pruning
        for (var c = 0; c < D; c++) other.Weights.WDec[100][c] = p.Weights.WDec[3][c] * 2 + 0.01f * c;
        var g = new Geometry(p.Sae.Model);
        for (var f = 0; f < N; f++)
        {
            AssertNear(Math.Sqrt(Dot(Doubled(p.Weights.WDec[f]), Doubled(p.Weights.WDec[f]))), g.DecoderNorms[f]);
            AssertNear(f == 9 ? double.NaN : Cosine(p.Weights.WEnc, f, p.Weights.WDec, f), g.Projection[f]);
            AssertNear(Enumerable.Range(0, N).Where(j => j != f).Max(j => Cosine(p.Weights.WDec, f, p.Weights.WDec, j)),
                g.NearestDecoder[f].Cosine);
            AssertNear(Cosine(p.Weights.WDec, f, p.Weights.WDec, g.NearestDecoder[f].Row), g.NearestDecoder[f].Cosine);
            if (f != 9)
                AssertNear(Enumerable.Range(0, N).Where(j => j != f && j != 9)
                    .Max(j => Cosine(p.Weights.WEnc, f, p.Weights.WEnc, j)),
                    g.NearestEncoder[f].Cosine);
        }
        Assert.Equal((-1, double.NaN), g.NearestEncoder[9]);
        var comparison = new DictionaryComparison(p.Sae.Model, other.Sae.Model);
        double[][] cosines = [.. Enumerable.Range(0, N)
            .Select(f =>
                Enumerable.Range(0, 131).Select(j => Cosine(p.Weights.WDec, f, other.Weights.WDec, j)).ToArray())];
        AssertNear(cosines.Average(row => row.Max()), comparison.MmcsToLarge);
        AssertNear(Enumerable.Range(0, 131).Average(j => cosines.Max(row => row[j])), comparison.MmcsToSmall);
        Assert.Equal(100, comparison.NearestInLarge[3].Row);
        for (var f = 0; f < N; f++)
            Assert.Equal(Enumerable.Range(0, 131).Where(j => cosines[f][j] > DictionaryComparison.ChildBar)
                .OrderByDescending(j => cosines[f][j]),
                comparison.Children[f].Select(child => child.Row));
        Assert.Contains(comparison.Children, list => list.Length > 1);
    }

    [Fact]
    public void ClusterEqualsAllPairs()
    {
        using var folder = new TemporaryFolder();
        using var p = new InsightProblem(folder, "topk");
        int[] inside = [4, 7, 11, 20, 33, 50];
        foreach (var f in inside)
            for (var c = 0; c < D; c++) p.Weights.WEnc[f][c] += c == 2 ? 1.5f : c == 5 ? -0.8f : 0;
        var cluster = new RareCluster(p.Weights, inside);
        int[] outside = [.. Enumerable.Range(0, N).Except(inside)];
        double Mean(int[] a, int[] b) =>
            (from i in a from j in b where i != j select Cosine(p.Weights.WEnc, i, p.Weights.WEnc, j)).Average();
        AssertNear(Mean(inside, inside), cluster.CosineInside);
        AssertNear(Mean(outside, outside), cluster.CosineOutside);
        AssertNear(Mean(inside, outside), cluster.CosineBetween);
        Assert.True(cluster.CosineInside > 0.6 && Math.Abs(cluster.CosineOutside) < 0.2);
        Assert.Equal(15, cluster.PairCosines(cluster.Inside, cluster.Inside).Length);
        AssertNear(Mean(inside, inside), cluster.PairCosines(cluster.Inside, cluster.Inside).Average());
        AssertNear(Mean(inside, outside), cluster.PairCosines(cluster.Inside, cluster.Outside).Average());
        Assert.Equal(2, Enumerable.Range(0, D).MaxBy(c => Math.Abs(cluster.Direction[c])));
        AssertNear(1, Dot(cluster.Principal, cluster.Principal));
        AssertNear(inside.Average(cluster.ShareAlong),
            inside.Average(f =>
                Math.Pow(Dot(Doubled(p.Weights.WEnc[f]), cluster.Direction), 2) / Dot(Doubled(p.Weights.WEnc[f]),
                Doubled(p.Weights.WEnc[f]))));
    }

    [Fact]
    public void TwoKindsOfDensityAreFoundOnlyWhereTheyExist()
    {
        const int rows = 100_000;
        long[] Around(double log, double spread, int count, int seed)
        {
            var random = new Random(seed);
            return [.. Enumerable.Range(0, count)
                .Select(_ => (long)Math.Round(rows * Math.Pow(10,
                    log + spread * (random.NextDouble() + random.NextDouble() + random.NextDouble() - 1.5))))];
        }
        string? Objection(long[] firings) => DensityModes.Find(firings, rows).Objection(firings.Length, rows);
        long[] two = [.. Around(-4.6, 0.5, 40, 1), .. Around(-2, 0.7, 900, 2)], one = Around(-2, 0.7, 900, 2),
        broad = Around(-3, 2.2, 900, 3);
        Assert.Null(Objection(two));
        Assert.Equal(40, DensityModes.Find(two, rows).Rare);
        // here Otsu's criterion alone splits the large kind
        long[] few = [.. Around(-4.6, 0.5, 40, 1), .. Around(-2.5, 0.5, 9000, 2)];
        Assert.Null(Objection(few));
        Assert.Equal(40, DensityModes.Find(few, rows).Rare);
        Assert.Matches("overlap|no valley|not low|would", Objection(one)!);
        Assert.Matches("overlap|no valley", Objection(broad)!);
        long[] dead = [.. new long[200], .. one];
        Assert.Equal(200, DensityModes.Find(dead, rows).Rare);
        Assert.Null(Objection(dead));
        // all latents are silent
        Assert.NotNull(Objection(new long[50]));
    }

    [Fact]
    public void ChaptersAreSavedWithAFindingForEachFigure()
    {
        using var folder = new TemporaryFolder();
        using InsightProblem p = new(folder, "relu"), other = new(folder, "topk", latents: 40, seed: 9);
        foreach (var chapter in Diagnostics.Chapters(p.Sae, p.Source, ("Other run", other.Sae.Model)))
            chapter.Save(folder["run"]);
        var chapters = Chapter.Load(folder["run"]);
        Assert.Equal(["latents", "geometry", "ultralow", "against-other-run"], chapters.Select(s => s.Id));
        foreach (var figure in chapters.SelectMany(s => s.Figures))
        {
            Assert.Matches(@"^.{20,}\.$", figure.Finding);
            Assert.DoesNotContain("NaN", figure.Finding);
        }
        Assert.Contains($"Of {N} latents ", chapters[0].Figures[0].Finding);
        var counted = Assert.IsType<HistogramFigure>(chapters[0].Figures[0]).Series[0].Counts.Sum();
        Assert.Equal(Enumerable.Range(0, N).Count(f => p.Code.Any(code => code[f] != 0)), counted);
    }

    [Fact]
    public void NumpyComputesTheSameNumbers()
    {
        Assert.SkipWhen(Python.WithTorch is null, Python.Missing);
        using var folder = new TemporaryFolder();
        using var p = new InsightProblem(folder, "relu");
        p.Sae.Model.Save(folder["run"]);
        File.WriteAllBytes(folder["codes.bin"], [.. p.Code.SelectMany(row => row).SelectMany(BitConverter.GetBytes)]);
        int[] inside = [.. Enumerable.Range(0, N).Where(f => f % 10 > 7)];
        using var json = JsonDocument.Parse(Python.Run("insight.py", folder["run"], folder["x.npy"],
            folder["codes.bin"], string.Join(',', inside)));
        double[] Of(string name) => [.. json.RootElement.GetProperty(name).EnumerateArray()
            .Select(e => e.ValueKind == JsonValueKind.Null ? double.NaN : e.GetDouble())];
        var (s, input) = (new LatentStatistics(p.Sae.Model), new InputCoordinates(D));
        CodePass.Run(p.Sae, p.Source.Rows, s, input);
        var high = new HighActivations(p.Sae.Model, s.Max);
        CodePass.Run(p.Sae, p.Source.Rows, high);
        var (g, cluster) = (new Geometry(p.Sae.Model), new RareCluster(p.Weights, inside));
        var latents = Enumerable.Range(0, N);
        Same("density", latents.Select(s.Density));
        Same("mean", latents.Select(s.Mean));
        Same("mean_square", latents.Select(s.MeanSquare));
        Same("gamma", latents.Select(s.Gamma));
        Same("total", [s.TotalGamma, s.L0]);
        Same("high_fvu", Enumerable.Range(0, 9).Select(high.Fvu));
        Same("projection", g.Projection);
        Same("nearest_decoder", g.NearestDecoder.Select(n => n.Cosine));
        Same("nearest_encoder", g.NearestEncoder.Select(n => n.Cosine));
        Same("variance", Enumerable.Range(0, D).Select(input.Variance));
        Same("cluster", [cluster.CosineInside, cluster.CosineOutside, cluster.CosineBetween, cluster.PrincipalShare]);
        Same("principal", cluster.Principal.Select(Math.Abs));
        Same("share", latents.Select(cluster.ShareAlong));
        var covariance = new InputCovariance(input.Mean, Rows);
        CodePass.Run(p.Sae, p.Source.Rows, covariance);
        var (variances, shares) = SpectralShares.Of(covariance.Matrix(), cluster.Direction);
        Same("component_variances", variances);
        Same("component_shares", shares);

        void Same(string name, IEnumerable<double> actual)
        {
            var expected = Of(name);
            var numbers = actual.ToArray();
            Assert.Equal(expected.Length, numbers.Length);
            for (var i = 0; i < numbers.Length; i++)
                Assert.True(double.IsNaN(expected[i]) && double.IsNaN(numbers[i])
                    || Math.Abs(expected[i] - numbers[i]) <= 1e-5 * Math.Max(1e-3, Math.Abs(expected[i])),
                    string.Create(CultureInfo.InvariantCulture,
                        $"{name}[{i}]: numpy {expected[i]:R}, here {numbers[i]:R}"));
        }
    }
}
