using CudaSae.Backends;
using CudaSae.Data;
using CudaSae.Model;
using CudaSae.Training;

namespace CudaSae.Metrics;

/// <summary>An SAE on held-out rows.</summary>
/// <param name="Fvu">Σ‖x̂ − x‖² / Σ‖x − x̄‖²: sums over all rows, then one division; x̄ is their mean.</param>
/// <param name="L0">Mean count of values > 0 a row.</param>
/// <param name="SilentPercent">Latents that fired on none of the rows.</param>
/// <param name="Cosine">Mean of ⟨x̂, x⟩ / ‖x̂‖‖x‖.</param>
/// <param name="Shrinkage">γ = Σ‖x̂‖² / Σ⟨x̂, x⟩: below 1, reconstructions are too short (Rajamanoharan et al. 2024).</param>
public sealed record Evaluation(long Rows, double Fvu, double L0, double SilentPercent, double Cosine, double Shrinkage);

/// <summary>Runs the forward half of a backend over rows of a source. Weights do not change.</summary>
public static class Evaluator
{
    public static Evaluation Run(IBackend backend, ActivationSource source, long firstRow, long rows, DataScale scale)
    {
        if (source.Width != backend.Spec.InputWidth) throw new SaeException($"the data are {source.Width} wide, the SAE takes {backend.Spec.InputWidth}");
        if (rows < 1) throw new SaeException("there are no held-out rows to evaluate; give --held-out N, or a second file");
        int B = backend.Config.BatchRows, d = source.Width, k = backend.Spec.Active;
        var code = new SparseCode(B, k);
        var reconstruction = new float[B * d];
        var step = new SaeStep(backend);
        var scalars = Schedules.Scalars(backend.Spec, backend.Config, scale, 1);
        var total = new Totals(d, backend.Spec.Latents);
        var x = new float[d];
        for (long start = 0; start < rows; start += B)
        {
            var count = (int)Math.Min(B, rows - start);
            backend.WaitForSlot(0);
            var slot = backend.InputSlot(0);
            for (var b = 0; b < B; b++)     // the last batch is filled up with its first row, which is not counted again
                source.Row(firstRow + start + (b < count ? b : 0)).CopyTo(slot[(b * source.RowBytes)..]);
            step.Evaluate(0, scalars);
            backend.ReadCode(code);
            backend.ReadReconstruction(reconstruction);
            for (var b = 0; b < count; b++)
            {
                source.ReadRow(firstRow + start + b, x);
                total.Add(x, scale.InputScale, reconstruction.AsSpan(b * d, d), code, b);
            }
        }
        return total.Finish();
    }

    sealed class Totals(int d, int n)
    {
        readonly double[] sum = new double[d];
        readonly bool[] fired = new bool[n];
        double squaredError, squaredNorm, reconstructed, product, cosine;
        long rows, active;

        public void Add(float[] raw, double scale, ReadOnlySpan<float> xhat, SparseCode code, int b)
        {
            double xx = 0, hh = 0, xh = 0;
            for (var i = 0; i < d; i++)
            {
                var x = raw[i] * (float)scale;
                sum[i] += x;
                xx += (double)x * x;
                hh += (double)xhat[i] * xhat[i];
                xh += (double)x * xhat[i];
                squaredError += ((double)xhat[i] - x) * ((double)xhat[i] - x);
            }
            squaredNorm += xx;
            reconstructed += hh;
            product += xh;
            cosine += xh / Math.Max(Math.Sqrt(xx * hh), 1e-300);
            rows++;
            for (var j = b * code.Active; j < (b + 1) * code.Active; j++)
            {
                if (!(code.Value[j] > 0)) continue;
                active++;
                fired[code.Index[j]] = true;
            }
        }

        public Evaluation Finish()
        {
            double squaredMean = 0;
            foreach (var s in sum) squaredMean += s * s / rows;
            return new(rows, squaredError / (squaredNorm - squaredMean), (double)active / rows, 100.0 * fired.Count(f => !f) / n, cosine / rows, reconstructed / product);
        }
    }
}
