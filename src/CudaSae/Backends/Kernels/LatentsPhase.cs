using CudaSae.Devices;
using CudaSae.Devices.Params;

namespace CudaSae.Backends.Kernels;

/// <summary>The phase latents: it records last firings, the dead latents, and the window of the next step
/// (kernels/latents.cu).</summary>
sealed class LatentsPhase
{
    const int Block = 256;

    readonly KernelContext context;
    readonly Scan scan;
    readonly DeviceArray<ulong> rankDead;       // [P] dead latents of each rank; empty for one process

    public LatentsPhase(KernelContext context)
    {
        this.context = context;
        rankDead = context.Arena.Take<ulong>("dead latents of ranks", context.Ranks?.Ranks ?? 0);
        AuxTotal = context.Ranks is null ? context.Buffers.AuxCount
            : context.Arena.Take<int>("dead window length of all ranks", 1);
        scan = new(context, "dead latents");
    }

    /// <summary>[1] length of the dead window on all ranks.</summary>
    public DeviceArray<int> AuxTotal { get; }

    /// <summary>Runs the phase.</summary>
    /// <param name="dense">Whether the dense path counted the firings.</param>
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

    /// <summary>Counts the firings of the last code, on request.</summary>
    public void CountFirings()
    {
        context.Device.Fill32(context.Buffers.Firings.Pointer, 0, context.Latents, context.Stream);
        context.Launch("latents_count", new(context.Blocks((long)context.Rows * context.Active, Block), Block),
            Parameters(early: false));
    }

    /// <summary>Finds the dead latents and their window from the steps of last firing and the scalars on the
    /// device.</summary>
    /// <param name="early">Whether this runs at the start of the step, for the step itself rather than for the next
    /// one.</param>
    public void FindDead(bool early)
    {
        var byLatent = context.Blocks(context.Latents, Block);
        context.Launch("latents_flag", new(byLatent, Block), Parameters(early));
        scan.Run();
        if (context.Ranks is { } ranks)
        {
            var own = rankDead.Pointer + (ulong)ranks.Rank * sizeof(ulong);
            context.Device.CopyOnDevice(own, scan.Output.Pointer + (ulong)context.Latents * sizeof(ulong),
                sizeof(ulong), context.Stream);
            ranks.AllGather(rankDead);
        }
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
            RankDead = rankDead.Pointer, AuxTotal = context.Ranks is null ? 0 : AuxTotal.Pointer,
            Rank = context.Ranks?.Rank ?? 0, Ranks = context.Ranks?.Ranks ?? 1,
        };
    }
}
