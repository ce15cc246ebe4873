using CudaSae.Devices;

namespace CudaSae.Backends.Kernels;

/// <summary>latents: last firings, the dead, and the next step's window (kernels/latents.cu).</summary>
sealed class LatentsPhase
{
    const int Block = 256;

    readonly KernelContext context;
    readonly Scan scan;

    public LatentsPhase(KernelContext context)
    {
        this.context = context;
        scan = new(context, "dead latents");
    }

    public void Run()
    {
        context.Launch("latents_fired", new(context.Blocks((long)context.Rows * context.Active, Block), Block), Parameters());
        FindDead();
    }

    /// <summary>The dead and their window, from the steps of last firing and the scalars on the device.</summary>
    public void FindDead()
    {
        var byLatent = context.Blocks(context.Latents, Block);
        context.Launch("latents_flag", new(byLatent, Block), Parameters());
        scan.Run();
        context.Launch("latents_window", new(byLatent, Block), Parameters());
    }

    LatentsParams Parameters()
    {
        var buffers = context.Buffers;
        return new()
        {
            Index = buffers.Index.Pointer, Value = buffers.Value.Pointer, Scalars = buffers.Scalars.Pointer, LastFired = buffers.LastFired.Pointer,
            Flag = scan.Input.Pointer, Ordinal = scan.Output.Pointer, DeadCount = buffers.DeadCount.Pointer,
            AuxRows = buffers.AuxRows.Pointer, AuxCount = buffers.AuxCount.Pointer, AuxSlot = buffers.AuxSlot.Pointer,
            Entries = context.Rows * context.Active, Latents = context.Latents, Window = context.Spec.Aux?.Capacity(context.Latents) ?? 0,
        };
    }
}
