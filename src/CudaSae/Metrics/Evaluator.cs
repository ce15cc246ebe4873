using CudaSae.Backends;
using CudaSae.Data;
using CudaSae.Insight;
using CudaSae.Model;
using CudaSae.Training;

namespace CudaSae.Metrics;

/// <summary>An SAE on held-out rows. y is what the decoder predicts: x unless transcoding.</summary>
/// <param name="Fvu">Σ‖x̂ − y‖² / Σ‖y − ȳ‖²: sums over all rows, then one division; ȳ is their mean.</param>
/// <param name="L0">Mean count of values ≠ 0 a row.</param>
/// <param name="SilentPercent">Latents that fired on none of the rows.</param>
/// <param name="Cosine">Mean of ⟨x̂, y⟩ / ‖x̂‖‖y‖.</param>
/// <param name="Shrinkage">γ = Σ‖x̂‖² / Σ⟨x̂, y⟩: below 1, reconstructions are too short (Rajamanoharan et al. 2024).</param>
public sealed record Evaluation(long Rows, double Fvu, double L0, double SilentPercent, double Cosine, double Shrinkage);

/// <summary>Runs the forward half of a backend over rows of a source. Weights do not change.</summary>
public static class Evaluator
{
    public static Evaluation Run(IBackend backend, ActivationSource source, long firstRow, long rows, DataScale scale)
    {
        var spec = backend.Spec;
        Require(spec, source, rows);
        int B = backend.Config.BatchRows, D = spec.OutputWidth, first = spec.Transcoder is null ? 0 : spec.InputWidth;
        var targetScale = spec.Transcoder is null ? scale.InputScale : scale.TargetScale;
        var reconstruction = new float[B * D];
        var step = new SaeStep(backend);
        var scalars = Schedules.Inference(spec, backend.Config, scale);
        var total = new Totals(D, spec.Latents);
        var row = new float[source.Width];
        var dense = backend.Dense;
        backend.Dense = false;      // a trained code is sparse; where it is not, the batch finds the dense path by itself
        for (long start = 0; start < rows; start += B)
        {
            var count = (int)Math.Min(B, rows - start);
            Forward(b => firstRow + start + (b < count ? b : 0));      // a last, shorter batch is filled up with its first row
            backend.ReadReconstruction(reconstruction);
            for (var b = 0; b < count; b++)
            {
                source.ReadRow(firstRow + start + b, row);
                total.Add(row.AsSpan(first, D), targetScale, reconstruction.AsSpan(b * D, D));
            }
            total.AddFirings(backend, 1);
            if (count == B) continue;
            Forward(_ => firstRow + start);                             // and what that row added is taken back
            total.AddFirings(backend, -(B - count) / (double)B);
        }
        backend.Dense = dense;
        return total.Finish();

        void Forward(Func<int, long> rowOf)
        {
            backend.WaitForSlot(0);
            var slot = backend.InputSlot(0);
            for (var b = 0; b < B; b++) source.Read(rowOf(b), slot.Slice(b * source.RowBytes, source.RowBytes));
            step.Evaluate(0, scalars);
        }
    }

    /// <summary>A loaded SAE on raw rows, whatever normalization it carries and however long its codes are.</summary>
    public static Evaluation Run(Sae sae, ActivationSource source, long firstRow, long rows)
    {
        Require(sae.Spec, source, rows);
        var total = new Totals(sae.OutputWidth, sae.Latents);
        CodePass.Run(sae, source, firstRow, rows, total);
        return total.Finish();
    }

    static void Require(SaeSpec spec, ActivationSource source, long rows)
    {
        if (source.Width != spec.RowWidth) throw new SaeException($"the data are {source.Width} wide, the SAE takes {spec.RowWidth}");
        if (rows < 1) throw new SaeException("there are no held-out rows to evaluate; give --held-out N, or a second file");
    }

    sealed class Totals(int width, int n) : ICodeVisitor
    {
        readonly double[] sum = new double[width];
        readonly int[] firings = new int[n];
        readonly bool[] fired = new bool[n];
        double squaredError, squaredNorm, reconstructed, product, cosine, active;
        long rows;

        public void Add(ReadOnlySpan<float> raw, double scale, ReadOnlySpan<float> xhat)
        {
            double yy = 0, hh = 0, yh = 0;
            for (var i = 0; i < width; i++)
            {
                var y = raw[i] * (float)scale;
                sum[i] += y;
                yy += (double)y * y;
                hh += (double)xhat[i] * xhat[i];
                yh += (double)y * xhat[i];
                squaredError += ((double)xhat[i] - y) * ((double)xhat[i] - y);
            }
            squaredNorm += yy;
            reconstructed += hh;
            product += yh;
            cosine += yh / Math.Max(Math.Sqrt(yy * hh), 1e-300);
            rows++;
        }

        /// <summary>Firings of the last batch, each counted <paramref name="times"/>.</summary>
        public void AddFirings(IBackend backend, double times)
        {
            backend.ReadFirings(firings);
            for (var f = 0; f < n; f++)
            {
                active += times * firings[f];
                fired[f] |= firings[f] > 0;
            }
        }

        public void Visit(in CodeBatch batch)
        {
            for (var b = 0; b < batch.Rows; b++) Add(batch.Target.Slice(b * width, width), 1, batch.Reconstruction.Slice(b * width, width));
            active += batch.Codes.Count;
            foreach (var f in batch.Codes.AllIndices) fired[f] = true;
        }

        public Evaluation Finish()
        {
            double squaredMean = 0;
            foreach (var s in sum) squaredMean += s * s / rows;
            return new(rows, squaredError / (squaredNorm - squaredMean), active / rows, 100.0 * fired.Count(f => !f) / n, cosine / rows, reconstructed / product);
        }
    }
}
