using CudaSae.Devices;
using CudaSae.Model;
using CudaSae.Training;

namespace CudaSae.Backends.Kernels;

/// <summary>Which of the update kernels (kernels/update.cu) a run takes, and how it is launched: a warp a latent where rows are narrow, a block where they are wide.</summary>
/// <param name="Name">The kernel.</param>
/// <param name="Threads">Of a block.</param>
/// <param name="Latents">That a block works on at a time.</param>
sealed record UpdateKernel(string Name, int Threads, int Latents)
{
    const int MostBlocks = 2048, Widest = 12288;

    /// <param name="general">Takes the kernel for all methods also where the plain one would do: for tests.</param>
    /// <exception cref="SaeException">No kernel is as wide.</exception>
    public static UpdateKernel For(SaeSpec spec, TrainConfig config, int pitch, int outPitch, bool general)
    {
        var width = Math.Max(pitch, outPitch);
        general |= spec.IsThresholded || spec.Penalty is not null || spec.Tying != Tying.Untied || config.EmaDecay > 0 || config.Moments == MomentStorage.Int8;
        if (width > Widest) throw new SaeException($"rows of {width} numbers are wider than the update kernels hold, which is {Widest}; use the CPU backend");
        if (width > 4096) return new("update_general_12288", 256, 1);
        if (general || width > 768) return new(general ? "update_general_4096" : width > 2048 ? "update_4096" : "update_2048", (width / 8 + 31) & ~31, 1);
        return new($"update_{(width + 255) / 256 * 256}", 128, 4);
    }

    /// <summary>Blocks for n latents: some waves of what a large device holds, and no more than there are latents.</summary>
    public int Blocks(int latents) => Math.Min((latents + Latents - 1) / Latents, MostBlocks);

    public Launch Launch(int blocks, int pitch) => new(blocks, Threads, Latents > 1 ? Latents * (8 + 4 * pitch) : 128 + 4 * pitch);
}
