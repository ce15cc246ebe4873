using CudaSae.Backends.Kernels;
using CudaSae.Devices;
using CudaSae.Devices.Params;

namespace CudaSae.Bench.Ladder;

/// <summary>A rung of kernels/ladder. Each rung computes the same product, C [B, n] f32 = x [B, d] · wᵀ [n, d] + bias,
/// from bfloat16 operands, with one technique more than the rung before.</summary>
/// <param name="Kernel">Name of the kernel on the device.</param>
/// <param name="File">Source file of the kernel.</param>
/// <param name="Sentence">What the rung adds and why that is faster; the comment at the head of the file.</param>
/// <param name="Block">Threads a block.</param>
/// <param name="SharedBytes">Dynamic shared memory a block.</param>
/// <param name="TileRows">Rows of C that a block computes.</param>
/// <param name="TileColumns">Columns of C that a block computes.</param>
/// <param name="Filters">The kernel writes the candidates above each row's limit instead of C, as the engine's encoder
/// does.</param>
sealed record Rung(string Kernel, string File, string Sentence, int Block, int SharedBytes, int TileRows,
    int TileColumns, bool Filters = false)
{
    const int Tile = 128;

    /// <summary>Form of the Hopper kernel; null for the portable rungs. It needs compute capability 9.0.</summary>
    public HopperForm? Hopper { get; init; }

    public string Name => Hopper is null ? Path.GetFileNameWithoutExtension(File) : Hopper.Name;

    public bool RunsOn(DeviceInfo info) => Hopper is null || info.IsHopper;

    /// <summary>Blocks of a launch, one for each tile. The Hopper kernel visits several tiles, so its blocks do not
    /// exceed the number of multiprocessors.</summary>
    public Launch Shape(int rows, int columns, int multiprocessors)
    {
        int down = (rows + TileRows - 1) / TileRows, across = (columns + TileColumns - 1) / TileColumns;
        if (Hopper is null) return new(checked(down * across), Block, SharedBytes);
        var units = (down + Hopper.Cluster - 1) / Hopper.Cluster * (long)across;
        return new((int)Math.Clamp(units, 1, Math.Max(1, multiprocessors / Hopper.Cluster)) * Hopper.Cluster, Block,
            SharedBytes, Cluster: Hopper.Cluster);
    }

    static Rung OnHopper(string name, int cluster, bool staggered, string sentence) =>
        new("encode_sm90", "kernels/sm90/encode_sm90.cu", sentence, HopperOperands.Block, SharedMemory.EncodeSm90,
            HopperOperands.TileRows, HopperOperands.TileColumns, Filters: true)
        {
            Hopper = new(name, cluster, staggered),
        };

    /// <summary>All rungs from the bottom. The last four are the engine's kernels.</summary>
    public static IReadOnlyList<Rung> All { get; } =
    [
        new("ladder_naive", "kernels/ladder/01_naive.cu",
            "Naive: a thread computes one element of C from global memory. The 32 rows of a warp are 32 different "
                + "cache lines for every product.",
            256, 0, 32, 8),
        new("ladder_coalesced", "kernels/ladder/02_coalesced.cu",
            "Coalesced: the 32 lanes of a warp lie along K, so a load reads 64 neighbouring bytes of one row, not "
                + "2 bytes of each of 32 rows.",
            256, 0, 1, 8),
        new("ladder_shared_tiles", "kernels/ladder/03_shared_tiles.cu",
            "Shared-memory tiles: 32 rows of both operands are staged in shared memory, so each element that is "
                + "read serves 32 products, not one.",
            1024, SharedMemory.LadderSharedTiles, 32, 32),
        new("ladder_register_tiles", "kernels/ladder/04_register_tiles.cu",
            "Register tiles: a thread owns 8 x 8 elements of a 128 x 128 tile, so 16 reads of shared memory serve "
                + "64 products; before, 2 reads served one.",
            256, SharedMemory.LadderRegisterTiles, Tile, Tile),
        new("ladder_vector_loads", "kernels/ladder/05_vector_loads.cu",
            "Vector loads: a thread reads global and shared memory 16 bytes at a time, which takes a quarter of "
                + "the instructions or fewer for the same bytes.",
            256, SharedMemory.LadderVectorLoads, Tile, Tile),
        new("ladder_tensor_cores", "kernels/ladder/06_tensor_cores.cu",
            "Tensor cores: mma.sync multiplies 16 x 8 x 16 an instruction, 2,048 products where a warp's fused "
                + "multiply-adds make 32. Its operands come from shared memory 4 bytes at a time.",
            256, SharedMemory.LadderStage, Tile, Tile),
        new("ladder_ldmatrix", "kernels/ladder/07_ldmatrix.cu",
            "ldmatrix and an XOR swizzle: one instruction loads four 8 x 8 matrices in the order of mma's "
                + "operands, and no two of the rows that it reads share a bank.",
            256, SharedMemory.LadderStage, Tile, Tile),
        new("ladder_cp_async", "kernels/ladder/08_cp_async.cu",
            "cp.async: data goes from global to shared memory without passing through registers, so all loads of a "
                + "step are in flight at once.",
            256, SharedMemory.LadderStage, Tile, Tile),
        new("ladder_pipeline", "kernels/ladder/09_pipeline.cu",
            "A pipeline of four stages: three steps of K are being loaded while one is multiplied, which hides the "
                + "latency of global memory behind the tensor cores.",
            256, SharedMemory.LadderPipeline, Tile, Tile),
        new("ladder_warp_tiles", "kernels/ladder/10_warp_tiles.cu",
            "Warp tiles of 64 x 64, as in the engine (mma_tile.cuh): a warp reads 4 KB of shared memory for 65,536 "
                + "products where 32 x 64 reads 3 KB for 32,768, and the fragments of a step load while those of "
                + "the previous step are multiplied.", 128, SharedMemory.Tile, Tile, Tile),
        new("encode", "kernels/encode.cu",
            "The engine's encoder: sums start at the bias, and only values above the limit of their row leave the "
                + "registers, which saves writing C and reading it again.",
            128, SharedMemory.Tile, Tile, Tile, Filters: true),
        OnHopper("encode_sm90", 1, false,
            "TMA and wgmma: one thread issues loads of boxes of 128 rows into swizzled shared memory, and four "
                + "warps together multiply 64 x 256 x 16 from it during the loads, so no instruction carries "
                + "operands."),
        OnHopper("encode_sm90_pairs", 2, false,
            "A cluster of two blocks: each loads half of the tile of the weights and multicasts it to both, which "
                + "halves the reads of the weights from the second-level cache."),
        OnHopper("encode_sm90_skew", 2, true,
            "Warpgroups a step or two of K apart: one multiplies while the other filters, so the tensor cores do "
                + "not wait for the filter. The engine uses this form on Hopper."),
    ];
}

/// <summary>A form of kernels/sm90/encode_sm90.cu.</summary>
/// <param name="Cluster">Blocks that share a tile of weights, 1 or 2.</param>
/// <param name="Staggered">Whether a block's second warpgroup follows the first, as far as the engine does so at this
/// width.</param>
sealed record HopperForm(string Name, int Cluster, bool Staggered);
