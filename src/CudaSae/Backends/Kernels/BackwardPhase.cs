using CudaSae.Devices;

namespace CudaSae.Backends.Kernels;

/// <summary>backward: for each latent the entries of the code that hold it, ascending (kernels/index.cu).</summary>
sealed class BackwardPhase
{
    const int Block = 256;

    readonly KernelContext context;
    readonly Scan scan;
    readonly DeviceArray<int> cursor;
    readonly DeviceArray<uint> unsorted;

    public BackwardPhase(KernelContext context)
    {
        this.context = context;
        scan = new(context, "runs");
        var entries = (long)context.Rows * context.Active;
        cursor = context.Arena.Take<int>("run cursors", context.Latents);
        unsorted = context.Arena.Take<uint>("runs, unsorted", entries);
        Entry = context.Arena.Take<uint>("runs", entries);
    }

    /// <summary>[n + 1] starts of runs in the lower half, of their parts in the upper one.</summary>
    public DeviceArray<ulong> Start => scan.Output;

    /// <summary>[B·k] row·k + slot, by latent.</summary>
    public DeviceArray<uint> Entry { get; }

    public void Run()
    {
        var buffers = context.Buffers;
        var parameters = new IndexParams
        {
            Index = buffers.Index.Pointer, Value = buffers.Value.Pointer, Count = scan.Input.Pointer, Start = Start.Pointer, Cursor = cursor.Pointer,
            Unsorted = unsorted.Pointer, Entry = Entry.Pointer, RowCount = buffers.RowCount.Pointer, Rows = context.Rows, Active = context.Active, Latents = context.Latents,
        };
        var byEntry = context.Blocks((long)context.Rows * context.Active, Block);
        var byLatent = context.Blocks(context.Latents, Block);
        context.Device.Fill32(scan.Input.Pointer, 0, 2L * context.Latents, context.Stream);
        context.Launch("index_count", new(byEntry, Block), parameters);
        context.Launch("index_parts", new(byLatent, Block), parameters);
        scan.Run();
        context.Launch("index_scatter", new(byEntry, Block), parameters);
        context.Launch("index_sort_short", new(context.Blocks(context.Latents, Block / 32), Block), parameters);
        context.Launch("index_sort_long", new(context.Blocks(context.Latents, 16), Block, (context.Rows + 31) / 32 * 8), parameters);
    }
}
