using CudaSae.Lab.Insight.Images;
using CudaSae.Lab.Report;
using CudaSae.Lab.Synthetic;

namespace CudaSae.Tests;

/// <summary>The toy model of superposition, and the features that an SAE finds in it.</summary>
[Trait("speed", "slow")]
public class ToyTests
{
    static readonly ToyOptions Small = new()
    {
        Features = 7, Hidden = 3, Sparsity = 0.6, Importance = 0.8, Steps = 20, BatchRows = 32, Seed = 3
    };

    /// <summary>The model written out again, with W as [m, n] as in the paper.</summary>
    static double Loss(ToyModel model, double[] rows)
    {
        int n = model.Options.Features, m = model.Options.Hidden, count = rows.Length / n;
        double loss = 0;
        for (var r = 0; r < count; r++)
        {
            var h = new double[m];
            for (var j = 0; j < m; j++)
                for (var i = 0; i < n; i++) h[j] += model.W[i * m + j] * rows[r * n + i];
            for (var i = 0; i < n; i++)
            {
                var z = model.B[i];
                for (var j = 0; j < m; j++) z += model.W[i * m + j] * h[j];
                loss += Math.Pow(model.Options.Importance, i) * Math.Pow(Math.Max(0, z) - rows[r * n + i], 2) / count;
            }
        }
        return loss;
    }

    [Fact]
    public void GradientsMatchFiniteDifferences()
    {
        var model = new ToyModel(Small);
        model.Train();
        var (rows, gradient) = (new double[64 * 7], new double[7 * 3 + 7]);
        for (var r = 0; r < 64; r++) model.Draw(1000 + r, rows.AsSpan(r * 7, 7));
        Assert.Equal(Loss(model, rows), model.Gradient(rows, gradient), 1e-12);
        for (var p = 0; p < gradient.Length; p++)
        {
            var array = p < 21 ? model.W : model.B;
            ref var w = ref array[p < 21 ? p : p - 21];
            var at = w;
            w = at + 1e-6;
            var above = Loss(model, rows);
            w = at - 1e-6;
            var below = Loss(model, rows);
            w = at;
            Assert.Equal((above - below) / 2e-6, gradient[p], 1e-7);
        }
    }

    [Fact]
    public void FeaturesHaveTheRequestedSparsityAndHarvestedRowsAreWx()
    {
        var model = new ToyModel(Small);
        var (x, zeros, sum) = (new double[7], 0, 0.0);
        for (var r = 0; r < 5000; r++)
        {
            model.Draw(r, x);
            zeros += x.Count(v => v == 0);
            sum += x.Sum();
        }
        Assert.Equal(0.6, zeros / 35_000.0, 0.02);
        Assert.Equal(0.2, sum / 35_000, 0.01);
        var (rows, active) = model.Harvest(2000);
        Assert.Equal(7 * 0.4 / (1 - Math.Pow(0.6, 7)), active, 0.1);
        Assert.DoesNotContain(Enumerable.Range(0, 2000), r => rows.AsSpan(r * 3, 3).ToArray().All(h => h == 0));
        var next = 0;
        for (long row = 1L << 40; next < 50; row++)
        {
            model.Draw(row, x);
            if (x.All(v => v == 0)) continue;
            for (var h = 0; h < 3; h++)
                Assert.Equal(Enumerable.Range(0, 7).Sum(i => x[i] * model.W[i * 3 + h]), rows[next * 3 + h], 1e-6);
            next++;
        }
    }

    [Fact]
    public void FiveFeaturesInAPlaneFormAPentagonThatAnSaeFinds()
    {
        var options = new ToyOptions { Features = 5, Hidden = 2, Sparsity = 0.95, Steps = 1500 };
        using var study = ToyStudy.Run(options, new("topk", 10, 10_000));
        Assert.Equal([0, 1, 2, 3, 4], study.Features);
        double[] angles = [.. study.Features.Select(i => Math.Atan2(study.Model.Column(i)[1], study.Model.Column(i)[0]))
            .Order()];
        for (var i = 0; i < 5; i++)
            Assert.Equal(72, ((angles[(i + 1) % 5] - angles[i] + (i == 4 ? 2 * Math.PI : 0)) * 180 / Math.PI), 4.0);
        foreach (var i in study.Features) Assert.Equal(0.4, study.Model.Dimensionality(i), 0.03);
        Assert.Equal(1, study.Recovered);
        Assert.Equal(5, study.Latents.Distinct().Count());
        for (var i = 0; i < 5; i++)
        {
            var row = study.Sae.Parameters.WDec[study.Latents[i]].ToArray();
            double[] column = study.Model.Column(i).ToArray();
            var cosine = (row[0] * column[0] + row[1] * column[1]) / Math.Sqrt(((double)row[0] * row[0]
                + (double)row[1] * row[1]) * (column[0] * column[0] + column[1] * column[1]));
            Assert.Equal(cosine, study.Cosines[i], 1e-5);
        }
        using var folder = new TemporaryFolder();
        ToyChapter.Of(study, study, [study], "cudasae toy").Save(folder["run"]);
        var chapter = Assert.Single(Chapter.Load(folder["run"]));
        Assert.All(chapter.Figures, f => Assert.NotEmpty(f.Finding));
        var heat = Assert.Single(chapter.Figures.OfType<HeatFigure>(), f => f.Id == "matched");
        for (var i = 0; i < 5; i++) Assert.Equal(study.Cosines[i], heat.Values[i * 5 + i], 1e-6);
    }

    /// <summary>A model without sparsity represents as many features as it has dimensions, each in its own
    /// direction.</summary>
    [Fact]
    public void DenseFeaturesAreNotSuperposed()
    {
        var model = new ToyModel(Small with { Sparsity = 0, Steps = 3000, Importance = 0.5, Features = 6, Hidden = 2 });
        model.Train();
        Assert.Equal([0, 1], Enumerable.Range(0, 6).Where(i => model.Norm(i) > ToyStudy.Represented));
        foreach (var i in (int[])[0, 1]) Assert.Equal(1, model.Dimensionality(i), 0.05);
    }

    [Fact]
    public void ImpossibleModelsAreRefusedInOneLine()
    {
        ToyOptions[] bad = [Small with { Features = 1 }, Small with { Hidden = 8 }, Small with { Sparsity = 1 },
            Small with { Importance = 0 }, Small with { Steps = 0 }, Small with { BatchRows = 0 },
            Small with { LearningRate = double.NaN }];
        foreach (var options in bad) AssertOneLine("toy model with", () => _ = new ToyModel(options));
    }

    [Fact]
    public void TheFileHoldsTheModel()
    {
        using var folder = new TemporaryFolder();
        var model = new ToyModel(Small);
        model.Save(folder["toy.safetensors"]);
        using var file = new SafetensorsFile(folder["toy.safetensors"]);
        using var w = new Numerics.Matrix(3, 7);
        file.Matrix("W", w);
        for (var h = 0; h < 3; h++)
            for (var i = 0; i < 7; i++) Assert.Equal((float)model.W[i * 3 + h], w[h][i]);
    }
}
