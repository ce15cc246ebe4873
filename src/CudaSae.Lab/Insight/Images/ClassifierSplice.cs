using CudaSae.Lab.Harvest;

namespace CudaSae.Lab.Insight.Images;

/// <summary>What a classifier still knows when a hidden layer is replaced.</summary>
/// <param name="CrossEntropy">Mean −log softmax(logits)_label in nats.</param>
/// <param name="Accuracy">Share of rows whose largest logit is their label's.</param>
readonly record struct ClassifierScore(double CrossEntropy, double Accuracy);

/// <summary>Reconstructions in the place of a classifier's hidden layer, against the layer itself, zeros, and the
/// layer's mean over the same rows.</summary>
/// <param name="layer">1 for hidden1, 2 for hidden2.</param>
/// <param name="labelOf">Class of a row.</param>
sealed class ClassifierSplice(SmallClassifier classifier, int layer, Func<long, int> labelOf) : ICodeVisitor
{
    readonly double[] sum = new double[classifier.Widths[layer]];
    readonly long[] labels = new long[classifier.Classes];
    Total own, spliced;
    long rows;

    struct Total
    {
        public double CrossEntropy;
        public long Correct;
    }

    public void Visit(in CodeBatch batch)
    {
        var wide = sum.Length;
        for (var b = 0; b < batch.Rows; b++)
        {
            var label = labelOf(batch.FirstRow + b);
            if (label >= labels.Length)
                throw new SaeException($"image {batch.FirstRow + b} has label {label}; the classifier knows "
                    + $"{labels.Length} classes");
            labels[label]++;
            for (var i = 0; i < wide; i++) sum[i] += batch.Target[b * wide + i];
        }
        Add(batch.Target, batch.FirstRow, ref own);
        Add(batch.Reconstruction, batch.FirstRow, ref spliced);
        rows += batch.Rows;
    }

    void Add(ReadOnlySpan<float> activations, long firstRow, ref Total total)
    {
        var (count, classes) = (activations.Length / sum.Length, classifier.Classes);
        var logits = new float[count * classes];
        classifier.Run(layer, 3, activations, logits);
        for (var b = 0; b < count; b++)
        {
            var (ce, correct) = SmallClassifier.Judge(logits.AsSpan(b * classes, classes), labelOf(firstRow + b));
            total.CrossEntropy += ce;
            total.Correct += correct ? 1 : 0;
        }
    }

    /// <summary>The layer as it is.</summary>
    public ClassifierScore Own => new(own.CrossEntropy / rows, (double)own.Correct / rows);

    /// <summary>x̂ in its place.</summary>
    public ClassifierScore Spliced => new(spliced.CrossEntropy / rows, (double)spliced.Correct / rows);

    /// <summary>Zeros in its place.</summary>
    public ClassifierScore Zero => Constant(new float[sum.Length]);

    /// <summary>Its mean over these rows in its place.</summary>
    public ClassifierScore Mean => Constant([.. sum.Select(s => (float)(s / rows))]);

    /// <summary>(CE_ablated − CE_spliced) / (CE_ablated − CE_own): 1 where nothing is lost, 0 where no more is left
    /// than after the ablation.</summary>
    public double Recovered(ClassifierScore ablated) =>
        (ablated.CrossEntropy - Spliced.CrossEntropy) / (ablated.CrossEntropy - Own.CrossEntropy);

    /// <summary>One vector for all rows gives one vector of logits.</summary>
    ClassifierScore Constant(float[] activation)
    {
        var logits = new float[classifier.Classes];
        classifier.Run(layer, 3, activation, logits);
        double ce = 0, correct = 0;
        for (var c = 0; c < labels.Length; c++)
        {
            var judged = SmallClassifier.Judge(logits, c);
            ce += labels[c] * judged.CrossEntropy;
            if (judged.Correct) correct = labels[c];
        }
        return new(ce / rows, correct / rows);
    }
}
