using CudaSae.Formats;
using CudaSae.Numerics;

namespace CudaSae.Lab.Insight;

/// <summary>Sums a latent, and over all rows, of one pass over codes; in double. An activation is |value|: only AbsTopK
/// has negative ones.</summary>
sealed class LatentStatistics(SaeModel model) : ICodeVisitor
{
    readonly int n = model.Spec.Latents;
    readonly double[] squaredNorm = [.. Enumerable.Range(0, model.Spec.Latents)
        .Select(i => Math.Pow(Matrix.Norm(model.Parameters.WDec[i]), 2))];
    readonly double[] sum = new double[model.Spec.Latents], squares = new double[model.Spec.Latents];
    // Σ‖c‖², Σ⟨c, r⟩
    readonly double[] own = new double[model.Spec.Latents], explained = new double[model.Spec.Latents];
    readonly double[] error = new double[model.Spec.OutputWidth];
    double reconstructed, product;
    long entries;

    public long Rows { get; private set; }

    /// <summary>Rows on which each latent fired, [n].</summary>
    public long[] Firings { get; } = new long[model.Spec.Latents];

    /// <summary>Largest activation of each latent, [n]; 0 of one that never fired.</summary>
    public float[] Max { get; } = new float[model.Spec.Latents];

    /// <summary>Rows with i active latents, at place i.</summary>
    public long[] RowsByL0 { get; private set; } = new long[64];

    /// <summary>Latents that fired on none of the rows.</summary>
    public int Silent => Firings.Count(f => f == 0);
    public double L0 => (double)entries / Rows;

    /// <summary>Share of the rows on which latent i fired.</summary>
    public double Density(int i) => (double)Firings[i] / Rows;

    /// <summary>log₁₀ of the density; of a silent latent that of half a firing, so that it has a place.</summary>
    public double LogDensity(int i) => Math.Log10(Math.Max(Firings[i], 0.5) / Rows);

    /// <summary>Mean activation over the rows on which latent i fired; NaN where it never did.</summary>
    public double Mean(int i) => sum[i] / Firings[i];

    /// <summary>Mean squared activation over the same rows.</summary>
    public double MeanSquare(int i) => squares[i] / Firings[i];

    /// <summary>γ_i = Σ‖c‖² / Σ⟨c, r⟩ over the rows on which latent i fired, c = value · d_i its contribution and r = y
    /// − x̂ + c what the others leave to it: 1 / γ_i is the factor on its values that
    /// minimizes the squared error with the others as they are. Below 1 they are too small. The overall γ of
    /// Rajamanoharan et al. 2024 (arXiv 2404.16014 §3.1), one latent at a time.
    /// NaN where it never fired, or where its contribution points away from what is left.</summary>
    public double Gamma(int i) => own[i] > 0 && explained[i] > 0 ? own[i] / explained[i] : double.NaN;

    /// <summary>γ = Σ‖x̂‖² / Σ⟨x̂, y⟩ (the same source): below 1, reconstructions are too short.</summary>
    public double TotalGamma => reconstructed / product;

    public void Visit(in CodeBatch batch)
    {
        var d = error.Length;
        for (var b = 0; b < batch.Rows; b++)
        {
            var y = batch.Target.Slice(b * d, d);
            var h = batch.Reconstruction.Slice(b * d, d);
            for (var c = 0; c < d; c++) error[c] = (double)y[c] - h[c];
            reconstructed += Doubles.Dot(h, h);
            product += Doubles.Dot(h, y);
            Add(batch.Codes.Indices(b), batch.Codes.Values(b), batch.Codes.Undo(b).Scale);
        }
        Rows += batch.Rows;
    }

    void Add(ReadOnlySpan<int> index, ReadOnlySpan<float> value, float scale)
    {
        for (var j = 0; j < index.Length; j++)
        {
            var (i, v) = (index[j], Math.Abs(value[j]));
            Firings[i]++;
            sum[i] += v;
            squares[i] += (double)v * v;
            Max[i] = Math.Max(Max[i], v);
            var contribution = (double)value[j] * scale;
            var length = contribution * contribution * squaredNorm[i];
            own[i] += length;
            explained[i] += contribution * Doubles.Dot(model.Parameters.WDec[i], error) + length;
        }
        entries += index.Length;
        if (index.Length >= RowsByL0.Length)
        {
            var wider = new long[Math.Min(n + 1, 2 * (index.Length + 1))];
            RowsByL0.CopyTo(wider, 0);
            RowsByL0 = wider;
        }
        RowsByL0[index.Length]++;
    }
}
