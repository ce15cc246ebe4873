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

    /// <summary>The latents of a part: [First, Last).</summary>
    protected (int First, int Last) Latents(int part) =>
        ((int)((long)n * part / LatentParts), (int)((long)n * (part + 1) / LatentParts));
}
