using CudaSae.Devices;
using CudaSae.Devices.Params;
using CudaSae.Model;

namespace CudaSae.Backends.Kernels;

/// <summary>The phase encode of thresholded selections on the sparse path (kernels/encode_columns.cu): it finds each z
/// above the limit of its latent, then makes the code of each row.</summary>
sealed unsafe class ColumnsPhase
{
    const int Tile = 128;

    readonly KernelContext context;
    readonly DeviceArray<ulong> candidates;
    readonly DeviceArray<int> count, rankCount;

    public ColumnsPhase(KernelContext context)
    {
        this.context = context;
        candidates = context.Arena.Take<ulong>("encode candidates", (long)context.Rows * context.Active);
        count = context.Arena.Take<int>("encode candidate counts", context.Rows);
        Overflows = context.Arena.Take<int>("encode overflows", 1);
        RowNear = context.Ranks is null ? context.Buffers.RowCount
            : context.Arena.Take<int>("code entries of all ranks", context.Rows);
        rankCount = context.Arena.Take<int>("encode candidate counts of all ranks",
            context.Ranks is null ? 0 : context.Rows);
    }

    /// <summary>[1] number of rows of the last run that exceeded the capacity.</summary>
    public DeviceArray<int> Overflows { get; }

    /// <summary>[B] entries of a row on all ranks, at most the capacity.</summary>
    public DeviceArray<int> RowNear { get; }

    /// <summary>Runs the phase. If a row exceeds the capacity, <see cref="StepScalars.Abandoned"/> is set on the
    /// device, and the batch must take the dense path.</summary>
    public void Run()
    {
        var buffers = context.Buffers;
        context.Device.Fill32(count.Pointer, 0, context.Rows, context.Stream);
        context.Device.Fill32(Overflows.Pointer, 0, 1, context.Stream);
        var encode = new EncodeColumnsParams
        {
            XCentered = buffers.XCentered.Pointer, WEnc = buffers.WEncHi.Pointer, BEnc = buffers.BEnc.Pointer,
            Latents = buffers.Latents.Pointer,
            Count = count.Pointer, Candidates = candidates.Pointer, Rows = context.Rows, Ld = context.Ld,
            Columns = context.Latents, Capacity = context.Active,
        };
        if (context.Hopper is { } hopper)
            context.Launch("encode_columns_sm90", hopper.Shape(context.Latents), new EncodeColumnsSm90Params
            {
                XMap = hopper.XMap, WMap = hopper.WMap, Columns = encode, Cluster = hopper.Cluster, Skew = hopper.Skew,
            });
        else
        {
            var tiles = checked((context.Rows + Tile - 1) / Tile * ((context.Latents + Tile - 1) / Tile));
            context.Launch("encode_columns", new(tiles, Tile, SharedMemory.Tile), encode);
        }
        context.Launch("collect", new(context.Rows, Tile, SharedMemory.Collect(context.Active)), new CollectParams
        {
            Loss = context.Loss, Latents = buffers.Latents.Pointer, Candidates = candidates.Pointer,
            Count = count.Pointer, Index = buffers.Index.Pointer,
            Value = buffers.Value.Pointer, PreAct = buffers.PreAct.Pointer, RowCount = buffers.RowCount.Pointer,
            Overflows = Overflows.Pointer, Scalars = buffers.Scalars.Pointer, Active = context.Active,
        });
        if (context.Ranks is { } ranks) FindRoom(ranks);
        context.SetLevels(context.AllRows);
    }

    /// <summary>Counts the entries of all ranks. A row without room for them exceeds the capacity.</summary>
    void FindRoom(RankExchange ranks)
    {
        context.Device.CopyOnDevice(rankCount.Pointer, count.Pointer, count.Bytes, context.Stream);
        ranks.Sum(rankCount);
        context.Device.Fill32(Overflows.Pointer, 0, 1, context.Stream);
        context.Launch("shard_room", new(context.Blocks(context.Rows, 256), 256), new ShardRoomParams
        {
            Scalars = context.Buffers.Scalars.Pointer, Count = rankCount.Pointer, RowNear = RowNear.Pointer,
            Overflows = Overflows.Pointer, Rows = context.Rows, Capacity = context.Active,
        });
    }
}
