using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>The dense check of ValidateEvery: computes every pre-activation of the last batch in double, by plain
/// loops, and shares no code with <see cref="Gemm"/>. It allocates.</summary>
sealed unsafe partial class CpuBackend
{
    public DenseCheck CheckAgainstDense()
    {
        Backends.DenseCheck.RequirePlainTopK(Spec);
        double worstValue = 0, worstSelection = 0, worstReconstruction = 0;
        var preActs = new double[n];
        for (var b = 0; b < B; b++)
        {
            double scale = 1e-30, smallestKept = double.PositiveInfinity, largestLeft = double.NegativeInfinity;
            for (var f = 0; f < n; f++)
            {
                double a = bEnc[f];
                for (var i = 0; i < d; i++) a += (double)wEnc[(long)f * ld + i] * centered[(long)b * ld + i];
                preActs[f] = a;
                scale = Math.Max(scale, Math.Abs(a));
            }
            var kept = new ReadOnlySpan<int>(index + (long)b * k, k);
            for (var f = 0; f < n; f++)
            {
                if (kept.BinarySearch(f) >= 0) smallestKept = Math.Min(smallestKept, preActs[f]);
                else largestLeft = Math.Max(largestLeft, preActs[f]);
            }
            worstSelection = Math.Max(worstSelection, (largestLeft - smallestKept) / scale);
            for (var j = 0; j < k; j++)
                worstValue = Math.Max(worstValue,
                    Math.Abs(value[(long)b * k + j] - Math.Max(0, preActs[kept[j]])) / scale);
            worstReconstruction = Math.Max(worstReconstruction, ReconstructionDifference(b, kept, preActs));
        }
        return new(worstValue, worstSelection, worstReconstruction, 4 * Math.Sqrt(d) * Math.Pow(2, -24) * 4);
    }

    double ReconstructionDifference(int b, ReadOnlySpan<int> kept, double[] preActs)
    {
        double difference = 0, norm = 1e-30;
        for (var i = 0; i < d; i++)
        {
            double xhat = bDec[i];
            foreach (var f in kept) xhat += Math.Max(0, preActs[f]) * wDec[(long)f * lo + i];
            difference += Math.Pow(residual[(long)b * lo + i] + y[(long)b * lo + i] - xhat, 2);
            norm += xhat * xhat;
        }
        return Math.Sqrt(difference / norm);
    }
}
