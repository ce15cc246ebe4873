using CudaSae.Files;
using CudaSae.Numerics;
using CudaSae.Text;

namespace CudaSae.Lab.Harvest;

/// <summary>A classifier of images to harvest from: logits = W₃ relu(W₂ relu(W₁ x + b₁) + b₂) + b₃, float32.
/// <see cref="ClassifierTraining"/> trains it. One thread at a time.</summary>
sealed class SmallClassifier : IDisposable
{
    const int BlockRows = 192;      // rows that are computed together: whole panels
    const string Purpose = "cudasae classifier";

    /// <summary>Where activations are taken, after the ReLU: site i is the output of layer i + 1.</summary>
    public static IReadOnlyList<string> Sites { get; } = ["hidden1", "hidden2"];

    readonly Workers workers = new(Environment.ProcessorCount);
    readonly Matrix[] turned;       // [width, BlockRows] of each layer's output, and of the image

    /// <param name="widths">Of the image, both hidden layers and the logits.</param>
    public SmallClassifier(params int[] widths)
    {
        if (widths.Length != 4 || widths.Any(w => w is < 1 or > 16384))
            throw new SaeException($"a classifier of widths {string.Join(", ", widths)} cannot be made; give four, "
                + "each 1 to 16384");
        Widths = widths;
        Weights = [.. Enumerable.Range(0, 3).Select(l => new Matrix(widths[l + 1], widths[l]))];
        Biases = [.. widths.Skip(1).Select(w => new float[w])];
        turned = [.. widths.Select(w => new Matrix(w, BlockRows))];
    }

    /// <summary>Pixels, hidden1, hidden2, classes.</summary>
    public int[] Widths { get; }
    public int Classes => Widths[^1];

    internal Matrix[] Weights { get; }      // W₁, W₂, W₃: [out, in]
    internal float[][] Biases { get; }
    internal Workers Workers => workers;

    /// <summary>W₁ [hidden1, pixels]: what a direction of hidden1 looks like is direction · W₁.</summary>
    public Matrix FirstWeights => Weights[0];

    /// <summary>The number of a site, counted like layers: 0 is the image, 1 hidden1, 2 hidden2.</summary>
    /// <exception cref="SaeException">There is no such site.</exception>
    public static int LayerOf(string site)
    {
        for (var i = 0; i < Sites.Count; i++)
            if (Sites[i] == site) return i + 1;
        throw new SaeException($"there is no site {site}{Names.Hint(site, Sites)}; one of {string.Join(", ", Sites)}");
    }

    /// <summary>From the activations after one layer to those after a later one.</summary>
    /// <param name="from">0 for images, 1 and 2 for the sites.</param>
    /// <param name="to">1 and 2 for the sites, 3 for logits.</param>
    /// <param name="x">[rows, Widths[from]].</param>
    /// <param name="into">[rows, Widths[to]].</param>
    public void Run(int from, int to, ReadOnlySpan<float> x, Span<float> into)
    {
        if (from < 0 || to > 3 || from >= to)
            throw new ArgumentOutOfRangeException(nameof(to), $"layers {from} to {to}");
        int rows = x.Length / Widths[from], wide = Widths[from], next = Widths[to];
        if (x.Length != rows * wide || into.Length != rows * next)
            throw new SaeException($"{x.Length} numbers of width {wide} do not give {into.Length} of width {next}");
        for (var first = 0; first < rows; first += BlockRows)
        {
            var count = Math.Min(BlockRows, rows - first);
            for (var b = 0; b < count; b++)
                for (var i = 0; i < wide; i++) turned[from][i][b] = x[(first + b) * wide + i];
            for (var layer = from; layer < to; layer++) Layer(workers, layer, turned[layer], turned[layer + 1]);
            for (var b = 0; b < count; b++)
                for (var i = 0; i < next; i++) into[(first + b) * next + i] = turned[to][i][b];
        }
    }

    /// <summary>Activations after a layer, turned [out, rows], from those before it; with the ReLU but for
    /// logits.</summary>
    internal void Layer(Workers by, int layer, Matrix before, Matrix after)
    {
        DenseProduct.Run(by, Weights[layer], before, Biases[layer], after);
        if (layer == 2) return;
        for (long i = 0; i < after.Rows; i++)
            foreach (ref var z in after[i]) z = Math.Max(z, 0);
    }

    /// <summary>Cross-entropy −log softmax(logits)_label in nats, and whether the largest logit is the
    /// label's.</summary>
    public static (double CrossEntropy, bool Correct) Judge(ReadOnlySpan<float> logits, int label)
    {
        double most = float.NegativeInfinity, sum = 0;
        var best = 0;
        for (var c = 0; c < logits.Length; c++)
            if (logits[c] > most) (most, best) = (logits[c], c);
        foreach (var z in logits) sum += Math.Exp(z - most);
        return (most + Math.Log(sum) - logits[label], best == label);
    }

    /// <summary>Writes safetensors under the names of a PyTorch Sequential of Linear and ReLU: 0, 2, 4, each .weight
    /// [out, in] and .bias.</summary>
    public void Save(string path) => SafetensorsWriter.Write(path,
        Enumerable.Range(0, 3).SelectMany(l => (TensorToWrite[])[TensorToWrite.Of($"{2 * l}.weight", Weights[l]),
            TensorToWrite.Of($"{2 * l}.bias", Biases[l])]),
        new Dictionary<string, string> { ["format"] = Purpose });

    /// <exception cref="SaeException">It is missing, damaged, or no such classifier.</exception>
    public static SmallClassifier Load(string path)
    {
        using var file = new SafetensorsFile(path);
        var shapes = Enumerable.Range(0, 3).Select(l => file.Require($"{2 * l}.weight", "F32", -1, -1).Shape).ToArray();
        if (shapes[0][0] != shapes[1][1] || shapes[1][0] != shapes[2][1])
            throw file.Bad("its layers do not follow each other: of n.weight [out, in], each in must be the out "
                + "before");
        if (shapes.Any(s => s[0] > 16384 || s[1] > 16384)) throw file.Bad("a layer is wider than 16384");
        var classifier = new SmallClassifier([(int)shapes[0][1], .. shapes.Select(s => (int)s[0])]);
        try
        {
            for (var l = 0; l < 3; l++)
            {
                file.Matrix($"{2 * l}.weight", classifier.Weights[l]);
                file.Vector($"{2 * l}.bias", classifier.Widths[l + 1]).CopyTo(classifier.Biases[l], 0);
            }
            return classifier;
        }
        catch { classifier.Dispose(); throw; }
    }

    public void Dispose()
    {
        workers.Dispose();
        foreach (var matrix in (Matrix[])[.. Weights, .. turned]) matrix.Dispose();
    }
}
