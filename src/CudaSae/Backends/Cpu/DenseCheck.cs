using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>The dense check of ValidateEvery: computes every pre-activation of the last batch in double, by plain
/// loops, and shares no code with <see cref="Gemm"/>. It allocates.</summary>
sealed unsafe partial class CpuBackend
{
    public DenseCheck CheckAgainstDense()
    {
        if (Shard is not null) throw NoDenseCheck();
        DenseCheck.RequirePlainTopK(Spec);
        int n = context.Latents, k = context.Active;
        double worstValue = 0, worstSelection = 0, worstReconstruction = 0;
        var preActs = new double[n];
        for (var b = 0; b < context.Rows; b++)
        {
            var scale = PreActs(b, preActs);
            double smallestKept = double.PositiveInfinity, largestLeft = double.NegativeInfinity;
            var kept = new ReadOnlySpan<int>(Buffers.Index + (long)b * k, k);
            for (var f = 0; f < n; f++)
            {
                if (kept.BinarySearch(f) >= 0) smallestKept = Math.Min(smallestKept, preActs[f]);
                else largestLeft = Math.Max(largestLeft, preActs[f]);
            }
            worstSelection = Math.Max(worstSelection, (largestLeft - smallestKept) / scale);
            for (var j = 0; j < k; j++)
                worstValue = Math.Max(worstValue,
                    Math.Abs(Buffers.Value[(long)b * k + j] - Math.Max(0, preActs[kept[j]])) / scale);
            worstReconstruction = Math.Max(worstReconstruction, ReconstructionDifference(b, kept, preActs));
        }
        var tolerance = 4 * Math.Sqrt(context.Width) * Math.Pow(2, -24) * 4;
        return new(worstValue, worstSelection, worstReconstruction, tolerance);
    }

    static SaeException NoDenseCheck() => new("the dense check needs all latents in one process and their sum as a "
        + "chain; set ValidateEvery = 0");

    /// <summary>All pre-activations of a row. Returns the largest magnitude.</summary>
    double PreActs(int b, double[] preActs)
    {
        var ld = context.InStride;
        var scale = 1e-30;
        var x = Buffers.Centered + (long)b * ld;
        for (var f = 0; f < preActs.Length; f++)
        {
            double a = Buffers.BEnc[f];
            var row = Buffers.WEnc + (long)f * ld;
            for (var i = 0; i < context.Width; i++) a += (double)row[i] * x[i];
            preActs[f] = a;
            scale = Math.Max(scale, Math.Abs(a));
        }
        return scale;
    }

    double ReconstructionDifference(int b, ReadOnlySpan<int> kept, double[] preActs)
    {
        var lo = context.OutStride;
        double difference = 0, norm = 1e-30;
        for (var i = 0; i < context.Width; i++)
        {
            double xhat = Buffers.BDec[i];
            foreach (var f in kept) xhat += Math.Max(0, preActs[f]) * Buffers.WDec[(long)f * lo + i];
            difference += Math.Pow(Buffers.Residual[(long)b * lo + i] + Buffers.Y[(long)b * lo + i] - xhat, 2);
            norm += xhat * xhat;
        }
        return Math.Sqrt(difference / norm);
    }
}
