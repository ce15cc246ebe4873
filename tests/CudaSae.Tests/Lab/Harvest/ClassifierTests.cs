using System.Runtime.InteropServices;
using CudaSae.Lab.Harvest;
using CudaSae.Lab.Insight.Images;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>The small classifier compared with scalar loops in double, and the loss when its layers are
/// replaced.</summary>
public sealed class ClassifierTests
{
    const int Pixels = 13, Hidden1 = 11, Hidden2 = 9, Classes = 4, Batch = 48;

    static SmallClassifier Small(ulong seed = 3)
    {
        var classifier = new SmallClassifier(Pixels, Hidden1, Hidden2, Classes);
        ClassifierTraining.Initialize(classifier, seed);
        var random = new Random((int)seed);
        foreach (var bias in classifier.Biases)
            for (var i = 0; i < bias.Length; i++) bias[i] = (float)random.NextDouble() * 0.2f;
        return classifier;
    }

    static (float[] Images, int[] Labels) Data(int rows, int seed = 5)
    {
        var random = new Random(seed);
        return ([.. Enumerable.Range(0, rows * Pixels).Select(_ => (float)random.NextDouble())],
            [.. Enumerable.Range(0, rows).Select(_ => random.Next(Classes))]);
    }

    /// <summary>Computes activations after a layer from those after an earlier layer.</summary>
    static double[] Forward(SmallClassifier c, int from, int to, double[] x)
    {
        for (var l = from; l < to; l++)
        {
            var z = new double[c.Widths[l + 1]];
            for (var o = 0; o < z.Length; o++)
            {
                z[o] = c.Biases[l][o];
                for (var i = 0; i < x.Length; i++) z[o] += (double)c.Weights[l][o][i] * x[i];
                if (l < 2) z[o] = Math.Max(0, z[o]);
            }
            x = z;
        }
        return x;
    }

    static double CrossEntropy(double[] logits, int label) => Math.Log(logits.Sum(z => Math.Exp(z))) - logits[label];

    static double[] Row(float[] rows, int width, int b) =>
        [.. rows.AsSpan(b * width, width).ToArray().Select(v => (double)v)];

    [Theory]
    [InlineData(0, 1)]
    [InlineData(0, 3)]
    [InlineData(1, 3)]
    [InlineData(2, 3)]
    [InlineData(1, 2)]
    public void LayersMatchTheReference(int from, int to)
    {
        using var classifier = Small();
        const int Rows = 201;       // more than one block, and not a multiple of blocks
        var random = new Random(1);
        float[] x = [.. Enumerable.Range(0, Rows * classifier.Widths[from]).Select(_ => (float)random.NextDouble())],
        y = new float[Rows * classifier.Widths[to]];
        classifier.Run(from, to, x, y);
        for (var b = 0; b < Rows; b++)
        {
            var expected = Forward(classifier, from, to, Row(x, classifier.Widths[from], b));
            for (var i = 0; i < expected.Length; i++) Assert.Equal(expected[i], y[b * expected.Length + i], 1e-5);
        }
    }

    [Fact]
    public void GradientsMatchFiniteDifferencesOfTheReference()
    {
        using var classifier = Small();
        using var training = new ClassifierTraining(classifier, Batch);
        var (images, labels) = Data(Batch);
        for (var b = 0; b < Batch; b++) images.AsSpan(b * Pixels, Pixels).CopyTo(training.Image(b));
        Assert.Equal(Loss(), training.Gradient(labels), 1e-6);
        for (var l = 0; l < 3; l++)
            for (var o = 0; o < classifier.Widths[l + 1]; o++)
            {
                for (var i = 0; i < classifier.Widths[l]; i += 3)
                    Near(() => ref classifier.Weights[l][o][i], training.WeightGradient(l, o)[i]);
                Near(() => ref classifier.Biases[l][o], training.BiasGradient(l)[o]);
            }

        double Loss() =>
            Enumerable.Range(0, Batch).Average(b =>
                CrossEntropy(Forward(classifier, 0, 3, Row(images, Pixels, b)), labels[b]));

        void Near(Weight weight, double gradient)
        {
            ref var w = ref weight();
            var (at, up, down) = (w, w + 2e-5f, w - 2e-5f);     // small, so that no ReLU changes its sign in between
            w = up;
            var above = Loss();
            w = down;
            var below = Loss();
            w = at;
            Assert.Equal((above - below) / ((double)up - down), gradient, 2e-5);
        }
    }

    delegate ref float Weight();

    /// <summary>Images whose class is their brightest quarter.</summary>
    static (ActivationSource Images, int[] Labels) Separable(int rows)
    {
        var random = new Random(2);
        var (values, labels) = (new float[rows * 16], new int[rows]);
        for (var r = 0; r < rows; r++)
        {
            labels[r] = random.Next(4);
            for (var p = 0; p < 16; p++)
                values[r * 16 + p] = (float)(random.NextDouble() * 0.5 + (p / 4 == labels[r] ? 0.5 : 0));
        }
        return (ActivationSource.Of(MemoryMarshal.AsBytes<float>(values).ToArray(), 16, InputType.Float32), labels);
    }

    [Fact]
    public void TrainingIsRepeatableAndTheModelIsReadBack()
    {
        using var folder = new TemporaryFolder();
        var (images, labels) = Separable(1000);
        var options = new ClassifierOptions
        {
            Hidden1 = 24, Hidden2 = 12, Epochs = 6, BatchRows = 48, LearningRate = 0.01f
        };
        var losses = new List<double>();
        using var classifier = ClassifierTraining.Train(images, labels, options, (_, loss) => losses.Add(loss));
        using var again = ClassifierTraining.Train(images, labels, options);
        Assert.True(losses[^1] < losses[0] / 4);
        Assert.True(ClassifierHarvest.Test(classifier, images, labels).Accuracy > 0.95);
        classifier.Save(folder["c.safetensors"]);
        using var loaded = SmallClassifier.Load(folder["c.safetensors"]);
        for (var l = 0; l < 3; l++)
            for (var o = 0; o < classifier.Widths[l + 1]; o++)
            {
                Assert.Equal(classifier.Weights[l][o].ToArray(), again.Weights[l][o].ToArray());
                Assert.Equal(classifier.Weights[l][o].ToArray(), loaded.Weights[l][o].ToArray());
                Assert.Equal(classifier.Biases[l][o], loaded.Biases[l][o]);
            }
        ClassifierHarvest.Write(classifier, images, "hidden2", folder["h.npy"]);
        using var harvested = ActivationSource.Open([folder["h.npy"]]);
        using var memory = ClassifierHarvest.InMemory(classifier, RowSlice.All(images), 2);
        var (pixels, row) = (new float[16], new float[12]);
        Assert.Equal((1000, 12), (harvested.Rows, harvested.Width));
        foreach (var i in (int[])[0, 500, 999])
        {
            images.ReadRow(i, pixels);
            harvested.ReadRow(i, row);
            var expected = Forward(classifier, 0, 2, [.. pixels.Select(p => (double)p)]);
            for (var h = 0; h < 12; h++) Assert.Equal(expected[h], row[h], 1e-5);
            var same = new float[12];
            memory.ReadRow(i, same);
            Assert.Equal(row, same);
        }
        images.Dispose();
    }

    [Fact]
    public void SplicedLossesMatchTheReference()
    {
        using var classifier = Small();
        const int Rows = 60;
        var (images, labels) = Data(Rows);
        float[] hidden = new float[Rows * Hidden1], other = new float[Rows * Hidden1];
        classifier.Run(0, 1, images, hidden);
        for (var i = 0; i < hidden.Length; i++) other[i] = hidden[i] * (i % 3 == 0 ? 0.5f : 1.1f);
        var splice = new ClassifierSplice(classifier, 1, row => labels[row]);
        var codes = new SparseRows();
        foreach (var (first, count) in ((int, int)[])[(0, 25), (25, 35)])
        {
            codes.Clear();
            for (var b = 0; b < count; b++) codes.Add([], []);
            var (from, length) = (first * Hidden1, count * Hidden1);
            splice.Visit(new(first, codes, hidden.AsSpan(from, length), hidden.AsSpan(from, length),
                other.AsSpan(from, length)));
        }
        var zeros = new double[Hidden1];
        double[] mean = [.. Enumerable.Range(0, Hidden1)
            .Select(h => Enumerable.Range(0, Rows).Average(b => (double)hidden[b * Hidden1 + h]))];
        Near(splice.Own, b => Row(hidden, Hidden1, b));
        Near(splice.Spliced, b => Row(other, Hidden1, b));
        Near(splice.Zero, _ => zeros);
        Near(splice.Mean, _ => mean);
        double own = Of(b => Row(hidden, Hidden1, b)), spliced = Of(b => Row(other, Hidden1, b)), zero = Of(_ => zeros);
        Assert.Equal((zero - spliced) / (zero - own), splice.Recovered(splice.Zero), 1e-4);

        double Of(Func<int, double[]> activations) =>
            Enumerable.Range(0, Rows).Average(b => CrossEntropy(Forward(classifier, 1, 3, activations(b)), labels[b]));

        void Near(ClassifierScore measured, Func<int, double[]> activations)
        {
            Assert.Equal(1, measured.CrossEntropy / Of(activations), 1e-5);
            Assert.Equal(Enumerable.Range(0, Rows)
                .Average(b => Forward(classifier, 1, 3, activations(b)) is var z
                    && Array.IndexOf(z, z.Max()) == labels[b]
                    ? 1.0 : 0),
                measured.Accuracy, 1e-12);
        }
    }

    [Fact]
    public void InvalidInputIsRefusedInOneLine()
    {
        using var folder = new TemporaryFolder();
        using var classifier = Small();
        var (images, labels) = Separable(100);
        AssertOneLine("13", () => ClassifierHarvest.Test(classifier, images, labels));
        AssertOneLine("99 labels for 100 images", () => ClassifierTraining.Train(images, labels[1..], new()).Dispose());
        AssertOneLine("fewer than a batch",
            () => ClassifierTraining.Train(images, labels, new() { BatchRows = 192 }).Dispose());
        AssertOneLine("multiple of 48",
            () => ClassifierTraining.Train(images, labels, new() { BatchRows = 50 }).Dispose());
        AssertOneLine("no site hidden3", () => SmallClassifier.LayerOf("hidden3"));
        SafetensorsWriter.Write(folder["x.safetensors"], [TensorToWrite.Of("0.weight", new float[3])]);
        AssertOneLine("0.weight", () => SmallClassifier.Load(folder["x.safetensors"]).Dispose());
        images.Dispose();
    }
}
