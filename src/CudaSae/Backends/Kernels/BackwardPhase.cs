using CudaSae.Devices;
using CudaSae.Devices.Params;

namespace CudaSae.Backends.Kernels;

/// <summary>backward: for each latent the entries of the code that hold it, ascending, and the latents by length of
/// their runs (kernels/index.cu).</summary>
sealed class BackwardPhase
{
    const int Block = 256, Tile = 2048, Classes = 9;

    readonly KernelContext context;
    readonly DeviceArray<uint> count, classSums, unsorted;
    readonly DeviceArray<ulong> tileSums;
    readonly DeviceArray<int> ticket;
    readonly int tiles;

    public BackwardPhase(KernelContext context)
    {
        this.context = context;
        var (arena, n, entries) = (context.Arena, (long)context.Latents, (long)context.Rows * context.Active);
        tiles = (context.Latents + Tile - 1) / Tile;
        count = arena.Take<uint>("runs, counts", n);
        tileSums = arena.Take<ulong>("runs, tile sums", tiles + 1);
        classSums = arena.Take<uint>("runs, class sums", (long)Classes * tiles);
        ClassStart = arena.Take<uint>("runs, classes", Classes);
        ticket = arena.Take<int>("runs, tiles done", 1);
        Start = arena.Take<ulong>("runs, starts", n + 1);
        Order = arena.Take<int>("runs, order", n);
        unsorted = arena.Take<uint>("runs, unsorted", entries);
        Entry = arena.Take<uint>("runs", entries);
    }

    /// <summary>[n + 1] starts of runs in the lower half, of their parts in the upper one.</summary>
    public DeviceArray<ulong> Start { get; }

    /// <summary>[n] latents, longest runs first, those without a gradient last; and where each class of lengths begins
    /// (kernels/runs.cuh).</summary>
    public DeviceArray<int> Order { get; }
    public DeviceArray<uint> ClassStart { get; }

    /// <summary>[B·k] row·k + slot, by latent.</summary>
    public DeviceArray<uint> Entry { get; }

    public void Run()
    {
        var buffers = context.Buffers;
        var parameters = new IndexParams
        {
            Index = buffers.GatherIndex.Pointer, Value = buffers.GatherValue.Pointer,
            RowCount = buffers.GatherCount.Pointer, AuxSlot = buffers.AuxBiasGrad.Length == 0
                ? 0 : buffers.AuxSlot.Pointer,
            Scalars = buffers.Latents.Pointer, Count = count.Pointer, TileSums = tileSums.Pointer,
            ClassSums = classSums.Pointer, ClassStart = ClassStart.Pointer, Ticket = ticket.Pointer,
            Start = Start.Pointer, Order = Order.Pointer, Unsorted = unsorted.Pointer, Entry = Entry.Pointer,
            Rows = context.Rows, Active = context.Active, Latents = context.Latents, Tiles = tiles,
        };
        var byEntry = context.Blocks((long)context.Rows * context.Active, Block);
        context.Launch("index_count", new(byEntry, Block), parameters);
        context.Launch("index_tiles", new(tiles, Block, SharedMemory.Index), parameters);
        context.Launch("index_starts", new(tiles, Block, SharedMemory.Index), parameters);
        context.Launch("index_scatter", new(byEntry, Block), parameters);
        var sorting = context.Blocks(context.Latents, Block / 32);
        context.Launch("index_sort", new(sorting, Block, SharedMemory.IndexSort(context.Rows)), parameters);
    }
}
