using System.Runtime.InteropServices;
using CudaSae.Activations;
using CudaSae.Activations.Stores;
using CudaSae.Files;
using CudaSae.Numerics;

namespace CudaSae.Lab.Harvest;

/// <summary>Collects the activations of a classifier on images, one row for each image.</summary>
static class ClassifierHarvest
{
    const int BlockRows = 1920;

    /// <summary>Calls <paramref name="block"/>(first row, activations [count, width], logits [count, classes]) for all
    /// images, in blocks.</summary>
    /// <param name="layer">1 for hidden1, 2 for hidden2.</param>
    /// <exception cref="SaeException">The images and the classifier have different sizes.</exception>
    public static void Run(SmallClassifier classifier, RowSlice used, int layer, Action<long, float[], float[]> block)
    {
        var images = used.Source;
        if (images.Width != classifier.Widths[0])
            throw new SaeException($"{images.Paths.First()} has {images.Width} pixels an image, the classifier takes "
                + $"{classifier.Widths[0]}");
        for (long start = 0; start < used.Count; start += BlockRows)
        {
            var count = (int)Math.Min(BlockRows, used.Count - start);
            var (x, z, logits) = (new float[count * images.Width], new float[count * classifier.Widths[layer]],
                new float[count * classifier.Classes]);
            for (var b = 0; b < count; b++)
                images.ReadRow(used.First + start + b, x.AsSpan(b * images.Width, images.Width));
            classifier.Run(0, layer, x, z);
            classifier.Run(layer, 3, z, logits);
            block(start, z, logits);
        }
    }

    /// <summary>The activations of the images, in memory.</summary>
    public static ActivationSource InMemory(SmallClassifier classifier, RowSlice images, int layer)
    {
        var (wide, rows) = (classifier.Widths[layer], images.Count);
        if (rows * wide * sizeof(float) > Array.MaxLength)
            throw new SaeException($"activations of {rows} images do not fit into one array; take fewer with --rows");
        var all = new byte[rows * wide * sizeof(float)];
        Run(classifier, images, layer,
            (first, z, _) => MemoryMarshal.AsBytes<float>(z).CopyTo(all.AsSpan((int)first * wide * sizeof(float))));
        return ActivationSource.Of(all, wide, InputType.Float32);
    }

    /// <summary>Writes the activations of a site as float32 .npy [images, width], and a note with the site beside
    /// it.</summary>
    public static void Write(SmallClassifier classifier, ActivationSource images, string site, string path)
    {
        var layer = SmallClassifier.LayerOf(site);
        AtomicFile.Write(path, stream =>
        {
            stream.Write(NpyFile.MakeHeader("<f4", images.Rows, classifier.Widths[layer]));
            Run(classifier, RowSlice.All(images), layer, (_, z, _) => stream.Write(MemoryMarshal.AsBytes<float>(z)));
        });
        SiteNote.Write(path, $"a classifier of widths {string.Join(", ", classifier.Widths)}", site);
    }

    /// <summary>Writes labels as int32 .npy [images].</summary>
    public static void WriteLabels(int[] labels, string path) => AtomicFile.Write(path, stream =>
    {
        stream.Write(NpyFile.MakeHeader("<i4", labels.Length));
        stream.Write(MemoryMarshal.AsBytes<int>(labels));
    });

    /// <summary>Mean cross-entropy in nats, and the share of images whose largest logit is their label's.</summary>
    public static (double CrossEntropy, double Accuracy) Test(SmallClassifier classifier, ActivationSource images,
        int[] labels)
    {
        if (labels.Length != images.Rows)
            throw new SaeException($"{labels.Length} labels for {images.Rows} images; there must be one each");
        double sum = 0;
        long correct = 0;
        Run(classifier, RowSlice.All(images), 1, (first, _, logits) =>
        {
            for (var b = 0; b < logits.Length / classifier.Classes; b++)
            {
                if (labels[first + b] >= classifier.Classes)
                    throw new SaeException($"label {first + b} is {labels[first + b]}; the classifier has "
                        + $"{classifier.Classes} classes");
                var (ce, right) =
                    SmallClassifier.Judge(logits.AsSpan(b * classifier.Classes, classifier.Classes), labels[first + b]);
                sum += ce;
                correct += right ? 1 : 0;
            }
        });
        return (sum / images.Rows, (double)correct / images.Rows);
    }
}
