using System.Runtime.InteropServices;
using System.Text.Json;
using CudaSae.Backends.Cpu;
using CudaSae.Lab.Insight;
using CudaSae.Lab.Insight.Probes;
using CudaSae.Lab.Report;
using CudaSae.Lab.Verification;
using CudaSae.Numerics;
using CudaSae.Training.Checkpoints;

namespace CudaSae.Tests;

/// <summary>Sums of squares about a mean that is up to a million times the deviation, compared with decimals of 28
/// digits; and the output where the variance is zero.</summary>
public class SpreadTests
{
    const int Rows = 300, D = 12;
    // double: 2⁻⁵³ times the 300 rows that the first row's deviation may exceed the others'
    const double Near = 1e-9;

    /// <summary>Computes Σ‖v − v̄‖² over rows of <paramref name="width"/>.</summary>
    public static decimal Spread(float[] values, int width)
    {
        decimal total = 0;
        for (var c = 0; c < width; c++)
        {
            var column = values.Where((_, i) => i % width == c).Select(v => (decimal)(double)v).ToArray();
            var mean = column.Sum() / column.Length;
            total += column.Sum(v => (v - mean) * (v - mean));
        }
        return total;
    }

    static float[] Values(float offset, int rows = Rows)
    {
        var random = new Random(5);
        return [.. Enumerable.Range(0, rows * D).Select(_ => offset + (float)(2 * random.NextDouble() - 1))];
    }

    static ActivationSource Source(float[] x) => ActivationSource.Of(MemoryMarshal.AsBytes<float>(x).ToArray(), D,
        InputType.Float32);

    [Theory, InlineData(0), InlineData(1e3f), InlineData(1e5f), InlineData(1e6f)]
    public void VariancesDoNotCancel(float offset)
    {
        var x = Values(offset);
        var expected = (double)Spread(x, D);

        var totals = new EvaluationTotals(D, 4);
        for (var b = 0; b < Rows; b++) totals.Add(x.AsSpan(b * D, D), 1,
            [.. x.AsSpan(b * D, D).ToArray().Select(v => v - 0.125f)]);
        decimal error = 0;
        foreach (var v in x) error += (decimal)(double)(v - (v - 0.125f)) * (decimal)(double)(v - (v - 0.125f));
        Assert.Equal((double)error / expected, totals.Finish(0).Fvu!.Value, Near);

        using var source = Source(x);
        Assert.Equal(expected / Rows, new DataStatistics(source, Rows, 1).Variance, Near * expected);
        var (components, largest) = new Pca(source, Rows, 0, D).Unexplained(new(source, 0, Rows), 0);
        Assert.Equal(1, components[0], Near);
        Assert.Equal(1, largest[0], Near);
        Assert.Equal(0, components[D]);
        Assert.All(Enumerable.Range(0, D), k => Assert.True(components[k] > components[k + 1]
            && largest[k] <= components[k] + Near));

        var coordinates = new InputCoordinates(D);
        var codes = new SparseRows();
        for (var b = 0; b < Rows; b++) codes.Add([], []);
        coordinates.Visit(new(0, codes, x, x, x));
        Assert.Equal(expected / Rows, Enumerable.Range(0, D).Sum(coordinates.Variance), Near * expected);

        // The latent fires on every row, and the test compares the difference of its class means in standard
        // deviations.
        float[] column = [.. x.Where((_, i) => i % D == 0)];
        short[] answers = [.. Enumerable.Range(0, Rows).Select(r => (short)(r % 3 == 0 ? 1 : 0))];
        var scores = new LatentScore[2];
        var ranks = new LatentRanks();
        ranks.Load([.. Enumerable.Range(0, Rows)], column);
        ranks.Score(answers, [Rows - Rows / 3, Rows / 3], scores);
        decimal Mean(int answer) => column.Where((_, r) => answers[r] == answer).Average(v => (decimal)(double)v);
        Assert.Equal((double)(Mean(1) - Mean(0)) / Math.Sqrt((double)Spread(column, 1) / Rows), scores[1].Difference,
            Near);

        var (mean, deviation) = Doubles.Moments([.. column.Select(v => (double)v)]);
        Assert.Equal((double)column.Average(v => (decimal)(double)v), mean, Near * (1 + offset));
        Assert.Equal(Math.Sqrt((double)Spread(column, 1) / Rows), deviation, Near);
    }

    /// <summary>The first row is 1000 deviations away, and the others' deviations are measured from it.</summary>
    [Fact]
    public void ALeadingOutlierCostsNoPrecision()
    {
        var x = Values(0);
        for (var c = 0; c < D; c++) x[c] = 1000;
        var spread = new SpreadSum(D);
        for (var b = 0; b < Rows; b++) spread.Add(x.AsSpan(b * D, D));
        Assert.Equal(1, spread.Total / (double)Spread(x, D), Near);
    }

    [Fact]
    public void FvuIsUndefinedWithoutVarianceAndNullInFiles()
    {
        var row = Values(3, 1);
        var totals = new EvaluationTotals(D, 4);
        for (var b = 0; b < 257; b++) totals.Add(row, 0.1, new float[D]);
        var evaluation = totals.Finish(0);
        Assert.Equal((257, null, null), (evaluation.Rows, evaluation.Fvu, evaluation.Shrinkage));
        Assert.Contains("undefined",
            ((TableFigure)Lab.Report.HeldOut.Chapter(evaluation, "an SAE").Figures[0]).Finding);
        Assert.Null(((TableFigure)Lab.Report.HeldOut.Chapter(evaluation, "an SAE").Figures[0]).Columns[1].Numbers![0]);

        using var folder = new TemporaryFolder();
        new SweepOutcome(null, evaluation, 1).Save(folder[""]);
        Assert.Contains("\"fvu\": null", File.ReadAllText(folder["outcome.json"]));
        Assert.Equal(evaluation, SweepOutcome.Load(folder[""])!.Evaluation);
        File.WriteAllText(folder["outcome.json"], """{"error":null,"seconds":1,"evaluation":"""
            + """{"rows":257,"fvu":1e13,"l0":4,"silent_percent":1,"cosine":1,"shrinkage":"NaN"}}""");
        Assert.Equal(1e13, SweepOutcome.Load(folder[""])!.Evaluation!.Fvu);       // of an older version

        var metrics = StepMetrics.From(new() { Step = 1, SquaredError = 3 }, new() { LossScale = 1 }, Spec,
            new() { BatchRows = 4, Vectors = 400 }, 1, null);
        var line = JsonSerializer.Serialize(metrics, MetricsJson.Compact.StepMetrics);
        Assert.Contains("\"fvu\":null", line);
        Assert.Equal(metrics, JsonSerializer.Deserialize(line, MetricsJson.Compact.StepMetrics));
        Assert.Null(MetricField.All.Single(f => f.Name == "fvu").Of(metrics));
        Assert.Equal("undefined", Ratio.Text(metrics.Fvu, "0.00"));
        Assert.Equal("undefined", LatentFigures.Correlation([0.1, 0.1, 0.1], [1, 2, 3]));

        SweepPoint[] points = [.. new[] { "a", "b" }
            .Select(name => new SweepPoint(name, "topk", 4, 1, new(null, evaluation, 1)))];
        var chapter = Pareto.Report(points, (new double[D + 1], new double[D + 1]), "");
        Assert.Contains("undefined", chapter.Figures[0].Finding);
        Assert.All(((TableFigure)chapter.Figures[1]).Columns.Single(c => c.Name == "FVU").Numbers!, Assert.Null);
    }

    static readonly SaeSpec Spec = new() { InputWidth = D, Latents = 32, Selection = new Selection.TopK(4) };

    /// <summary>The best checkpoint is chosen by a defined number: a checkpoint without FVU, or with a negative FVU
    /// from a cancelled difference, is replaced.</summary>
    [Fact]
    public void TheBestCheckpointHasADefinedFvu()
    {
        using var folder = new TemporaryFolder();
        var config = new TrainConfig { BatchRows = 4, Vectors = 400 };
        using var backend = new CpuBackend(Spec, config, InputType.Float32, 1);
        string? Best()
        {
            if (!File.Exists(folder["checkpoint/best.safetensors"])) return null;
            using var best = new SafetensorsFile(folder["checkpoint/best.safetensors"]);
            return best.Metadata["step"];
        }
        void Save(long step, double? fvu) => Checkpoint.Save(folder[""], backend, new(step, default, null, fvu));
        Save(1, null);
        Assert.Null(Best());
        Save(2, -0.5);
        Save(3, 0.5);
        Assert.Equal("3", Best());
        Save(4, null);
        Save(5, 0.6);
        Assert.Equal("3", Best());
        Save(6, 0.4);
        Assert.Equal("6", Best());
    }

    /// <summary>Checkpoints of earlier versions hold the running mean square of pre-activations, from which the reader
    /// computes the variance.</summary>
    [Fact]
    public void AMeanSquareOfAnOlderCheckpointBecomesAVariance()
    {
        using var folder = new TemporaryFolder();
        var spec = Spec with
        {
            Selection = new Selection.JumpRelu(AdaptiveBandwidth: true, Room: 32),
            Penalty = new SparsityPenalty.L0 { Coefficient = 0.3f }
        };
        var problem = new SmallProblem(spec, 16, new());
        using CpuBackend from = new(spec, problem.Config, InputType.Float32, 1),
            to = new(spec, problem.Config, InputType.Float32, 1);
        from.SetParameters(problem.Parameters);
        for (var t = 1u; t <= 3; t++)
        {
            SmallProblem.Feed(from, 0, problem.Batch());
            new SaeStep(from).Run(0, problem.Scalars(t));
        }
        problem.Parameters.Dispose();
        float[] mean = States.Numbers<float>(from, "spread_mean"),
            variance = States.Numbers<float>(from, "spread_variance"),
            square = [.. variance.Zip(mean, (v, m) => v + m * m)];
        Assert.All(variance, v => Assert.True(v > 0));
        CheckpointFile.Write(CheckpointFolder.StepPath(folder[""], 3),
            [.. from.State.Select(a => a.Name == "spread_variance" ? a with { Name = "spread_square" } : a)],
            (array, offset, into) =>
        {
            if (array.Name == "spread_square") MemoryMarshal.AsBytes(square.AsSpan()).Slice((int)offset,
                into.Length).CopyTo(into);
            else from.ReadState(array, offset, into);
        }, new Dictionary<string, string> { ["step"] = "3", ["epoch"] = "0", ["position"] = "0", ["backend"] = "cpu" });
        Checkpoint.Restore(folder[""], to, 10);
        // four roundings of the square
        foreach (var (v, m, read) in variance.Zip(mean, States.Numbers<float>(to, "spread_variance")))
            Assert.Equal(v, read, 4 * float.Epsilon + 2.4e-7f * (v + m * m));
        foreach (var array in from.State.Where(a => a.Name != "spread_variance")) Assert.Equal(States.Of(from, array),
            States.Of(to, array));
    }

    static TrainingStart Start(Action<float[]> change, SaeSpec spec, TrainConfig config)
    {
        var x = Values(0);
        for (var b = 0; b < Rows; b++)
        {
            float[] row = [.. x.AsSpan(b * D, D)];
            change(row);
            row.CopyTo(x, b * D);
        }
        using var source = Source(x);
        return new(source, Rows, spec, config);
    }

    /// <summary>The scale gives E‖x‖ = √d. Where the mean makes up all but a thousandth of that and the run subtracts
    /// it, the scale gives E‖x − x̄‖² = d. One line names the dimension.</summary>
    [Theory]
    [InlineData(0, 1, true, null), InlineData(1, 1, true, null)]
    [InlineData(2, 1, true, null), InlineData(10, 1, true, "ScaleInputs = False"),
        InlineData(1e5f, 1, true, "spread about the mean"),
        InlineData(1e5f, 1, false, "not subtracted before the encoder")]
    [InlineData(0, 1e4f, true, "varies")]
    public void TheScaleUsesTheSpreadWhereTheMeanDominates(float offset, float factor, bool centred, string? warning)
    {
        var (spec, config) = (Spec with { PreEncoderBias = centred }, new TrainConfig { BatchRows = 4, Vectors = 400 });
        var start = Start(row => row[7] = row[7] * factor + offset, spec, config);
        var plain = Start(_ => { }, spec, config);
        if (warning is null) Assert.Null(start.Warning);
        else
        {
            Assert.StartsWith("warning: input dimension 7 holds", start.Warning);
            Assert.Contains(warning, start.Warning);
        }
        var about = offset >= 1e5f && centred;
        Assert.Equal(about, start.Scale.Variance is > 0.999 * D and < 1.001 * D);
        if (about) Assert.True(start.Scale.InputScale > 0.9 * plain.Scale.InputScale);
        else if (offset >= 1e5f) Assert.True(start.Scale.InputScale < 1e-4 * plain.Scale.InputScale);
    }
}
