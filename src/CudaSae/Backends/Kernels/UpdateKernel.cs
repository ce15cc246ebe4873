using CudaSae.Devices;
using CudaSae.Devices.Params;
using CudaSae.Model;

namespace CudaSae.Backends.Kernels;

/// <summary>The update kernel (kernels/update.cu) of a run and its launch: narrow rows take one warp per latent, wide
/// rows take one block.</summary>
/// <param name="Name">The kernel.</param>
/// <param name="Threads">Threads of a block.</param>
/// <param name="Latents">Latents that a block processes at a time.</param>
/// <param name="Warps">Warps that a multiprocessor holds at a time, which is the product of the kernel's launch bounds.
/// UpdateTests compares it with the source, and build/kernel-gate.sh compares the source with the registers.</param>
sealed record UpdateKernel(string Name, int Threads, int Latents, int Warps)
{
    const int MostBlocks = 2048, Widest = 12288;

    /// <summary>Selects the kernel of a run.</summary>
    /// <param name="general">Whether to use the kernel for all methods even if a plain one suffices, for tests.</param>
    /// <exception cref="SaeException">The rows are wider than any kernel supports.</exception>
    public static UpdateKernel For(SaeSpec spec, TrainConfig config, int ld, int lo, bool general)
    {
        var width = Math.Max(ld, lo);
        general |= spec.IsThresholded || spec.Penalty is not null || spec.Tying != Tying.Untied || config.EmaDecay > 0
            || config.Moments == MomentStorage.Int8;
        if (width > Widest)
            throw new SaeException($"rows of {width} numbers are wider than the limit of the update kernels, "
                + $"{Widest}; use the CPU backend");
        var threads = (width / 8 + 31) & ~31;
        return width switch
        {
            > 4096 => new("update_general_12288", 256, 1, Warps: 8),
            _ when general => new("update_general_4096", threads, 1, Warps: 16),
            > 2560 => new("update_4096", threads, 1, Warps: 16),
            > 768 => new("update_2560", threads, 1, Warps: 20),
            > 512 => new("update_768", 128, 4, Warps: 12),
            > 256 => new("update_512", 128, 4, Warps: 12),
            _ => new("update_256", 128, 4, Warps: 16),
        };
    }

    /// <summary>Number of blocks that run concurrently on a multiprocessor.</summary>
    public int Resident => Warps * 32 / Threads;

    /// <summary>Returns the most blocks for n latents on any device, which determines the size of buffers.</summary>
    public int Blocks(int latents) => Math.Min((latents + Latents - 1) / Latents, MostBlocks);

    /// <summary>Returns the number of blocks for n latents on a device: the largest number of whole waves, because a
    /// partial wave leaves some multiprocessors idle. The sums by block, and therefore the last bits of b_dec and of
    /// the gradient norm, depend on this number.</summary>
    public int Blocks(int latents, int multiprocessors)
    {
        var wave = multiprocessors * Resident;
        return Math.Min(Blocks(latents), wave < MostBlocks ? MostBlocks / wave * wave : MostBlocks);
    }

    public Launch Launch(int blocks, int ld) => new(blocks, Threads,
        Latents > 1 ? SharedMemory.UpdateNarrow(ld) : SharedMemory.UpdateWide(ld));
}
