using CudaSae.Activations;
using CudaSae.Lab.Harvest;
using CudaSae.Runs;

namespace CudaSae.Lab.Insight.Images;

/// <summary>Images, and the activations that SAEs read: pixels, or a classifier's hidden layer.</summary>
sealed class ImageData : IDisposable
{
    readonly ActivationSource images;
    readonly long offset;       // image of activation row 0

    /// <param name="used">Images to use. Their source [images, pixels] is owned.</param>
    /// <param name="width">Pixels in a line of an image, which must divide the number of pixels.</param>
    /// <param name="labels">Class of each image of the source, or null.</param>
    /// <param name="classNames">Names of the classes; null for numbers.</param>
    /// <param name="classifier">The classifier whose layer 1 or 2 the SAEs read; null for pixels. Not owned.</param>
    /// <exception cref="SaeException">Sizes do not fit.</exception>
    public ImageData(RowSlice used, int width, int[]? labels = null, string[]? classNames = null,
        (SmallClassifier Model, int Layer)? classifier = null)
    {
        images = used.Source;
        if (width < 1 || images.Width % width != 0)
            throw new SaeException($"--width {width}: images of {images.Width} pixels do not have whole lines of that "
                + "width; give the width of an image");
        if (labels is not null && labels.Length != images.Rows)
            throw new SaeException($"{labels.Length} labels for the {images.Rows} images of {images.Paths.First()}; "
                + "there must be one each");
        if (classifier is not null && labels is null)
            throw new SaeException("what a classifier loses is measured on labels; give --labels");
        (Width, Labels, Classifier) = (width, labels, classifier);
        var count = labels is null ? 0 : Math.Max(labels.Max() + 1, classifier?.Model.Classes ?? 0);
        ClassNames = [.. Enumerable.Range(0, count)
            .Select(c => classNames is not null && c < classNames.Length ? classNames[c] : $"class {c}")];
        offset = classifier is null ? 0 : used.First;
        Activations = classifier is { } c ? RowSlice.All(ClassifierHarvest.InMemory(c.Model, used, c.Layer)) : used;
    }

    /// <summary>The activations that SAEs read, one row for each image.</summary>
    public RowSlice Activations { get; }

    /// <summary>Pixels in a line.</summary>
    public int Width { get; }

    /// <summary>Pixels in an image.</summary>
    public int Pixels => images.Width;
    public int[]? Labels { get; }
    public string[] ClassNames { get; }
    public (SmallClassifier Model, int Layer)? Classifier { get; }

    /// <summary>Class of a row of activations.</summary>
    public int LabelOf(long row) => Labels![row + offset];

    /// <summary>The image of a row of activations.</summary>
    public float[] Image(long row)
    {
        var image = new float[Pixels];
        images.ReadRow(row + offset, image);
        return image;
    }

    public void Dispose()
    {
        if (!ReferenceEquals(Activations.Source, images)) Activations.Source.Dispose();
        images.Dispose();
    }
}

/// <summary>Runs one SAE over images and counts everything in one pass.</summary>
/// <param name="name">The name in captions.</param>
/// <param name="sae">Owned.</param>
sealed class ImageStudy(string name, Sae sae) : IDisposable
{
    public string Name { get; } = name;
    public Sae Sae { get; } = sae;
    public Evaluation Evaluation { get; private set; } = null!;
    public ImageLatents Top { get; private set; } = null!;

    /// <summary>The splice into the classifier; null if the SAE reads pixels.</summary>
    public ClassifierSplice? Splice { get; private set; }

    /// <summary>Latents that fired, the most frequent first.</summary>
    public int[] Alive { get; private set; } = [];

    /// <exception cref="SaeException">Widths differ.</exception>
    public void Look(ImageData data)
    {
        Evaluation = Evaluator.Run(Sae, data.Activations);
        Top = new(Sae.Latents, data.ClassNames.Length, data.LabelOf);
        Splice = data.Classifier is { } c ? new(c.Model, c.Layer, data.LabelOf) : null;
        CodePass.Run(Sae, data.Activations, Splice is null ? [Top] : [Top, Splice]);
        Alive = [.. Enumerable.Range(0, Sae.Latents).Where(f => Top.Density(f) > 0).OrderByDescending(Top.Density)];
    }

    public void Dispose() => Sae.Dispose();
}
