using CudaSae.Activations;
using CudaSae.Lab.Harvest;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Lab.Insight.Images;

/// <summary>Measures that show whether an atom is a part of images or a template of an image.</summary>
/// <param name="Support">Participation ratio (Σ|aₚ|)² / (P Σaₚ²): the share of the pixels that the atom spreads over,
/// 1/P to 1.</param>
/// <param name="Area">Share of pixels with |aₚ| above a tenth of the largest.</param>
/// <param name="Nearest">Largest cosine with an image minus the mean image: max ⟨a, xᵢ − x̄⟩ / ‖a‖‖xᵢ − x̄‖.</param>
/// <param name="ClassMean">Largest cosine with the mean image of a class minus the mean image; NaN without
/// labels.</param>
/// <param name="EncoderSupport">Support of the encoder row.</param>
/// <param name="EncoderCosine">⟨encoder row, decoder row⟩ / norms.</param>
readonly record struct Atom(double Support, double Area, double Nearest, double ClassMean, double EncoderSupport,
    double EncoderCosine);

/// <summary>Compares the atoms of a dictionary of pixels with images.</summary>
sealed class AtomMeasures : IDisposable
{
    const int Sampled = 240, Block = 480;

    readonly Matrix centred;        // [images, P], x − x̄, of norm 1
    readonly Matrix classes;        // [C, P], of norm 1
    readonly Workers workers = new(Environment.ProcessorCount);

    /// <param name="images">Images to compare with, usually training images.</param>
    /// <param name="labelled">Images for the class means, if they have labels.</param>
    public AtomMeasures(RowSlice images, ImageData labelled)
    {
        var (rows, pixels) = ((int)images.Count, images.Source.Width);
        centred = new(rows, pixels);
        for (var i = 0; i < rows; i++) images.Source.ReadRow(images.First + i, centred[i]);
        var mean = MeanOf(centred);
        for (var i = 0; i < rows; i++)
            for (var p = 0; p < mean.Length; p++) centred[i][p] -= (float)mean[p];
        double[] supports = [.. Enumerable.Range(0, Math.Min(Sampled, rows)).Select(i => Support(centred[i]))];
        Normalize(centred);
        classes = ClassMeans(labelled, mean);
        ImageSupport = Median(supports);
        using var some = new Matrix(supports.Length, pixels);
        for (var i = 0; i < some.Rows; i++) centred[i].CopyTo(some[i]);
        ImageNearest = Median(Nearest(some, own: true));
    }

    static double[] MeanOf(Matrix rows)
    {
        var mean = new double[rows.Columns];
        for (var i = 0; i < rows.Rows; i++)
            for (var p = 0; p < mean.Length; p++) mean[p] += rows[i][p];
        for (var p = 0; p < mean.Length; p++) mean[p] /= rows.Rows;
        return mean;
    }

    static Matrix ClassMeans(ImageData data, double[] mean)
    {
        var (counts, sums) = (new long[data.ClassNames.Length], new double[data.ClassNames.Length * mean.Length]);
        for (var row = data.Activations.First; data.Labels is not null && row < data.Activations.End; row++)
        {
            var (image, label) = (data.Image(row), data.LabelOf(row));
            counts[label]++;
            for (var p = 0; p < mean.Length; p++) sums[label * mean.Length + p] += image[p];
        }
        var classes = new Matrix(counts.Length, mean.Length);
        for (var c = 0; c < counts.Length; c++)
            for (var p = 0; p < mean.Length && counts[c] > 0; p++)
                classes[c][p] = (float)(sums[c * mean.Length + p] / counts[c] - mean[p]);
        Normalize(classes);
        return classes;
    }

    /// <summary>Median support of an image minus the mean image.</summary>
    public double ImageSupport { get; }

    /// <summary>Median over images of the largest cosine with another image.</summary>
    public double ImageNearest { get; }

    /// <summary>Whether at least half of the atom's energy lies along one image: cosine² ≥ 1/2.</summary>
    public static bool IsTemplate(in Atom atom) => atom.Nearest * atom.Nearest >= 0.5 && atom.Nearest > 0;

    /// <summary>Whether the atom is not a template and has less than half of the support of an image.</summary>
    public bool IsPart(in Atom atom) => !IsTemplate(atom) && atom.Support < ImageSupport / 2;

    /// <param name="parameters">The parameters of an SAE of pixels.</param>
    public Atom[] Of(SaeParameters parameters)
    {
        using var atoms = new Matrix(parameters.WDec.Rows, parameters.WDec.Columns);
        parameters.WDec.CopyTo(atoms);
        Normalize(atoms);
        var nearest = Nearest(atoms, own: false);
        return [.. nearest.Select((cosine, f) => Of(parameters, f, atoms[f], cosine))];
    }

    Atom Of(SaeParameters parameters, int f, ReadOnlySpan<float> unit, double nearest)
    {
        Span<float> row = parameters.WDec[f], encoder = parameters.WEnc[f];
        var best = classes.Rows == 0 ? double.NaN : -1;
        for (var c = 0; c < classes.Rows; c++) best = Math.Max(best, Doubles.Dot(unit, classes[c]));
        var norm = Matrix.Norm(encoder);
        return new(Support(row), Area(row), nearest, best, Support(encoder),
            norm > 0 ? Doubles.Dot(unit, encoder) / norm : 0);
    }

    /// <summary>The largest cosine of each unit row with an image. With <paramref name="own"/>, row i is image i, which
    /// is not compared with itself.</summary>
    double[] Nearest(Matrix unit, bool own)
    {
        var best = new double[unit.Rows];
        Array.Fill(best, -1);
        using Matrix turned = new(unit.Columns, Block), cosines = new(unit.Rows, Block),
            images = new(Block, unit.Columns);
        for (long start = 0; start < centred.Rows; start += Block)
        {
            var count = (int)Math.Min(Block, centred.Rows - start);
            for (var i = 0; i < count; i++) centred[start + i].CopyTo(images[i]);
            DenseProduct.Turn(images, turned);
            DenseProduct.Run(workers, unit, turned, null, cosines);
            for (var r = 0; r < unit.Rows; r++)
                for (var i = 0; i < count; i++)
                    if (!own || start + i != r) best[r] = Math.Max(best[r], cosines[r][i]);
        }
        return best;
    }

    /// <summary>The participation ratio (Σ|v|)² / (P Σv²); 0 if all numbers are 0.</summary>
    public static double Support(ReadOnlySpan<float> v)
    {
        double sum = 0, squares = 0;
        foreach (var x in v) (sum, squares) = (sum + Math.Abs(x), squares + (double)x * x);
        return squares > 0 ? sum * sum / (v.Length * squares) : 0;
    }

    /// <summary>Share of |v| above a tenth of the largest.</summary>
    public static double Area(ReadOnlySpan<float> v)
    {
        float most = 0;
        foreach (var x in v) most = Math.Max(most, Math.Abs(x));
        var count = 0;
        foreach (var x in v)
            if (Math.Abs(x) > 0.1f * most) count++;
        return (double)count / v.Length;
    }

    internal static double Median(IEnumerable<double> values) => Doubles.Median(values.Where(v => !double.IsNaN(v)));

    static void Normalize(Matrix rows)
    {
        for (long r = 0; r < rows.Rows; r++)
        {
            var norm = Matrix.Norm(rows[r]);
            foreach (ref var x in rows[r]) x = norm > 0 ? (float)(x / norm) : 0;
        }
    }

    public void Dispose()
    {
        centred.Dispose();
        classes.Dispose();
        workers.Dispose();
    }
}
