using CudaSae.Devices;
using CudaSae.Devices.Params;

namespace CudaSae.Backends.Kernels;

/// <summary>Exclusive sums over one 64-bit number a latent (kernels/scan.cu).</summary>
sealed class Scan
{
    const int Block = 256, Tile = 2048;

    readonly KernelContext context;
    readonly DeviceArray<ulong> tileSums;
    readonly DeviceArray<int> ticket;
    readonly int length, tiles;

    public Scan(KernelContext context, string name)
    {
        this.context = context;
        length = context.Latents;
        tiles = (length + Tile - 1) / Tile;
        Input = context.Arena.Take<ulong>($"{name}, counts", length);
        Output = context.Arena.Take<ulong>($"{name}, starts", length + 1L);
        tileSums = context.Arena.Take<ulong>($"{name}, tile sums", tiles);
        ticket = context.Arena.Take<int>($"{name}, tiles done", 1);
    }

    public DeviceArray<ulong> Input { get; }        // [n]
    public DeviceArray<ulong> Output { get; }       // [n + 1]

    public void Run()
    {
        var parameters = new ScanParams
        {
            Input = Input.Pointer, TileSums = tileSums.Pointer, Ticket = ticket.Pointer, Output = Output.Pointer,
            Length = length, Tiles = tiles,
        };
        context.Launch("scan_tiles", new(tiles, Block, SharedMemory.Scan), parameters);
        context.Launch("scan_apply", new(tiles, Block, SharedMemory.Scan), parameters);
    }
}
