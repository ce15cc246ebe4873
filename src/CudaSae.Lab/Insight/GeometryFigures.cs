using CudaSae.Formats;
using CudaSae.Lab.Report;
using CudaSae.Numerics;
using static CudaSae.Lab.Insight.Histograms;

namespace CudaSae.Lab.Insight;

/// <summary>The chapter about directions.</summary>
static class GeometryFigures
{
    const int Closest = 20;

    public static Section Section(SaeModel model, Geometry g, LatentStatistics s)
    {
        var figures = new List<Figure> { Scatter(model, g, s), Norms(g), Nearest(g, s), Pairs(g, s) };
        if (model.Spec.Transcoder is null) figures.Insert(1, Projection(g));
        return new("geometry", "Geometry", 110, [.. figures]);
    }

    static string Asked(Geometry g) =>
        g.Sampled.Length == g.EncoderNorms.Length ? ""
            : $" Of {g.EncoderNorms.Length} latents {g.Sampled.Length} at equal distances, each compared with all.";

    static ScatterFigure Scatter(SaeModel model, Geometry g, LatentStatistics s)
    {
        Column Of(string name, IEnumerable<double> values, string formula) =>
            new(name, Floats(values)) { Formula = formula };
        Column[] columns =
        [
            Of("D/E projection", g.Projection, "⟨e_i, d_i⟩ / ‖e_i‖‖d_i‖"),
            Of("bias", g.Sampled.Select(i => (double)model.Parameters.BEnc[i]), "b_enc"),
            Of("log density", g.Sampled.Select(s.LogDensity),
                "log₁₀ of the share of rows on which it fires; of silent latents, that of half a firing"),
            Of("nearest decoder row", g.NearestDecoder.Select(n => n.Cosine),
                "largest cosine with another latent's decoder row"),
            Of("nearest encoder row", g.NearestEncoder.Select(n => n.Cosine), "the same of encoder rows"),
            Of("encoder norm", g.Sampled.Select(i => g.EncoderNorms[i]), "‖e_i‖"),
            Of("decoder norm", g.Sampled.Select(i => g.DecoderNorms[i]), "‖d_i‖"),
        ];
        if (model.Spec.Transcoder is not null) columns = columns[1..];
        int[] both = [.. Enumerable.Range(0, g.Sampled.Length).Where(q => !double.IsNaN(g.Projection[q]))];
        var correlation = LatentFigures.Correlation([.. both.Select(q => g.Projection[q])],
            [.. both.Select(q => s.LogDensity(g.Sampled[q]))]);
        var transcoder = model.Spec.Transcoder is not null;
        return new("directions", "Encoder against decoder, bias and density", columns,
            transcoder ? "encoder norm" : "D/E projection", "bias")
        {
            Z = "log density", Colour = "nearest decoder row", Latents = g.Sampled,
            Finding = (transcoder ? "A transcoder's encoder and decoder rows live in different spaces"
                    : $"D/E projection and log density correlate with {correlation}; "
                        + $"the median projection is {Median(g.Projection)}")
                + ", the median bias "
                + $"{Number(Doubles.Median(g.Sampled.Select(i => (double)model.Parameters.BEnc[i])))}.{Asked(g)}",
            Formula =
                "e and d are rows of W_enc and W_dec. Turn it: clusters that lie over each other in one pair of axes "
                    + "are apart in another.",
        };
    }

    static string Median(IEnumerable<double> values) => $"{Doubles.Median(values.Where(v => !double.IsNaN(v))):0.000}";

    static HistogramFigure Projection(Geometry g)
    {
        var edges = Linear(-1, 1, 80);
        var valid = g.Projection.Where(v => !double.IsNaN(v)).ToArray();
        return new("projection", "D/E projection", new("cosine of a latent's two rows"), new("latents"), edges,
            [Count("latents", valid, edges)])
        {
            Finding =
                $"The median cosine of encoder and decoder row is {Median(valid)}; "
                    + $"{Share((double)valid.Count(v => v < 0.2) / valid.Length)} of the latents are below "
                    + $"0.2.{Asked(g)}",
            Formula = "⟨e_i, d_i⟩ / ‖e_i‖‖d_i‖: 1 where encoder and decoder agree.",
        };
    }

    static HistogramFigure Norms(Geometry g)
    {
        var edges = Logarithmic(g.EncoderNorms.Concat(g.DecoderNorms), 20);
        var zero = g.DecoderNorms.Count(v => v == 0);
        return new("norms", "Norms", new("norm", Log: true), new("latents"), edges,
            [Count("encoder", g.EncoderNorms.Where(v => v > 0), edges),
                Count("decoder", g.DecoderNorms.Where(v => v > 0), edges)])
        {
            Finding =
                $"Encoder rows have a median norm of {Number(Doubles.Median(g.EncoderNorms))} "
                    + $"({Number(g.EncoderNorms.Min())} to {Number(g.EncoderNorms.Max())}), "
                + $"decoder rows of {Number(Doubles.Median(g.DecoderNorms))} "
                + $"({Number(g.DecoderNorms.Min())} to "
                + $"{Number(g.DecoderNorms.Max())}){(zero > 0 ? $"; {zero} decoder rows are zero" : "")}.",
            Formula = "‖row‖ of the saved weights, which take raw activations: training's scale is folded into them.",
        };
    }

    static HistogramFigure Nearest(Geometry g, LatentStatistics s)
    {
        var edges = Linear(-0.2, 1, 60);
        var (decoder, encoder) = (g.NearestDecoder.Select(n => n.Cosine).Where(v => !double.IsNaN(v)).ToArray(),
            g.NearestEncoder.Select(n => n.Cosine).Where(v => !double.IsNaN(v)).ToArray());
        return new("nearest", "The nearest other latent", new("largest cosine"), new("latents"), edges,
            [Count("decoder rows", decoder, edges), Count("encoder rows", encoder, edges)])
        {
            Finding =
                $"The median latent's nearest other decoder row is at a cosine of {Median(decoder)}, its nearest "
                    + $"encoder row at {Median(encoder)}; "
                + $"{decoder.Count(v => v > 0.9)} decoder and {encoder.Count(v => v > 0.9)} encoder rows have one "
                + $"above 0.9.{Asked(g)}",
            Formula = "max over j ≠ i of the cosine of rows i and j. Many above 0.9 are duplicates.",
        };
    }

    static TableFigure Pairs(Geometry g, LatentStatistics s)
    {
        var pairs = g.NearestDecoder.Select((n, q) => (Latent: g.Sampled[q], n.Row, n.Cosine)).Where(p => p.Row >= 0)
            .DistinctBy(p => (Math.Min(p.Latent, p.Row), Math.Max(p.Latent, p.Row))).OrderByDescending(p => p.Cosine)
            .Take(Closest).ToArray();
        TableColumn Of(string name, Func<(int Latent, int Row, double Cosine), double?> value, int digits) =>
            new(name, Numbers: [.. pairs.Select(value)]) { Digits = digits };
        return new("closest", "The closest decoder rows",
            [Of("latent", p => p.Latent, 0), Of("nearest latent", p => p.Row, 0), Of("cosine", p => p.Cosine, 4),
                Of("density", p => s.Density(p.Latent), 6), Of("density of the nearest", p => s.Density(p.Row), 6)])
        {
            Finding = pairs.Length == 0 ? "There are no two rows to compare."
                : $"The closest two are latents {pairs[0].Latent} and {pairs[0].Row} at a cosine of "
                    + $"{pairs[0].Cosine:0.0000}.",
        };
    }
}
