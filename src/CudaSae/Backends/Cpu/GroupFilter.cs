using System.Numerics;
using System.Runtime.Intrinsics;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>GroupMax: the largest pre-activation of each of k groups of neighbouring latents.</summary>
sealed unsafe class GroupFilter(CpuContext context, Candidates candidates) : CpuPart(context)
{
    readonly ulong* keys = candidates.Keys;
    readonly int* counts = candidates.Count;
    readonly int capacity = candidates.Capacity;
    readonly int size = context.Spec.Latents / context.Spec.Active;             // latents of a group
    readonly int groups = (int)((long)context.Latents * context.Spec.Active / context.Spec.Latents);    // of this rank
    readonly float* best = context.Arena.Take<float>("group maxima",
        (long)context.Panels * context.Active * Gemm.TileColumns);      // [panels, k, 48] largest z of a group so far

    /// <summary>Resets the maxima of the panels [first, last).</summary>
    public void Begin(int first, int last) =>
        new Span<float>(best + (long)first * k * Gemm.TileColumns, (last - first) * k * Gemm.TileColumns)
            .Fill(float.NegativeInfinity);

    /// <summary>Updates the maxima with a tile. The comparison is strict, so that the lower of two equal latents
    /// stays.</summary>
    public void Filter(float* tile, int latent, int count, int panel)
    {
        for (var r = 0; r < count; r++, tile += Gemm.TileColumns)
        {
            var group = (latent + r) / size;
            var maxima = best + ((long)panel * k + group) * Gemm.TileColumns;
            for (var lane = 0; lane < Gemm.TileColumns; lane += 16)
            {
                var values = Vector512.Load(tile + lane);
                var above = Vector512.GreaterThan(values, Vector512.Load(maxima + lane));
                var bits = above.ExtractMostSignificantBits();
                if (bits == 0) continue;
                Vector512.ConditionalSelect(above, values, Vector512.Load(maxima + lane)).Store(maxima + lane);
                for (; bits != 0; bits &= bits - 1)
                {
                    var b = panel * Gemm.TileColumns + lane + BitOperations.TrailingZeroCount(bits);
                    if (b < B)
                        keys[(long)b * capacity + group] =
                            CandidateKey.Of(values[b % Gemm.TileColumns - lane], latent + r);
                }
            }
        }
    }

    /// <summary>Every group has one candidate; a group without a number above −∞ has its first latent.</summary>
    public void Finish(int b)
    {
        counts[b] = groups;
        var maxima = best + (long)(b / Gemm.TileColumns) * k * Gemm.TileColumns + b % Gemm.TileColumns;
        for (var g = 0; g < groups; g++)
            if (maxima[g * Gemm.TileColumns] == float.NegativeInfinity)
                keys[(long)b * capacity + g] = CandidateKey.Of(float.NegativeInfinity, g * size);
    }
}
