using CudaSae.Numerics;

namespace CudaSae.Lab.Downstream;

/// <summary>Sums over rows and what an SAE makes of them, all in double. The spread about the mean needs the mean, so
/// each row comes a second time.</summary>
sealed class ReconstructionTotals(int width, int latents)
{
    const double ShortestNorm = 1e-4;       // below it SAEBench divides by 1

    readonly double[] sum = new double[width];
    readonly long[] firings = new long[latents];
    readonly List<double> errors = [];      // ‖x̂ − x‖² a row
    double squares, reconstructed, product, error, cosine, normIn, normOut, ratio, active, absolute;
    double spread, perRow;                  // of the second visit
    int second;

    public long Rows => errors.Count;

    public void Add(ReadOnlySpan<float> x, ReadOnlySpan<float> xhat, ReadOnlySpan<int> indices,
        ReadOnlySpan<float> values)
    {
        double xx = 0, hh = 0, xh = 0, e = 0;
        for (var i = 0; i < width; i++)
        {
            sum[i] += x[i];
            xx += (double)x[i] * x[i];
            hh += (double)xhat[i] * xhat[i];
            xh += (double)x[i] * xhat[i];
            e += ((double)xhat[i] - x[i]) * ((double)xhat[i] - x[i]);
        }
        var (norm, length) = (Math.Sqrt(xx), Math.Sqrt(hh));
        (squares, reconstructed, product, error) = (squares + xx, reconstructed + hh, product + xh, error + e);
        (normIn, normOut, ratio) = (normIn + norm, normOut + length, ratio + length / (norm < ShortestNorm ? 1 : norm));
        cosine += xh / Math.Max(norm * length, 1e-300);
        errors.Add(e);
        active += indices.Length;
        foreach (var f in indices) firings[f]++;
        foreach (var v in values) absolute += Math.Abs((double)v);
    }

    /// <summary>x̄ of the rows so far.</summary>
    public double[] Mean() => [.. sum.Select(s => s / Rows)];

    /// <summary>The rows again, in the same order.</summary>
    public void AddAgain(ReadOnlySpan<float> x, ReadOnlySpan<double> mean)
    {
        double about = 0;
        for (var i = 0; i < width; i++) about += (x[i] - mean[i]) * (x[i] - mean[i]);
        spread += about;
        perRow += 1 - (Ratio.Of(errors[second++], about) ?? double.NaN);
    }

    public IEnumerable<Metric> Metrics()
    {
        double n = Rows;
        var density = firings.Select(f => f / n).ToArray();
        double Share(Func<double, bool> which) => density.Count(which) / (double)latents;
        double Weight(double above) => active > 0 ? density.Where(p => p > above).Sum() / density.Sum() : 0;
        const string quality =
            "reconstruction_quality", shrinkage = "shrinkage", sparsity = "sparsity", misc = "misc_metrics";
        return
        [
            new(quality, "explained_variance", 1 - Ratio.Of(error, spread) ?? double.NaN,
                "1 − Σ‖x̂−x‖² / Σ‖x−x̄‖²: sums over all tokens, then one division"),
            new(quality, "explained_variance_legacy", perRow / n, "mean of 1 − ‖x̂−x‖² / ‖x−x̄‖² a token"),
            new(quality, "mse", error / n, "mean of ‖x̂−x‖²"),
            new(quality, "cossim", cosine / n, "mean of ⟨x̂,x⟩ / ‖x̂‖‖x‖"),
            new(shrinkage, "l2_norm_in", normIn / n, "mean of ‖x‖"),
            new(shrinkage, "l2_norm_out", normOut / n, "mean of ‖x̂‖"),
            new(shrinkage, "l2_ratio", ratio / n, "mean of ‖x̂‖ / ‖x‖"),
            new(shrinkage, "relative_reconstruction_bias", Ratio.Of(reconstructed, product) ?? double.NaN,
                "Σ‖x̂‖² / Σ⟨x̂,x⟩; 1 is unbiased (Rajamanoharan et al. 2024, eq. 10)"),
            new(sparsity, "l0", active / n, "mean count of f ≠ 0"),
            new(sparsity, "l1", absolute / n, "mean of Σ|f|"),
            new(misc, "frac_alive", Share(p => p > 0), "latents that fire on any of these tokens"),
            new(misc, "freq_over_1_percent", Share(p => p > 0.01), "latents that fire on more than 1 % of the tokens"),
            new(misc, "freq_over_10_percent", Share(p => p > 0.1), "latents that fire on more than 10 % of the tokens"),
            new(misc, "normalized_freq_over_1_percent", Weight(0.01), "their share of all firings"),
            new(misc, "normalized_freq_over_10_percent", Weight(0.1), "their share of all firings"),
        ];
    }
}
