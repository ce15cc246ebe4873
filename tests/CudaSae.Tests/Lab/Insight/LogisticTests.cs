using CudaSae.Lab.Insight.Probes;

namespace CudaSae.Tests;

public class LogisticTests
{
    const int Rows = 200, Columns = 5;

    /// <summary>Makes columns of very different size; the answer depends on two of them and on chance.</summary>
    internal static (float[] X, bool[] Positive) Problem(int rows, int columns, int seed)
    {
        var random = new Random(seed);
        var (x, positive) = (new float[rows * columns], new bool[rows]);
        for (var r = 0; r < rows; r++)
        {
            for (var j = 0; j < columns; j++)
                x[r * columns + j] = (float)(Math.Pow(10, j % 4 - 2) * (random.NextDouble() - 0.3) + j);
            positive[r] = (x[r * columns] - 0.002) * 100
                + (x[r * columns + 1 % columns] - 1.02) * 20 * Math.Sign(columns - 1) + 2 * random.NextDouble() > 1.2;
        }
        return (x, positive);
    }

    [Fact]
    public void TheGradientMatchesFiniteDifferences()
    {
        var (x, positive) = Problem(Rows, Columns, 1);
        var fit = LogisticRegression.Fit(x, positive, Columns, 0.1);
        double[] at = [0.3, -0.2, 0.5, 0.1, -0.4, 0.7], gradient = new double[Columns + 1],
        none = new double[Columns + 1], curvature = new double[Rows];
        fit.Loss(x, positive, 0.1, at, gradient, curvature);
        for (var i = 0; i <= Columns; i++)
        {
            double[] up = [.. at], down = [.. at];
            (up[i], down[i]) = (at[i] + 1e-5, at[i] - 1e-5);
            Assert.Equal((fit.Loss(x, positive, 0.1, up, none, curvature) - fit.Loss(x, positive, 0.1, down, none,
                curvature)) / 2e-5,
                gradient[i], 1e-8);
        }
    }

    [Theory]
    [InlineData(1, 1e-3), InlineData(5, 1e-3), InlineData(40, 1e-2), InlineData(5, 1e-8)]
    public void FittingEndsWhereTheGradientVanishes(int columns, double l2)
    {
        var (x, positive) = Problem(Rows, columns, 2);
        var fit = LogisticRegression.Fit(x, positive, columns, l2);
        Assert.True(fit.Converged, $"{fit.Gradient} after {fit.Steps} steps");
        Assert.InRange(fit.Steps, 2, 50);
        double[] gradient = new double[columns + 1], curvature = new double[Rows];
        fit.Loss(x, positive, l2, [.. fit.Weights, fit.Bias], gradient, curvature);
        Assert.All(gradient, g => Assert.InRange(g, -1e-9, 1e-9));
    }

    [Fact]
    public void TiedOrSeparableDataHaveOneSolution()
    {
        // the second column is constant
        float[] x = [.. Enumerable.Range(0, 100).SelectMany(r => (float[])[r < 50 ? 0 : 1, 7])];
        bool[] positive = [.. Enumerable.Range(0, 100).Select(r => r >= 50)];
        var fit = LogisticRegression.Fit(x, positive, 2);
        Assert.True(fit.Converged);
        Assert.Equal(0, fit.Weights[1]);
        var z = new double[100];
        fit.Predict(x, z);
        Assert.Equal(new ProbeScore(1, 1, 1), ProbeScore.Of(z, positive, z, positive));
        Assert.Throws<SaeException>(() => LogisticRegression.Fit(x, positive, 2, 0));
        Assert.Throws<ArgumentException>(() => LogisticRegression.Fit(x, new bool[100], 2));
    }

    /// <summary>A column that is active on one row is 90 standard deviations there: a full step jumps over the minimum,
    /// and the next step jumps back.</summary>
    [Fact]
    public void AColumnActiveOnOneRowCausesNoOscillation()
    {
        var (x, positive, random) = (new float[8000 * 3], new bool[8000], new Random(4));
        for (var r = 0; r < 8000; r++)
        {
            positive[r] = r % 120 == 0;
            (x[3 * r], x[3 * r + 1]) = (random.Next(positive[r] ? 3 : 40) == 0 ? 1 + random.NextSingle() : 0,
                random.Next(positive[r] ? 5 : 60) == 0 ? 2 : 0);
        }
        x[2] = 1;
        var fit = LogisticRegression.Fit(x, positive, 3);
        Assert.True(fit.Converged, $"{fit.Gradient} after {fit.Steps} steps");
        Assert.InRange(fit.Weights[2], 0.02, 0.2);
    }

    [Fact]
    public void ScoresOfAProbeMatchTheirDefinition()
    {
        double[] z = [2, 1, 1, -1, -3, 0.5], fitted = [5, 1, 0, -2];
        bool[] truth = [true, false, true, false, true, false], fittedTruth = [true, true, false, false];
        var score = ProbeScore.Of(fitted, fittedTruth, z, truth);         // best threshold there: 1
        Assert.Equal((2 * 2 / 6.0, 3 / 6.0), (score.F1, score.Accuracy));
        Assert.Equal((3 + 2.5 + 0) / 9, score.Auroc, 1e-15);
        Assert.Equal(new ProbeScore(2 * 0.5 / 1.5, 0.5, 0.5), ProbeScore.Blind([true, true, false], truth));
    }
}
