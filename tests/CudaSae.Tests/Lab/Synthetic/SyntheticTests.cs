using System.Xml.Linq;
using CudaSae.Lab.Synthetic;
using CudaSae.Numerics;

namespace CudaSae.Tests;

public class SyntheticTests
{
    static readonly SuperpositionOptions Small = new()
    {
        Features = 20, Width = 12, Rows = 1000, L0 = 3, Noise = 0.1, Correlation = 0.5, Seed = 7
    };

    static Matrix Random(int rows, int columns, int seed)
    {
        var (random, matrix) = (new Random(seed), new Matrix(rows, columns));
        for (var r = 0; r < rows; r++)
            for (var c = 0; c < columns; c++) matrix[r][c] = (float)random.NextDouble() - 0.5f;
        return matrix;
    }

    [Fact]
    public void AnyRowCanBeMadeAlone()
    {
        using var folder = new TemporaryFolder();
        var options = Small with { Rows = 3000, Width = 1000 };    // three blocks
        using (var data = new Superposition(options)) data.WriteRows(folder["x.npy"]);
        using var again = new Superposition(options);
        using var other = new Superposition(options with { Seed = 8 });
        using var source = ActivationSource.Open([folder["x.npy"]]);
        Assert.Equal((3000, 1000), (source.Rows, source.Width));
        // out of order, and near the blocks' edges
        foreach (var (i, row) in new long[] { 2999, 0, 1047, 1048, 1049, 2096 }.Select(i => (i, new float[1000])))
        {
            source.ReadRow(i, row);
            Assert.Equal(row, again.Row(i));
            Assert.NotEqual(row, other.Row(i));
        }
    }

    [Fact]
    public void RowIsTheSumOfItsFeatures()
    {
        using var data = new Superposition(Small with { Noise = 0 });
        using var noisy = new Superposition(Small);
        double squares = 0, n = Small.Rows * Small.Width;
        for (long i = 0; i < Small.Rows; i++)
        {
            var expected = new double[Small.Width];
            for (var f = 0; f < Small.Features; f++)
                for (var c = 0; c < expected.Length; c++) expected[c] += data.Coefficient(i, f) * data.Dictionary[f][c];
            var (row, withNoise) = (data.Row(i), noisy.Row(i));
            for (var c = 0; c < expected.Length; c++)
            {
                Assert.Equal(expected[c], row[c], 1e-6);
                squares += Math.Pow(withNoise[c] - row[c], 2);
            }
        }
        Assert.InRange(Math.Sqrt(squares / n), 0.097, 0.103);
    }

    [Fact]
    public void DictionaryRowsAreDistinctUnitVectors()
    {
        using var data = new Superposition(Small with { Width = 200 });
        for (var a = 0; a < Small.Features; a++)
            for (var b = 0; b <= a; b++)
            {
                double dot = 0;
                for (var c = 0; c < 200; c++) dot += (double)data.Dictionary[a][c] * data.Dictionary[b][c];
                if (a == b) Assert.Equal(1, dot, 1e-6);
                else Assert.InRange(dot, -0.4, 0.4);    // standard deviation 0.07
            }
    }

    [Theory]
    [InlineData(0, 0, 3)]
    [InlineData(1, 0, 3)]
    [InlineData(0, 1.5, 3)]
    [InlineData(0.5, 1, 12)]    // the first features are active in every row
    [InlineData(0, 16, 15)]
    [InlineData(1, 2, 20)]
    public void ActiveFeaturesMatchTheRequestedCount(double correlation, double zipf, double l0)
    {
        const int Rows = 20_000;
        using var data = new Superposition(Small with
        {
            Correlation = correlation,
            ZipfExponent = zipf,
            L0 = l0
        });
        Assert.Equal(l0, data.Frequency.Sum(), 1e-9);
        var counts = new int[Small.Features];
        for (long i = 0; i < Rows; i++)
            for (var f = 0; f < counts.Length; f++)
            {
                if (data.Coefficient(i, f) is not (>= 0.5 and <= 1.5) and not 0)
                    Assert.Fail($"coefficient of row {i}, feature {f}");
                if (data.Coefficient(i, f) > 0) counts[f]++;
            }
        Assert.Equal(l0, counts.Sum() / (double)Rows, 0.1);
        // five standard deviations
        for (var f = 0; f < counts.Length; f++) Assert.Equal(data.Frequency[f], counts[f] / (double)Rows, 0.018);
    }

    /// <summary>Both features of a pair are active with probability ρ p + (1 − ρ) p²; features of different pairs with
    /// p².</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(0.5)]
    [InlineData(1)]
    public void CorrelationRaisesCoOccurrenceInPairsOnly(double correlation)
    {
        const int Rows = 20_000;
        using var data = new Superposition(Small with { Correlation = correlation, L0 = 4 });
        int pairs = 0, strangers = 0;
        for (long i = 0; i < Rows; i++)
        {
            if (data.Coefficient(i, 5) == 0) continue;
            if (data.Coefficient(i, 4) > 0) pairs++;
            if (data.Coefficient(i, 6) > 0) strangers++;
        }
        Assert.Equal(correlation * 0.2 + (1 - correlation) * 0.04, pairs / (double)Rows, 0.015);
        Assert.Equal(0.04, strangers / (double)Rows, 0.01);
    }

    [Fact]
    public void BadOptionsAreRefusedInOneLine()
    {
        SuperpositionOptions[] bad = [new() { Features = 0 }, new() { Width = 20_000 }, new() { Rows = 0 },
            new() { L0 = 65 }, new() { L0 = double.NaN },
            new() { Correlation = 1.1 }, new() { Noise = double.PositiveInfinity }, new() { ZipfExponent = -1 }];
        foreach (var options in bad)
            Assert.DoesNotContain('\n', Assert.Throws<SaeException>(() => new Superposition(options)).Message);
        foreach (var (m, d) in new[] { (5, 7), (6, 8) })
            Assert.Throws<SaeException>(() =>
                AttentionSuperposition.Create(new() { Features = m, Width = d, L0 = 1 }));
    }

    [Fact]
    public void AttentionalFeaturesFormAPentagonAcrossTwoHeads()
    {
        using var data = AttentionSuperposition.Create(new() { Features = 5, Width = 16, L0 = 0.5 });
        for (var a = 0; a < 5; a++)
        {
            foreach (var half in new[] { 0, 8 })
                Assert.Contains(data.Dictionary[a].Slice(half, 8).ToArray(), v => Math.Abs(v) > 0.01);
            for (var b = 0; b < 5; b++)
            {
                double dot = 0;
                for (var c = 0; c < 16; c++) dot += (double)data.Dictionary[a][c] * data.Dictionary[b][c];
                Assert.Equal(Math.Cos(2 * Math.PI * (a - b) / 5), dot, 1e-6);
            }
        }
        var picture = XDocument.Parse(AttentionSuperposition.Picture(data.Dictionary));
        Assert.Equal(5 * 16, picture.Descendants("{http://www.w3.org/2000/svg}title").Count());
    }

    [Theory]
    [InlineData(6, 6)]
    [InlineData(4, 6)]
    [InlineData(6, 4)]
    public void TheAssignmentIsOptimal(int rows, int columns)
    {
        for (var seed = 0; seed < 20; seed++)
        {
            using var gain = Random(rows, columns, seed);
            var columnOf = Assignment.Maximize(gain);
            Assert.Equal(Math.Min(rows, columns), columnOf.Where(c => c >= 0).Distinct().Count());
            var sum = columnOf.Select((c, r) => c < 0 ? 0.0 : gain[r][c]).Sum();
            Assert.Equal(Best(gain, 0, 0, Math.Max(0, rows - columns)), sum, 1e-6);
        }
    }

    static double Best(Matrix gain, int row, int used, int spare)
    {
        if (row == gain.Rows) return 0;
        var best = spare > 0 ? Best(gain, row + 1, used, spare - 1) : double.NegativeInfinity;
        for (var c = 0; c < gain.Columns; c++)
            if ((used >> c & 1) == 0) best = Math.Max(best, gain[row][c] + Best(gain, row + 1, used | 1 << c, spare));
        return best;
    }

    [Fact]
    public void APermutedFlippedAndScaledCopyMatchesCompletely()
    {
        using var truth = Random(50, 37, 1);
        using var learned = Random(80, 37, 2);
        for (var f = 0; f < 50; f++)
            for (var i = 0; i < 37; i++) learned[(f * 7 + 3) % 80][i] = truth[f][i] * (f % 2 == 0 ? -3 : 0.5f);
        var all = Recovery.Of(truth, learned);
        Assert.Equal((50, 80, 1.0), (all.Features, all.Latents, all.Recovered));
        foreach (var mean in new[] { all.MeanMaxCosine, all.MatchedCosine!.Value }) Assert.Equal(1, mean, 1e-6);
        using var strangers = Random(80, 37, 3);
        Assert.Equal(0, Recovery.Of(truth, strangers).Recovered);
    }

    /// <summary>One learned row between two true ones counts for both in MMCS, and for one in the matching.</summary>
    [Fact]
    public void MatchingUsesNoRowTwice()
    {
        using var truth = new Matrix(2, 2);
        using var learned = new Matrix(1, 2);
        truth[0][0] = truth[1][1] = learned[0][0] = learned[0][1] = 1;
        var half = Recovery.Of(truth, learned);
        Assert.Equal(0, half.Recovered);
        Assert.Equal(Math.Sqrt(0.5), half.MeanMaxCosine, 1e-6);
        Assert.Equal(Math.Sqrt(0.125), half.MatchedCosine!.Value, 1e-6);
        learned[0][0] = float.NaN;
        Assert.Contains("not finite", Assert.Throws<SaeException>(() => Recovery.Of(truth, learned)).Message);
        using var wide = new Matrix(1, 3);
        Assert.Contains("wide", Assert.Throws<SaeException>(() => Recovery.Of(truth, wide)).Message);
    }
}
