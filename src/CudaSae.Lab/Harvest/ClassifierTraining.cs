using System.Numerics;
using CudaSae.Activations;
using CudaSae.Lab.Synthetic;
using CudaSae.Numerics;

namespace CudaSae.Lab.Harvest;

/// <summary>How a classifier is trained.</summary>
sealed record ClassifierOptions
{
    public int Hidden1 { get; init; } = 256;
    public int Hidden2 { get; init; } = 128;
    public int Epochs { get; init; } = 10;

    /// <summary>Rows of a mini-batch: whole panels of 48.</summary>
    public int BatchRows { get; init; } = 192;

    /// <summary>Adam's step size at the start; it falls linearly to 0.</summary>
    public float LearningRate { get; init; } = 2e-3f;

    /// <summary>Of weights and order.</summary>
    public ulong Seed { get; init; } = 1;

    /// <exception cref="SaeException">A value is out of range.</exception>
    public ClassifierOptions Validate()
    {
        Need(Hidden1 is >= 1 and <= 16384, "hidden1", Hidden1, "1 to 16384");
        Need(Hidden2 is >= 1 and <= 16384, "hidden2", Hidden2, "1 to 16384");
        Need(Epochs is >= 1 and <= 10_000, "epochs", Epochs, "1 to 10000");
        Need(BatchRows is >= 48 and <= 1 << 16 && BatchRows % 48 == 0, "batch rows", BatchRows,
            "a multiple of 48, at most 65536");
        Need(LearningRate is > 0 and <= 10, "learning rate", LearningRate, "above 0, at most 10");
        return this;
    }

    static void Need(bool holds, string name, object value, string range)
    {
        if (!holds) throw new SaeException($"a classifier with {name} {value} cannot be trained; choose {range}");
    }
}

/// <summary>Mean cross-entropy of softmax by Adam (Kingma and Ba 2014: β 0.9, 0.999, ε 1e-8) on mini-batches in a
/// seeded order. The bits depend on the options and the data alone,
/// not on threads or vector widths.</summary>
sealed class ClassifierTraining : IDisposable
{
    readonly SmallClassifier classifier;
    readonly int batch;
    // activations [width, B] and [B, padded width]; ∂L/∂z [out, B]; ∂L/∂W [out, padded in]; Wᵀ
    readonly Matrix[] turned, rows, slopes, gradients, turnedWeights;
    readonly float[][] first, second, biasGradients;
    long steps;

    /// <param name="classifier">Trained in place; stays its caller's.</param>
    public ClassifierTraining(SmallClassifier classifier, int batchRows)
    {
        (this.classifier, batch) = (classifier, batchRows);
        var w = classifier.Widths;
        turned = [.. w.Select(width => new Matrix(width, batch))];
        rows = [.. w.SkipLast(1).Select(width => new Matrix(batch, DenseProduct.Padded(width)))];
        slopes = [.. w.Select(width => new Matrix(width, batch))];
        gradients = [.. Enumerable.Range(0, 3).Select(l => new Matrix(w[l + 1], DenseProduct.Padded(w[l])))];
        turnedWeights = [.. Enumerable.Range(0, 3).Select(l => new Matrix(w[l], w[l + 1]))];
        biasGradients = [.. classifier.Biases.Select(b => new float[b.Length])];
        int[] sizes = [.. Enumerable.Range(0, 3).SelectMany(l => (int[])[w[l] * w[l + 1], w[l + 1]])];
        (first, second) = ([.. sizes.Select(s => new float[s])], [.. sizes.Select(s => new float[s])]);
    }

    /// <summary>A new classifier, trained.</summary>
    /// <param name="images">[rows, pixels].</param>
    /// <param name="labels">One an image, from 0.</param>
    /// <param name="report">Told the mean loss of each epoch.</param>
    /// <exception cref="SaeException">Labels and images differ in number, or the loss is no number.</exception>
    public static SmallClassifier Train(ActivationSource images, int[] labels, ClassifierOptions options,
        Action<int, double>? report = null)
    {
        options.Validate();
        if (labels.Length != images.Rows)
            throw new SaeException($"{labels.Length} labels for {images.Rows} images of {images.Paths.First()}; there "
                + "must be one each");
        if (images.Rows < options.BatchRows)
            throw new SaeException($"{images.Rows} images are fewer than a batch of {options.BatchRows}");
        var classes = labels.Max() + 1;
        if (classes > 1000) throw new SaeException($"a label is {classes - 1}; up to 1000 classes are possible");
        var classifier = new SmallClassifier(images.Width, options.Hidden1, options.Hidden2, classes);
        try
        {
            Initialize(classifier, options.Seed);
            using var training = new ClassifierTraining(classifier, options.BatchRows);
            training.Epochs(images, labels, options, report);
            return classifier;
        }
        catch { classifier.Dispose(); throw; }
    }

    /// <summary>Weights of variance 2 / in (He et al. 2015), biases 0.</summary>
    internal static void Initialize(SmallClassifier classifier, ulong seed)
    {
        for (var l = 0; l < 3; l++)
        {
            var normal = new Counter(seed, (ulong)l);
            var scale = Math.Sqrt(2.0 / classifier.Widths[l]);
            for (var r = 0; r < classifier.Widths[l + 1]; r++)
                for (var c = 0; c < classifier.Widths[l]; c++)
                    classifier.Weights[l][r][c] = (float)(scale * normal.Normal(r, c));
        }
    }

    void Epochs(ActivationSource images, int[] labels, ClassifierOptions options, Action<int, double>? report)
    {
        var (perEpoch, chosen, image) = (images.Rows / batch, new int[batch], new float[images.Width]);
        for (var epoch = 0; epoch < options.Epochs; epoch++)
        {
            var order = new RowPermutation(options.Seed, epoch, images.Rows);
            double sum = 0;
            for (long step = 0; step < perEpoch; step++)
            {
                for (var b = 0; b < batch; b++)
                {
                    var row = order[step * batch + b];
                    images.ReadRow(row, image);
                    image.CopyTo(Image(b));
                    chosen[b] = labels[row];
                }
                sum += Gradient(chosen);
                Move(options.LearningRate * (1 - (float)steps / (options.Epochs * perEpoch)));
            }
            if (!double.IsFinite(sum))
                throw new SaeException($"the classifier's loss became {sum}; lower its learning rate",
                    kind: SaeErrorKind.Numbers);
            report?.Invoke(epoch, sum / perEpoch);
        }
    }

    /// <summary>Image b of the batch, to be filled in before <see cref="Gradient"/>.</summary>
    internal Span<float> Image(int b) => rows[0][b][..classifier.Widths[0]];

    /// <summary>∂L/∂W and ∂L/∂b of the batch, for <see cref="WeightGradient"/> and <see cref="Move"/>.</summary>
    /// <returns>L, the mean cross-entropy.</returns>
    internal double Gradient(ReadOnlySpan<int> labels)
    {
        DenseProduct.Turn(rows[0], turned[0]);
        for (var l = 0; l < 3; l++)
        {
            classifier.Layer(classifier.Workers, l, turned[l], turned[l + 1]);
            if (l < 2) DenseProduct.Turn(turned[l + 1], rows[l + 1]);
        }
        var loss = LogitSlopes(labels);
        for (var l = 2; l >= 0; l--)
        {
            DenseProduct.Run(classifier.Workers, slopes[l + 1], rows[l], null, gradients[l]);
            for (var r = 0; r < biasGradients[l].Length; r++)
            {
                double sum = 0;
                foreach (var s in slopes[l + 1][r]) sum += s;
                biasGradients[l][r] = (float)sum;
            }
            if (l == 0) break;
            DenseProduct.Turn(classifier.Weights[l], turnedWeights[l]);
            DenseProduct.Run(classifier.Workers, turnedWeights[l], slopes[l + 1], null, slopes[l]);
            for (var r = 0; r < slopes[l].Rows; r++)
                for (var b = 0; b < batch; b++)
                    if (!(turned[l][r][b] > 0)) slopes[l][r][b] = 0;
        }
        return loss;
    }

    /// <summary>∂L/∂logit = (softmax − 1[label]) / B.</summary>
    double LogitSlopes(ReadOnlySpan<int> labels)
    {
        var logits = new float[classifier.Classes];
        double loss = 0;
        for (var b = 0; b < batch; b++)
        {
            for (var c = 0; c < logits.Length; c++) logits[c] = turned[3][c][b];
            var own = SmallClassifier.Judge(logits, labels[b]).CrossEntropy;
            loss += own;
            var log = own + logits[labels[b]];      // of Σ e^logit
            for (var c = 0; c < logits.Length; c++)
                slopes[3][c][b] = (float)((Math.Exp(logits[c] - log) - (c == labels[b] ? 1 : 0)) / batch);
        }
        return loss / batch;
    }

    /// <summary>∂L/∂W of a layer's output: [in].</summary>
    internal ReadOnlySpan<float> WeightGradient(int layer, int output) =>
        gradients[layer][output][..classifier.Widths[layer]];

    internal ReadOnlySpan<float> BiasGradient(int layer) => biasGradients[layer];

    void Move(float rate)
    {
        steps++;
        var (c1, c2) = ((float)(1 / (1 - Math.Pow(0.9, steps))), (float)(1 / (1 - Math.Pow(0.999, steps))));
        for (var l = 0; l < 3; l++)
        {
            var wide = classifier.Widths[l];
            for (var r = 0; r < classifier.Widths[l + 1]; r++)
                Adam(classifier.Weights[l][r], WeightGradient(l, r), first[2 * l].AsSpan(r * wide, wide),
                    second[2 * l].AsSpan(r * wide, wide), rate, c1, c2);
            Adam(classifier.Biases[l], biasGradients[l], first[2 * l + 1], second[2 * l + 1], rate, c1, c2);
        }
    }

    static void Adam(Span<float> w, ReadOnlySpan<float> g, Span<float> m, Span<float> v, float rate, float c1, float c2)
    {
        var i = 0;
        for (; i <= w.Length - Vector<float>.Count; i += Vector<float>.Count)
        {
            var slope = new Vector<float>(g[i..]);
            var mean = 0.9f * new Vector<float>(m[i..]) + 0.1f * slope;
            var square = 0.999f * new Vector<float>(v[i..]) + 0.001f * slope * slope;
            mean.CopyTo(m[i..]);
            square.CopyTo(v[i..]);
            (new Vector<float>(w[i..]) - rate * (c1 * mean) / (Vector.SquareRoot(c2 * square)
                + new Vector<float>(1e-8f))).CopyTo(w[i..]);
        }
        for (; i < w.Length; i++)
        {
            m[i] = 0.9f * m[i] + 0.1f * g[i];
            v[i] = 0.999f * v[i] + 0.001f * g[i] * g[i];
            w[i] -= rate * (c1 * m[i]) / (MathF.Sqrt(c2 * v[i]) + 1e-8f);
        }
    }

    public void Dispose()
    {
        foreach (var matrix in (Matrix[])[.. turned, .. rows, .. slopes, .. gradients, .. turnedWeights])
            matrix.Dispose();
    }
}
