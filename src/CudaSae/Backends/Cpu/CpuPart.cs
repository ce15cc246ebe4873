using CudaSae.Distributed;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>The base of every phase and of the parts that phases share. The shapes are fields of the object, so that
/// its loops read them without an indirection.</summary>
abstract class CpuPart(CpuContext context)
{
    /// <summary>Parts of the latents, for any number of threads and ranks: partial sums are added in their
    /// order.</summary>
    protected const int LatentParts = LatentCut.Parts;

    /// <summary>Rows of a block, for any number of threads: column sums are added block by block.</summary>
    protected const int RowBlock = 32;

    protected readonly int B = context.Rows;            // rows of a batch
    protected readonly int d = context.Width;           // width of the input
    protected readonly int D = context.OutWidth;        // width of the output
    protected readonly int n = context.Latents;         // latents of this rank
    protected readonly int k = context.Active;          // entries of a row's code
    protected readonly int ld = context.InStride;       // d and D rounded up to 16, zero-padded
    protected readonly int lo = context.OutStride;
    protected readonly int panels = context.Panels;     // panels of 48 rows
    protected readonly int lanes = context.Panels * Gemm.TileColumns;
    protected readonly int rowBlocks = (context.Rows + RowBlock - 1) / RowBlock;
    protected readonly CpuStep step = context.Step;
    protected readonly Workers workers = context.Workers;
    protected readonly SaeSpec spec = context.Spec;
    protected readonly TrainConfig config = context.Config;
    protected readonly ShardPlan? shard = context.Shard;        // the share of this rank; null for all latents
    protected readonly int firstLatent = context.First;         // of this rank, among all latents
    protected readonly int firstPart = context.Shard?.FirstPart ?? 0;
    protected readonly int parts = context.Shard?.Parts ?? LatentParts;     // of this rank

    /// <summary>The latents of one of this rank's parts, as numbers within the rank: [First, Last).</summary>
    /// <param name="part">Number of the part within the rank.</param>
    protected (int First, int Last) Latents(int part) =>
        (LatentCut.FirstOf(spec.Latents, firstPart + part) - firstLatent,
            LatentCut.FirstOf(spec.Latents, firstPart + part + 1) - firstLatent);
}
