using CudaSae.Devices;

namespace CudaSae.Backends.Kernels;

/// <summary>Exclusive sums over one 64-bit number a latent (kernels/scan.cu).</summary>
sealed class Scan
{
    const int Block = 256, Tile = 2048, SharedBytes = Block * sizeof(ulong);

    readonly KernelContext context;
    readonly DeviceArray<ulong> blockSums;
    readonly int length, blocks;

    public Scan(KernelContext context, string name)
    {
        this.context = context;
        length = context.Latents;
        blocks = (length + Tile - 1) / Tile;
        Input = context.Arena.Take<ulong>($"{name}, counts", length);
        Output = context.Arena.Take<ulong>($"{name}, starts", length + 1L);
        blockSums = context.Arena.Take<ulong>($"{name}, block sums", blocks + 1L);
    }

    public DeviceArray<ulong> Input { get; }        // [n]
    public DeviceArray<ulong> Output { get; }       // [n + 1]

    public void Run()
    {
        var parameters = new ScanParams { Input = Input.Pointer, BlockSums = blockSums.Pointer, Output = Output.Pointer, Length = length, Blocks = blocks };
        context.Launch("scan_sums", new(blocks, Block, SharedBytes), parameters);
        context.Launch("scan_offsets", new(1, Block, SharedBytes), parameters);
        context.Launch("scan_apply", new(blocks, Block, SharedBytes), parameters);
    }
}
