using CudaSae.Devices.Params;

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

    /// <param name="dense">Whether the firings were counted by the dense path.</param>
    public void Run(bool dense)
    {
        if (dense)
            context.Launch("latents_dense", new(context.Blocks(context.Latents, Block), Block),
                Parameters(early: false));
        else
            context.Launch("latents_fired", new(context.Blocks((long)context.Rows * context.Active, Block), Block),
                Parameters(early: false));
        FindDead(early: false);
    }

    /// <summary>Counts the firings of the last code, when they are requested.</summary>
    public void CountFirings()
    {
        context.Device.Fill32(context.Buffers.Firings.Pointer, 0, context.Latents, context.Stream);
        context.Launch("latents_count", new(context.Blocks((long)context.Rows * context.Active, Block), Block),
            Parameters(early: false));
    }

    /// <summary>The dead and their window, from the steps of last firing and the scalars on the device.</summary>
    /// <param name="early">As the step begins, not for the one after it.</param>
    public void FindDead(bool early)
    {
        var byLatent = context.Blocks(context.Latents, Block);
        context.Launch("latents_flag", new(byLatent, Block), Parameters(early));
        scan.Run();
        context.Launch("latents_window", new(byLatent, Block), Parameters(early));
    }

    LatentsParams Parameters(bool early)
    {
        var buffers = context.Buffers;
        return new()
        {
            Index = buffers.Index.Pointer, Value = buffers.Value.Pointer, RowCount = buffers.RowCount.Pointer,
            Scalars = buffers.Scalars.Pointer, LastFired = buffers.LastFired.Pointer,
            Firings = buffers.Firings.Pointer, Flag = scan.Input.Pointer, Ordinal = scan.Output.Pointer,
            DeadCount = buffers.DeadCount.Pointer,
            AuxRows = buffers.AuxRows.Pointer, AuxCount = buffers.AuxCount.Pointer, AuxSlot = buffers.AuxSlot.Pointer,
            Rows = context.Rows, Active = context.Active, Latents = context.Latents,
            Window = context.Spec.DeadWindow, Early = early ? 1 : 0,
        };
    }
}
