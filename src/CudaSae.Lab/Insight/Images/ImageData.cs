using CudaSae.Activations;
using CudaSae.Lab.Harvest;
using CudaSae.Runs;

namespace CudaSae.Lab.Insight.Images;

/// <summary>Images that SAEs are looked at with, and what the SAEs read of them: pixels, or a classifier's hidden
/// layer.</summary>
sealed class ImageData : IDisposable
{
    readonly long offset;       // image of activation row 0

    /// <param name="images">[rows, pixels]; owned from here on.</param>
    /// <param name="firstRow">First of <paramref name="rows"/> images to look at.</param>
    /// <param name="width">Pixels in a line of an image; must divide the pixels.</param>
    /// <param name="labels">Class of each row of <paramref name="images"/>, or null.</param>
    /// <param name="classNames">Names of the classes; numbers where there are none.</param>
    /// <param name="classifier">What is between the images and the SAEs, with the layer that these read, 1 or 2; null
    /// for pixels. Stays its caller's.</param>
    /// <exception cref="SaeException">Sizes do not fit.</exception>
    public ImageData(ActivationSource images, long firstRow, long rows, int width, int[]? labels = null,
        string[]? classNames = null, (SmallClassifier Model, int Layer)? classifier = null)
    {
        if (width < 1 || images.Width % width != 0)
            throw new SaeException($"--width {width}: images of {images.Width} pixels are no whole lines of that; give "
                + "the width of an image");
        if (labels is not null && labels.Length != images.Rows)
            throw new SaeException($"{labels.Length} labels for the {images.Rows} images of {images.Paths.First()}; "
                + "there must be one each");
        if (classifier is not null && labels is null)
            throw new SaeException("what a classifier loses is measured on labels; give --labels");
        (Images, Rows, Width, Labels, Classifier) = (images, rows, width, labels, classifier);
        var count = labels is null ? 0 : Math.Max(labels.Max() + 1, classifier?.Model.Classes ?? 0);
        ClassNames = [.. Enumerable.Range(0, count)
            .Select(c => classNames is not null && c < classNames.Length ? classNames[c] : $"class {c}")];
        (offset, FirstRow) = classifier is null ? (0L, firstRow) : (firstRow, 0L);
        Activations = classifier is { } c ? ClassifierHarvest.InMemory(c.Model, images, firstRow, rows, c.Layer)
            : images;
    }

    public ActivationSource Images { get; }

    /// <summary>What SAEs read: rows <see cref="FirstRow"/> to FirstRow + <see cref="Rows"/>.</summary>
    public ActivationSource Activations { get; }
    public long FirstRow { get; }
    public long Rows { get; }

    /// <summary>Pixels in a line.</summary>
    public int Width { get; }
    public int[]? Labels { get; }
    public string[] ClassNames { get; }
    public (SmallClassifier Model, int Layer)? Classifier { get; }

    /// <summary>Class of a row of activations.</summary>
    public int LabelOf(long row) => Labels![row + offset];

    /// <summary>The image of a row of activations.</summary>
    public float[] Image(long row)
    {
        var image = new float[Images.Width];
        Images.ReadRow(row + offset, image);
        return image;
    }

    public void Dispose()
    {
        if (!ReferenceEquals(Activations, Images)) Activations.Dispose();
        Images.Dispose();
    }
}

/// <summary>One SAE over such images: one pass for all that is counted.</summary>
/// <param name="name">For captions.</param>
/// <param name="sae">Owned from here on.</param>
sealed class ImageStudy(string name, Sae sae) : IDisposable
{
    public string Name { get; } = name;
    public Sae Sae { get; } = sae;
    public Evaluation Evaluation { get; private set; } = null!;
    public ImageLatents Top { get; private set; } = null!;

    /// <summary>Null where the SAE reads pixels.</summary>
    public ClassifierSplice? Splice { get; private set; }

    /// <summary>Latents that fired, the most frequent first.</summary>
    public int[] Alive { get; private set; } = [];

    /// <exception cref="SaeException">Widths differ.</exception>
    public void Look(ImageData data)
    {
        Evaluation = Evaluator.Run(Sae, data.Activations, data.FirstRow, data.Rows);
        Top = new(Sae.Latents, data.ClassNames.Length, data.LabelOf);
        Splice = data.Classifier is { } c ? new(c.Model, c.Layer, data.LabelOf) : null;
        CodePass.Run(Sae, data.Activations, data.FirstRow, data.Rows, Splice is null ? [Top] : [Top, Splice]);
        Alive = [.. Enumerable.Range(0, Sae.Latents).Where(f => Top.Density(f) > 0).OrderByDescending(Top.Density)];
    }

    public void Dispose() => Sae.Dispose();
}
