using System.Runtime.InteropServices;
using CudaSae.Files;
using CudaSae.Numerics;

namespace CudaSae.Lab.Synthetic;

/// <summary>Options of synthetic data.</summary>
sealed record SuperpositionOptions
{
    public int Features { get; init; } = 64;        // m
    public int Width { get; init; } = 32;           // d
    public long Rows { get; init; } = 100_000;
    public double L0 { get; init; } = 3;            // mean number of active features of a row
    public double Correlation { get; init; }        // 0 to 1, share of the draws that features 2j and 2j + 1 share
    public double Noise { get; init; }              // standard deviation of each coordinate
    public double ZipfExponent { get; init; }       // frequency of feature i ∝ (i + 1)^−exponent
    public ulong Seed { get; init; } = 1;

    /// <exception cref="SaeException">A value is out of range.</exception>
    public SuperpositionOptions Validate()
    {
        Need(Features is >= 1 and <= 1 << 24, "features", Features, "1 to 16777216");
        Need(Width is >= 1 and <= 16384, "width", Width, "1 to 16384");
        Need(Rows is >= 1 and <= 1L << 40, "rows", Rows, "1 to 2^40");
        Need(L0 > 0 && L0 <= Features, "l0", L0, $"above 0, at most the {Features} features");
        Need(Correlation is >= 0 and <= 1, "correlation", Correlation, "0 to 1");
        Need(Noise >= 0 && double.IsFinite(Noise), "noise", Noise, "0 or more");
        Need(ZipfExponent is >= 0 and <= 16, "zipf", ZipfExponent, "0 to 16");
        return this;
    }

    static void Need(bool holds, string name, object value, string range)
    {
        if (!holds) throw new SaeException($"synthetic data with {name} {value} cannot be made; choose {range}");
    }
}

/// <summary>Makes rows x = Σᵢ sᵢ magnitudeᵢ Dᵢ + noise with a known dictionary D (Elhage et al. 2022; Sharkey et al.
/// 2022). sᵢ is 0 or 1, and magnitudes are uniform in [0.5, 1.5]. A row is a function of the options, the dictionary
/// and its number.</summary>
sealed class Superposition : IDisposable
{
    const ulong DictionaryStream = 0, DrawStream = 1, PairStream = 2, MagnitudeStream = 3, NoiseStream = 4;

    readonly SuperpositionOptions options;
    readonly Counter draws, pairs, magnitudes, noise;
    readonly double[] frequency;    // [m]

    /// <summary>Makes data with a dictionary of random unit rows.</summary>
    public Superposition(SuperpositionOptions options) : this(options.Validate(), RandomDictionary(options)) { }

    /// <param name="dictionary">D [m, d]. Owned.</param>
    internal Superposition(SuperpositionOptions options, Matrix dictionary)
    {
        if (dictionary.Rows != options.Features || dictionary.Columns != options.Width)
            throw new ArgumentException("the dictionary has another shape than the options");
        (this.options, Dictionary) = (options, dictionary);
        (draws, pairs) = (new(options.Seed, DrawStream), new(options.Seed, PairStream));
        (magnitudes, noise) = (new(options.Seed, MagnitudeStream), new(options.Seed, NoiseStream));
        frequency = Frequencies(options);
    }

    public Matrix Dictionary { get; }                           // [m, d]
    public IReadOnlyList<double> Frequency => frequency;        // [m], share of the rows in which a feature is active

    static Matrix RandomDictionary(SuperpositionOptions options)
    {
        var dictionary = new Matrix(options.Features, options.Width);
        for (long f = 0; f < dictionary.Rows; f++) RandomUnit(dictionary[f], options.Seed, f);
        return dictionary;
    }

    /// <summary>Fills a row with a random direction, which is a function of (seed, f).</summary>
    internal static void RandomUnit(Span<float> row, ulong seed, long f)
    {
        var normal = new Counter(seed, DictionaryStream);
        double squares = 0;
        for (var i = 0; i < row.Length; i++) squares += normal.Normal(f, i) * normal.Normal(f, i);
        for (var i = 0; i < row.Length; i++) row[i] = (float)(normal.Normal(f, i) / Math.Sqrt(squares));
    }

    /// <summary>The frequencies min(1, c (i + 1)^−exponent), with c such that their sum is
    /// <see cref="SuperpositionOptions.L0"/>.</summary>
    static double[] Frequencies(SuperpositionOptions options)
    {
        var p = new double[options.Features];
        var rest = new double[options.Features + 1];    // sum of this weight and all after it, added from the smallest
        for (var i = p.Length - 1; i >= 0; i--) rest[i] = rest[i + 1] + (p[i] = Math.Pow(i + 1, -options.ZipfExponent));
        var full = 0;       // leading features that are active in every row
        while (full < p.Length && p[full] * (options.L0 - full) >= rest[full]) p[full++] = 1;
        for (var i = full; i < p.Length; i++) p[i] = Math.Min(1, p[i] * (options.L0 - full) / rest[full]);
        return p;
    }

    /// <summary>sᵢ magnitudeᵢ of one row; 0 if the feature is not active. In a share
    /// <see cref="SuperpositionOptions.Correlation"/> of the rows an odd feature takes the draw of the even feature
    /// before it; frequencies do not change.</summary>
    public double Coefficient(long row, int feature)
    {
        var paired = (feature & 1) == 1 && pairs.Uniform(row, feature) < options.Correlation;
        if (draws.Uniform(row, paired ? feature - 1 : feature) >= frequency[feature]) return 0;
        return 0.5 + magnitudes.Uniform(row, feature);
    }

    /// <summary>Row <paramref name="i"/> of the file.</summary>
    public float[] Row(long i)
    {
        var row = new float[options.Width];
        Fill(i, row, new double[options.Width]);
        return row;
    }

    void Fill(long i, Span<float> row, Span<double> sum)
    {
        sum.Clear();
        for (var f = 0; f < options.Features; f++)
        {
            var coefficient = Coefficient(i, f);
            if (coefficient == 0) continue;
            var direction = Dictionary[f];
            for (var c = 0; c < sum.Length; c++) sum[c] += coefficient * direction[c];
        }
        for (var c = 0; c < sum.Length; c++)
            row[c] = (float)(options.Noise == 0 ? sum[c] : sum[c] + options.Noise * noise.Normal(i, c));
    }

    /// <summary>Writes the rows as float32 .npy, in blocks.</summary>
    public void WriteRows(string path) => AtomicFile.Write(path, stream =>
    {
        var d = options.Width;
        var block = new float[Math.Min(options.Rows, Math.Max(1, (1 << 20) / d)) * d];
        stream.Write(NpyFile.MakeHeader("<f4", options.Rows, d));
        for (long start = 0; start < options.Rows; start += block.Length / d)
        {
            var count = (int)Math.Min(block.Length / d, options.Rows - start);
            Parallel.For(0, count, () => new double[d], (r, _, sum) =>
            {
                Fill(start + r, block.AsSpan(r * d, d), sum);
                return sum;
            }, static _ => { });
            stream.Write(MemoryMarshal.AsBytes(block.AsSpan(0, count * d)));
        }
    });

    /// <summary>Writes D as float32 .npy.</summary>
    public void WriteDictionary(string path) => AtomicFile.Write(path, stream =>
    {
        stream.Write(NpyFile.MakeHeader("<f4", options.Features, options.Width));
        for (long f = 0; f < options.Features; f++) stream.Write(MemoryMarshal.AsBytes(Dictionary[f]));
    });

    public void Dispose() => Dictionary.Dispose();
}
