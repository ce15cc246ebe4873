using CudaSae.Devices;

namespace CudaSae.Backends.Kernels;

/// <summary>Training rows in device memory. Uploads have a stream of their own; steps and uploads wait for each other
/// by events alone.</summary>
sealed unsafe class RowPool : IRowPool
{
    readonly IDevice device;
    readonly int batchRows;
    readonly nint stream, filled, read;     // of uploads; after a fill's last upload; after the last step
    readonly nint[] uploaded, copied, taken;
    readonly void*[] pieces;
    readonly int*[] lists = new int*[2];
    readonly Lock uploading = new();

    /// <param name="owned">Takes what is made here.</param>
    public RowPool(IDevice device, Owned owned, PoolPlan plan, int batchRows)
    {
        (this.device, Plan, this.batchRows) = (device, plan, batchRows);
        Rows = owned.Memory(plan.Bytes);
        Lists = owned.Memory(2L * batchRows * sizeof(int));
        stream = owned.Stream();
        (filled, read) = (owned.Event(), owned.Event());
        (copied, taken) = ([owned.Event(), owned.Event()], [owned.Event(), owned.Event()]);
        uploaded = new nint[2 * plan.Readers];
        pieces = new void*[2 * plan.Readers];
        for (var piece = 0; piece < pieces.Length; piece++)
        {
            uploaded[piece] = owned.Event();
            pieces[piece] = owned.Pinned((long)plan.PieceRows * plan.RowBytes);
        }
        for (var slot = 0; slot < 2; slot++) lists[slot] = (int*)owned.Pinned(batchRows * sizeof(int));
    }

    public PoolPlan Plan { get; }

    /// <summary>[<see cref="PoolPlan.Rows"/>, row] in device memory.</summary>
    public ulong Rows { get; }

    /// <summary>[2, B] int32 in device memory: the slots' places in the pool.</summary>
    public ulong Lists { get; }

    public Span<byte> InputSlot(int slot) => new(lists[slot], batchRows * sizeof(int));
    public void WaitForSlot(int slot) => device.WaitOnHost(copied[slot]);

    public Span<byte> Piece(int piece)
    {
        device.WaitOnHost(uploaded[piece]);
        return new(pieces[piece], Plan.PieceRows * Plan.RowBytes);
    }

    public void BeginFill() => device.Wait(stream, read);

    public void Upload(int piece, long place, int rows)
    {
        lock (uploading)
        {
            device.CopyToDevice(Rows + (ulong)(place * Plan.RowBytes), pieces[piece], (long)rows * Plan.RowBytes,
                stream);
            device.Record(uploaded[piece], stream);
        }
    }

    public void EndFill() => device.Record(filled, stream);
    public void Drain() => Owned.Try(() => device.Synchronize(stream));

    /// <summary>Brings a slot's list to the device, and has the step's stream wait for it and for its rows.</summary>
    public void Begin(int slot, nint copyStream, nint step)
    {
        var list = Lists + (ulong)(slot * batchRows * sizeof(int));
        device.Wait(copyStream, taken[slot]);
        device.CopyToDevice(list, lists[slot], batchRows * sizeof(int), copyStream);
        device.Record(copied[slot], copyStream);
        device.Wait(step, copied[slot]);
        device.Wait(step, filled);
    }

    /// <summary>The step on this slot is over when its stream comes here.</summary>
    public void Taken(int slot, nint step)
    {
        device.Record(taken[slot], step);
        device.Record(read, step);
    }
}
