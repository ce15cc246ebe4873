using CudaSae.Formats;
using CudaSae.Lab.Report;
using CudaSae.Numerics;
using static CudaSae.Lab.Insight.Histograms;

namespace CudaSae.Lab.Insight;

/// <summary>The chapter about a cluster of latents of ultralow density (Anthropic, Circuits Updates, January and
/// February 2024): is there one, and does one direction of the encoder explain it?</summary>
static class RareFigures
{
    const int Coordinates = 20;
    const double Parallel = 0.8, MoreAlike = 0.1;

    /// <summary>The cluster that a report is about; null where densities do not fall into two kinds, or the rare kind's
    /// encoder rows are all zero.</summary>
    public static RareCluster? Cluster(SaeModel model, LatentStatistics s, DensityModes modes)
    {
        if (modes.Objection(s.Firings.Length, s.Rows) is not null) return null;
        int[] inside = [.. Enumerable.Range(0, s.Firings.Length).Where(i => s.Firings[i] < modes.Firings)];
        return inside.Any(i => Matrix.Norm(model.Parameters.WEnc[i]) > 0) ? new(model.Parameters, inside) : null;
    }

    public static Section Section(SaeModel model, LatentStatistics s, DensityModes modes, RareCluster? cluster,
        InputCoordinates input, InputProjection? along,
        InputCovariance? covariance) => new("ultralow", "Ultralow density", 120,
        cluster is null ? [Densities(s, modes, null)]
            : [Densities(s, modes, cluster), Scatter(model, s, cluster), Pairs(cluster), Shares(cluster),
            .. Components(cluster, covariance), Table(model, cluster, input, along!), Biases(model, cluster)]);

    static HistogramFigure Densities(LatentStatistics s, DensityModes modes, RareCluster? cluster)
    {
        float[] edges = [0.5f / s.Rows, .. Octaves(s.Rows)];
        var n = s.Firings.Length;
        IEnumerable<double> Of(Func<long, bool> which) => s.Firings.Where(which).Select(f => Math.Max(f, 0.5) / s.Rows);
        Bins[] bins = cluster is null ? [Count("latents", Of(_ => true), edges)]
            : [Count("rare kind", Of(f => f < modes.Firings), edges),
                Count("the rest", Of(f => f >= modes.Firings), edges)];
        var objection = modes.Objection(n, s.Rows)
            ?? (cluster is null ? "the encoder rows of the rare kind are all zero, as pruning leaves them" : null);
        return new("modes", "Two kinds of density?", new("density", "share of rows", Log: true), new("latents"), edges,
            bins)
        {
            Finding = objection is not null ? $"There is no separate cluster of rare latents: {objection}."
                : $"{modes.Rare} of {n} latents ({Share((double)modes.Rare / n)}) fire on fewer than {modes.Firings} "
                    + $"of {s.Rows} rows and form a kind of their own "
                    + $"(Ashman's D {modes.Separation:0.0}; {modes.Valley:0} latents in the emptiest octave between, "
                    + $"{modes.Peak:0} in the lower peak); "
                    + $"{s.Silent} of them never fire here. {Verdict(cluster!)}",
            Formula =
                "Octaves of firings, silent latents in one of their own below one firing, split by Otsu's criterion "
                    + "(1979) among the splits that hold: "
                + $"Ashman's D = √2 |μ₁ − μ₂| / √(σ₁² + σ₂²) of log density is at least "
                + $"{DensityModes.MinSeparation}, the emptiest octave between the two peaks has at most half of the "
                + $"lower one and is {DensityModes.MinDeviations} "
                + $"standard deviations of its count below it, the split lies below a density of "
                + $"{100 * DensityModes.MaxDensity:0} %.",
        };
    }

    static string Verdict(RareCluster c)
    {
        var cosines = $"mean pairwise cosine {c.CosineInside:0.000}, of the rest {c.CosineOutside:0.000}";
        return c.CosineInside >= Parallel
            ? $"Their encoder rows are nearly parallel ({cosines}), as in the January 2024 update."
            : c.CosineInside >= c.CosineOutside + MoreAlike
            ? $"Their encoder rows share a direction more than the rest's do ({cosines}), without being parallel as in "
                + "the January 2024 update."
            : $"Their encoder rows are hardly more alike than the rest's ({cosines}): rare or dead latents, not the "
                + "cluster of the January 2024 update.";
    }

    static ScatterFigure Scatter(SaeModel model, LatentStatistics s, RareCluster cluster)
    {
        int[] latents = [.. Cosines.Queries(s.Firings.Length)];
        var inside = cluster.Inside.ToHashSet();
        Column Of(string name, Func<int, double> value, string formula) =>
            new(name, Floats(latents.Select(value))) { Formula = formula };
        return new("scatter", "The cluster among all latents",
            [Of("log density", s.LogDensity, "log₁₀ density; of silent latents, that of half a firing"),
                Of("share along the direction",
                    i => Matrix.Norm(model.Parameters.WEnc[i]) > 0 ? cluster.ShareAlong(i) : double.NaN, "⟨u_i, m⟩²"),
                Of("bias", i => model.Parameters.BEnc[i], "b_enc"), Of("in the cluster", i => inside.Contains(i) ? 1 : 0, "1 for a latent of the cluster")], "log density", "share along the direction")
        {
            Z = "bias", Colour = "in the cluster", Latents = latents,
            Finding =
                "Along the cluster's direction lies a median share of "
                    + $"{Share(Doubles.Median(cluster.Inside.Select(cluster.ShareAlong)))} of its latents' squared "
                    + "encoder norm, "
                + $"of the rest's {Share(Doubles.Median(cluster.Outside.Select(cluster.ShareAlong)))}.",
            Formula = "u is an encoder row of norm 1, m the direction of the cluster's mean u.",
        };
    }

    static HistogramFigure Pairs(RareCluster c)
    {
        var edges = Linear(-1, 1, 80);
        Bins Of(string name, int[] a, int[] b)
        {
            var cosines = c.PairCosines(a, b);
            return new(name, [.. Count(name, cosines, edges).Counts.Select(v => v / Math.Max(1, cosines.Length))]);
        }
        return new("pairs", "Cosines of encoder rows, inside and outside", new("cosine"), new("share of pairs"), edges,
            [Of("inside", c.Inside, c.Inside), Of("the rest", c.Outside, c.Outside),
                Of("between", c.Inside, c.Outside)])
        {
            Finding =
                $"Mean pairwise cosine {c.CosineInside:0.0000} inside, {c.CosineOutside:0.0000} among the rest, "
                    + $"{c.CosineBetween:0.0000} between; "
                + $"one direction holds {Share(c.PrincipalShare)} of the inside's squared length.",
            Formula =
                "Means are over all pairs: (‖Σu‖² − m) / (m (m − 1)) and ⟨Σu, Σu'⟩ / (m m'). Histograms are of at most "
                    + "20,000 pairs each. The direction is the top eigenvector of Σ u uᵀ.",
        };
    }

    static HistogramFigure Shares(RareCluster c)
    {
        var edges = Linear(0, 1, 50);
        return new("share", "The common direction's share of squared encoder norm", new("share"), new("latents"), edges,
            [Count("inside", c.Inside.Select(c.ShareAlong), edges),
                Count("the rest", c.Outside.Select(c.ShareAlong), edges)])
        {
            Finding =
                $"{c.Inside.Count(i => c.ShareAlong(i) > 0.5)} of {c.Inside.Length} latents inside have more than half "
                    + "of their squared encoder norm along it, "
                + $"of the rest {c.Outside.Count(i => c.ShareAlong(i) > 0.5)} of {c.Outside.Length}; "
                + "mean direction and top principal direction agree to a cosine of "
                + $"{c.Direction.Zip(c.Principal, (a, b) => a * b).Sum():0.0000}.",
            Formula = "⟨u_i, m⟩².",
        };
    }

    static IEnumerable<Figure> Components(RareCluster c, InputCovariance? covariance)
    {
        if (covariance is null) yield break;
        var (d, sum) = (c.Direction.Length, 0.0);
        double[] below = [0,
            .. SpectralShares.Of(covariance.Matrix(), c.Direction).Shares.Select(share => sum += share)];
        float[] x = Floats(Enumerable.Range(0, d + 1).Select(i => 100.0 * i / d));
        yield return new LinesFigure("components", "How weakly inputs vary along the direction",
            new("principal components of the inputs, least variance first", "%"), new("share of the direction"),
            [new("the cluster's direction", x, Floats(below)),
                new("a random direction", [0, 100], [0, 1]) { Yardstick = true }])
        {
            Finding =
                $"{Share(below[d / 4])} of the direction lies in the quarter of the inputs' principal components along "
                    + $"which they vary least, {Share(below[d / 2])} in the half, "
                + $"{Share(1 - below[d - d / 10])} in the tenth along which they vary most.",
            Formula =
                "Running sum of ⟨component, m⟩² over the eigenvectors of the covariance of raw inputs (of at most "
                    + "16,384 rows), in the order of their variance.",
        };
    }

    static TableFigure Table(SaeModel model, RareCluster c, InputCoordinates input, InputProjection along)
    {
        var d = c.Direction.Length;
        int[] top = [.. Enumerable.Range(0, d).OrderByDescending(i => Math.Abs(c.Direction[i])).Take(Coordinates)];
        var rank = input.VarianceRanks();
        var meanVariance = Enumerable.Range(0, d).Average(input.Variance);
        double[] read = [.. input.Mean.Select((mean, i) =>
            mean - (model.Spec.PreEncoderBias ? model.Parameters.BDec[i] : 0))];
        var offset = read.Zip(c.Direction, (a, b) => a * b).Sum();
        TableColumn Of(string name, Func<int, double?> value, int digits, string formula) =>
            new(name, Numbers: [.. top.Select(value)]) { Digits = digits, Formula = formula };
        return new("coordinates", "Input coordinates that carry the direction",
            [Of("coordinate", i => i, 0, ""), Of("part", i => c.Direction[i], 4, "m_c"),
                Of("share", i => c.Direction[i] * c.Direction[i], 4, "m_c²"),
                Of("variance", i => input.Variance(i), 6, "over the rows"),
                Of("variance rank", i => rank[i], 0, $"1 varies least, {d} most"),
                Of("mean", i => input.Mean[i], 4, ""),
                Of("|mean| / deviation", i => Math.Abs(input.Mean[i]) / Math.Sqrt(input.Variance(i)), 3,
                    "large: weakly varying")])
        {
            Finding =
                $"The {top.Length} largest of {d} coordinates carry "
                    + $"{Share(top.Sum(i => c.Direction[i] * c.Direction[i]))} of the direction; "
                + $"their median variance rank is {Doubles.Median(top.Select(i => (double)rank[i])):0} of {d} "
                + $"(1 varies least). Along the direction inputs vary {Number(along.Variance / meanVariance)} times as "
                + "much as along a mean coordinate; "
                + $"the mean of {(model.Spec.PreEncoderBias ? "x − b_dec, which the encoder reads," : "x")} "
                + $"lies at {Number(offset)} there, {Number(Math.Abs(offset) / Math.Sqrt(along.Variance))} standard "
                + "deviations from 0, "
                + $"and has a cosine of {offset / Math.Sqrt(Doubles.Squares(read)):0.000} with it.",
            Formula =
                "m is the direction of the mean unit encoder row of the cluster; variance and mean are of raw inputs "
                    + "over the rows that were looked at.",
        };
    }

    static HistogramFigure Biases(SaeModel model, RareCluster c)
    {
        var bias = model.Parameters.BEnc;
        var edges = Linear(bias.Min(), Math.Max(bias.Max(), bias.Min() + 1e-6), 60);
        var (inside, outside) = (Doubles.Moments([.. c.Inside.Select(i => (double)bias[i])]),
            Doubles.Moments([.. c.Outside.Select(i => (double)bias[i])]));
        return new("bias", "Encoder biases, inside and outside", new("b_enc"), new("latents"), edges,
            [Count("inside", c.Inside.Select(i => (double)bias[i]), edges),
                Count("the rest", c.Outside.Select(i => (double)bias[i]), edges)])
        {
            Finding =
                $"b_enc is {Number(inside.Mean)} ± {Number(inside.Deviation)} inside and {Number(outside.Mean)} ± "
                    + $"{Number(outside.Deviation)} among the rest.",
            Formula = "Mean ± standard deviation over latents.",
        };
    }
}
