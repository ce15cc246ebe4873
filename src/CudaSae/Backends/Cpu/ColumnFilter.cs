using System.Numerics;
using System.Runtime.Intrinsics;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>ReLU, JumpReLU and Gated: the pre-activations above the latent's own limit, which lies below the threshold
/// where entries near it have a gradient.</summary>
sealed unsafe class ColumnFilter(CpuContext context, Candidates candidates) : CpuPart(context)
{
    readonly LatentScalars* latents = context.Buffers.Latents;
    readonly ulong* keys = candidates.Keys;
    readonly int* counts = candidates.Count, overflows = candidates.Overflows;
    readonly int capacity = candidates.Capacity;

    /// <summary>Adds the candidates of a tile, latents [latent, latent + count) and rows [row, row + 48).</summary>
    public void Filter(float* tile, int latent, int count, int row, int worker)
    {
        for (var r = 0; r < count; r++, tile += Gemm.TileColumns)
        {
            var low = Vector512.Create(latents[latent + r].Floor);
            for (var lane = 0; lane < Gemm.TileColumns; lane += 16)
            {
                var above = Vector512.GreaterThan(Vector512.Load(tile + lane), low).ExtractMostSignificantBits();
                for (; above != 0; above &= above - 1)
                {
                    var at = lane + BitOperations.TrailingZeroCount(above);
                    var b = row + at;
                    if (b >= B) break;
                    if (counts[b] < capacity)
                        keys[(long)b * capacity + counts[b]] = CandidateKey.Of(tile[at], latent + r);
                    else if (counts[b] == capacity) overflows[worker]++;
                    counts[b]++;
                }
            }
        }
    }
}
