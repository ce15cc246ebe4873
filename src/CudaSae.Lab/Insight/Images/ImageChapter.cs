using System.Globalization;
using CudaSae.Lab.Harvest;
using CudaSae.Lab.Report;
using CudaSae.Numerics;
using static System.FormattableString;

namespace CudaSae.Lab.Insight.Images;

/// <summary>Makes the chapter about SAEs of images: atoms, reconstructions, the images on which latents fire, and the
/// loss of a classifier.</summary>
static class ImageChapter
{
    const int Shown = 144, Examples = 10, Gallery = 8;

    /// <param name="runs">Studies of <paramref name="data"/>. The first is shown latent by latent; all are
    /// compared.</param>
    /// <param name="measures">Measures of the atoms of pixels; null for SAEs of a hidden layer.</param>
    public static Chapter Of(IReadOnlyList<ImageStudy> runs, ImageData data, AtomMeasures? measures, string command)
    {
        var (main, figures) = (runs[0], new List<Figure>());
        if (measures is not null)
        {
            figures.AddRange(AtomFigures.Of(runs, data, measures, Spread(main.Alive, Shown)));
            figures.AddRange(Reconstructions(runs, data));
        }
        else figures.AddRange(Hidden(main, data));
        figures.Add(Means(main, data));
        if (data.Labels is not null) figures.AddRange([.. Classes(main, data)]);
        if (main.Splice is not null) figures.AddRange(ClassifierFigures.Of(runs));
        var site = data.Classifier is { } c ? SmallClassifier.Sites[c.Layer - 1] : null;
        return new(site is null ? "images" : $"images-{site}",
            site is null ? "Dictionaries of images" : $"Latents of a classifier's {site}", 500,
            [.. figures])
        { Command = command };
    }

    /// <summary>At most <paramref name="most"/> elements of a list, evenly spaced, including the first and the
    /// last.</summary>
    internal static int[] Spread(int[] all, int most) =>
        all.Length <= most ? all
            : [.. Enumerable.Range(0, most).Select(i => all[(int)((long)i * (all.Length - 1) / (most - 1))])];

    internal static string Caption(ImageStudy run, int latent) =>
        Invariant($"latent {latent}, fires on {100 * run.Top.Density(latent):0.##} %");

    /// <summary>One image of each class, or the first images without labels.</summary>
    static long[] Chosen(ImageData data)
    {
        var first = data.Activations.AtMost(5000);
        var rows = Enumerable.Range(0, (int)first.Count).Select(i => first.First + i);
        return [.. (data.Labels is null ? rows : rows.DistinctBy(data.LabelOf).OrderBy(data.LabelOf)).Take(Examples)];
    }

    static IEnumerable<Figure> Reconstructions(IReadOnlyList<ImageStudy> runs, ImageData data)
    {
        var rows = Chosen(data);
        float[][] images = [.. rows.Select(data.Image)];
        var (vectors, captions) = (new List<float[]>(images), rows.Select(r => Named(data, r)).ToList());
        var ordered = runs.OrderBy(r => r.Evaluation.L0).ToArray();
        foreach (var run in ordered)
            foreach (var (image, row) in images.Zip(rows))
            {
                var made = new float[image.Length];
                run.Sae.Reconstruct(image, made);
                vectors.Add(made);
                captions.Add(Invariant($"{run.Name}: L0 {run.Evaluation.L0:0.0}, {Named(data, row)}"));
            }
        yield return Pictures.Unsigned("reconstructions",
            $"Images, and below them the reconstructions of {(runs.Count == 1 ? "the" : "each")} SAE", data.Width,
            vectors, [.. captions]) with
        {
            Finding = string.Join("; ", ordered.Select(r =>
                $"{r.Name}: FVU {Ratio.Text(r.Evaluation.Fvu, "0.000", CultureInfo.InvariantCulture)}"
                + Invariant($" at L0 {r.Evaluation.L0:0.0}"))) + ".",
            Formula =
                "x̂ = b_dec + Σ f d, each picture scaled by its largest value; FVU = Σ‖x̂ − x‖² / Σ‖x − x̄‖² and L0 = "
                    + "latents that fire, over all evaluated rows",
        };
        yield return Cumulative(runs[0], data, rows, images);
    }

    static string Named(ImageData data, long row) =>
        data.Labels is null ? $"image {row}" : $"image {row}, {data.ClassNames[data.LabelOf(row)]}";

    static readonly int[] Lengths = [0, 1, 2, 4, 8, 16, 32];

    /// <summary>Reconstructions from only the largest entries of the code.</summary>
    static Figure Cumulative(ImageStudy run, ImageData data, long[] rows, float[][] images)
    {
        int[] lengths = [.. Lengths.TakeWhile(j => j == 0 || j < 2 * run.Evaluation.L0)];
        var (vectors, captions, codes, cut) =
            (new List<float[]>(), new List<string>(), new SparseRows(), new SparseRows());
        double all = 0, first = 0;
        foreach (var length in lengths)
            foreach (var (image, row) in images.Zip(rows))
            {
                run.Sae.Encode(image, codes);
                Cut(run, codes, length, cut);
                var made = new float[image.Length];
                run.Sae.Decode(cut, made);
                vectors.Add(made);
                captions.Add($"{length} latents, {Named(data, row)}");
                if (length == 0) all += Squared(image, made);
                if (length == 1) first += Squared(image, made);
            }
        return Pictures.Unsigned("cumulative", $"The same images from only the largest entries of {run.Name}'s code",
            data.Width, vectors, [.. captions]) with
        {
            Finding =
                Invariant($"The largest entry alone explains {100 * (1 - first / all):0} % of the difference ")
                    + "between these images and b_dec.",
            Formula = "rows: b_dec + the j entries of largest f‖d‖, j = " + string.Join(", ", lengths)
                + "; explained = 1 − Σ‖x − x̂₁‖² / Σ‖x − b_dec‖² over the images shown",
        };
    }

    static double Squared(float[] a, float[] b)
    {
        double sum = 0;
        for (var i = 0; i < a.Length; i++) sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        return sum;
    }

    static void Cut(ImageStudy run, SparseRows codes, int length, SparseRows into)
    {
        into.Clear();
        var (indices, values) = (codes.Indices(0).ToArray(), codes.Values(0).ToArray());
        int[] kept = [.. Enumerable.Range(0, indices.Length)
            .OrderByDescending(e => Math.Abs(values[e]) * Matrix.Norm(run.Sae.Model.Parameters.WDec[indices[e]]))
            .Take(length).Order()];
        into.Add([.. kept.Select(e => indices[e])], [.. kept.Select(e => values[e])]);
    }

    /// <summary>Pictures of directions in the first hidden layer.</summary>
    static IEnumerable<Figure> Hidden(ImageStudy run, ImageData data)
    {
        var (classifier, layer) = data.Classifier!.Value;
        if (layer != 1) yield break;
        var shown = Spread(run.Alive, Shown);
        yield return Pictures.Signed("back-projections", "Decoder rows projected through the first layer's weights",
            data.Width, [.. shown.Select(f => Back(run, classifier, f))], [.. shown.Select(f => Caption(run, f))]) with
        {
            Finding =
                Invariant($"{run.Alive.Length} of {run.Sae.Latents} latents fire, on ")
                    + Invariant($"{100 * run.Top.Density(run.Alive[0]):0.#} % to ")
                    + Invariant($"{100 * run.Top.Density(run.Alive[^1]):0.##} % of the images; ")
                    + Invariant($"{shown.Length} are shown."),
            Formula =
                "picture of latent f = d_f W₁, which is linear: the layer's ReLU and bias are left out; grey is 0, "
                    + "sorted by density",
        };
        int[] neurons = [.. Enumerable.Range(0, Math.Min(48, classifier.Widths[1]))];
        yield return Pictures.Signed("neurons", "Neurons of the layer, for comparison", data.Width,
            [.. neurons.Select(h => classifier.FirstWeights[h].ToArray())],
            [.. neurons.Select(h => $"neuron {h}")]) with
        {
            Finding = Invariant($"The figure shows the first {neurons.Length} of {classifier.Widths[1]} neurons."),
            Formula = "rows of W₁; grey is 0",
        };
    }

    static float[] Back(ImageStudy run, SmallClassifier classifier, int latent)
    {
        var row = run.Sae.Model.Parameters.WDec[latent];
        var sum = new double[classifier.Widths[0]];
        for (var h = 0; h < row.Length; h++)
            for (var p = 0; p < sum.Length; p++) sum[p] += (double)row[h] * classifier.FirstWeights[h][p];
        return [.. sum.Select(v => (float)v)];
    }

    static Figure Means(ImageStudy run, ImageData data)
    {
        var shown = Spread(run.Alive, Shown);
        return Pictures.Unsigned("means", "Mean of the images on which each latent is largest", data.Width,
            [.. shown.Select(f => Mean(run, data, f))], [.. shown.Select(f => Caption(run, f))]) with
        {
            Finding =
                Invariant($"{shown.Length} of {run.Alive.Length} latents that fire on these ")
                    + Invariant($"{data.Activations.Count} images are shown, sorted by density."),
            Formula = Invariant($"mean of up to {ImageLatents.Kept} images with the largest activations"),
        };
    }

    static float[] Mean(ImageStudy run, ImageData data, int latent)
    {
        var sum = new float[data.Pixels];
        foreach (var (_, row) in run.Top.Of(latent))
            foreach (var (value, p) in data.Image(row).Select((v, p) => (v, p)))
                sum[p] += value / run.Top.Of(latent).Length;
        return sum;
    }

    /// <summary>Figures about the classes of latents.</summary>
    static Figure[] Classes(ImageStudy run, ImageData data)
    {
        var count = data.ClassNames.Length;
        float[] purity = [.. run.Alive.Select(f => (float)run.Top.Purity(f).Share)];
        var bins = new float[20];
        foreach (var p in purity) bins[Math.Clamp((int)(p * 20), 0, 19)]++;
        var largest = run.Top.ClassRows.Max() / (double)run.Top.Rows;
        // For each class, the purest latents among those that fire on enough images.
        int[] chosen = [.. Enumerable.Range(0, count)
            .SelectMany(c => run.Alive.Where(f => run.Top.Density(f) > 0.002 && run.Top.Purity(f).Class == c)
                .OrderByDescending(f => run.Top.Purity(f).Share).Take(3))];
        var pure = Enumerable.Range(0, count).Count(c =>
            chosen.Any(f => run.Top.Purity(f) is var p && p.Class == c && p.Share > 0.9));
        const string Formula =
            "share of class c = Σ activations on its images / Σ activations on all; purity = the largest share";
        return
        [
            new HistogramFigure("purity", "Class purity of latents", new("purity"), new("latents"),
                [.. Enumerable.Range(0, 21).Select(i => i / 20f)], [new("latents that fire", bins)])
            {
                Finding =
                    "Half of the latents have a purity above "
                        + Invariant($"{AtomMeasures.Median(purity.Select(p => (double)p)):0.00}; ")
                        + Invariant($"{100.0 * purity.Count(p => p > 0.9) / Math.Max(1, purity.Length):0} % lie above ")
                        + "0.9; "
                        + Invariant($"the largest class is {100 * largest:0} % of the images."),
                Formula = Formula,
            },
            new HeatFigure("classes", "Activation mass of the purest latents by class",
                [.. chosen.Select(f => $"latent {f}")], data.ClassNames,
                [.. chosen.SelectMany(f => Enumerable.Range(0, count).Select(c => (float)run.Top.Share(f, c)))])
            {
                From = 0, To = 1, Colour = new("share"), Formula = Formula
                    + "; up to three a class, of those that fire on more than 0.2 % of the images",
                Finding = Invariant($"{pure} of {count} classes have a latent of purity above 0.9."),
            },
            GalleryOf(run, data, chosen),
        ];
    }

    static Figure GalleryOf(ImageStudy run, ImageData data, int[] chosen)
    {
        var top = chosen.SelectMany(f => run.Top.Of(f).Take(Gallery).Select(t => (Latent: f, t.Value, t.Row)))
            .ToArray();
        return Pictures.Unsigned("gallery", $"The same latents' {Gallery} strongest images", data.Width,
            [.. top.Select(t => data.Image(t.Row))],
            [.. top.Select(t => Invariant($"latent {t.Latent} at {t.Value:0.00}: {Named(data, t.Row)}"))]) with
        {
            Finding =
                Invariant($"{top.Count(t => data.LabelOf(t.Row) == run.Top.Purity(t.Latent).Class)} of these ")
                    + Invariant($"{top.Length} images are of their latent's class."),
            Formula = "images with the largest activations, descending, one latent after the other",
        };
    }
}
