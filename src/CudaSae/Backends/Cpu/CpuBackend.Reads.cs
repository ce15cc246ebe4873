using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>Results of the last step, copied out.</summary>
sealed unsafe partial class CpuBackend
{
    public StepSums ReadSums() => step.Sums;

    public StepSums ReadEarlierSums() => step.EarlierSums;

    public void ReadCode(SparseCode into)
    {
        int B = context.Rows, k = context.Active;
        if (into.Rows != B || into.Active != k)
            throw new ArgumentException($"code [{into.Rows}, {into.Active}] for a batch [{B}, {k}]");
        if (step.Dense)
            throw new SaeException("the last step took the dense path: its code is not a list; set Dense to false "
                + "first");
        if (Shard is { } shard)
        {
            var (index, value) = (new int[B * k], new float[B * k]);
            CopyCode(index, value);
            RankReads.Join(shard, index, value, into);
            return;
        }
        for (var b = 0; b < B; b++)
            for (var j = 0; j < k; j++)
                (into.Index[b * k + j], into.Value[b * k + j]) = j < Buffers.RowCount[b]
                    ? (Buffers.Index[b * k + j], Buffers.Value[b * k + j]) : (-1, 0);
    }

    /// <summary>Copies this rank's entries, with the numbers of all latents.</summary>
    void CopyCode(int[] index, float[] value)
    {
        var k = context.Active;
        for (var entry = 0; entry < index.Length; entry++)
            (index[entry], value[entry]) = entry % k < Buffers.RowCount[entry / k]
                ? (Buffers.Index[entry] + context.First, Buffers.Value[entry]) : (-1, 0);
    }

    public void ReadReconstruction(Span<float> into)
    {
        int D = context.OutWidth, lo = context.OutStride;
        for (var b = 0; b < context.Rows; b++)
        {
            float* e = Buffers.Residual + (long)b * lo, y = Buffers.Y + (long)b * lo;
            for (var i = 0; i < D; i++) into[b * D + i] = e[i] + y[i];
        }
    }

    public void ReadTarget(Span<float> into)
    {
        int D = context.OutWidth, lo = context.OutStride;
        for (var b = 0; b < context.Rows; b++)
            new ReadOnlySpan<float>(Buffers.Y + (long)b * lo, D).CopyTo(into[(b * D)..]);
    }

    public void ReadRowErrors(Span<float> into)
    {
        var lo = context.OutStride;
        for (var b = 0; b < context.Rows; b++) into[b] = (float)Rows.SquaredNorm(Buffers.Residual + (long)b * lo, lo);
    }

    public void ReadFirings(Span<int> into) => phases.Latents.ReadFirings(into);
}
