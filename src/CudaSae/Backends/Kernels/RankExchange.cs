using CudaSae.Devices;
using CudaSae.Devices.Params;
using CudaSae.Distributed;
using CudaSae.Model;

namespace CudaSae.Backends.Kernels;

/// <summary>The exchanges of the phases between the devices of the ranks (kernels/shard.cu). All of them are queued on
/// the stream of the phases. Collectives move bytes and add integers; kernels add floats, in the order of the
/// ranks.</summary>
sealed unsafe class RankExchange
{
    const int Block = 256;

    readonly KernelContext context;
    readonly NcclCommunicator? link;            // null where memory is counted
    readonly DeviceArray<byte> parts;           // [P, block] of the sum in work
    readonly DeviceArray<StepSums> sums;        // [P]

    /// <summary>Takes the memory that all exchanges share.</summary>
    /// <param name="plan">The share of this rank.</param>
    /// <param name="link">The connection to the other ranks; null where memory is counted.</param>
    public RankExchange(KernelContext context, ShardPlan plan, NcclCommunicator? link)
    {
        (this.context, Plan, this.link) = (context, plan, link);
        // Of all sums that of the reconstructions is the largest.
        parts = context.Arena.Take<byte>("sums of ranks, parts",
            Padded((long)context.Spec.Levels * context.Rows * context.Lo) * sizeof(float));
        sums = context.Arena.Take<StepSums>("step sums of ranks", Ranks);
    }

    public ShardPlan Plan { get; }
    public int Rank => Plan.Rank;
    public int Ranks => Plan.Ranks;

    NcclCommunicator Link => link ?? throw new InvalidOperationException("this context only counts memory");

    /// <summary>Returns a length that all ranks can share equally.</summary>
    public long Padded(long length) => Ranks * BlockOf(length);

    long BlockOf(long length) => (length + Ranks - 1) / Ranks;

    /// <summary>Sends block p of an array to rank p, and receives block p from rank p.</summary>
    public void AllToAll<T>(DeviceArray<T> send, DeviceArray<T> receive) where T : unmanaged =>
        Link.AllToAll(send.Pointer, receive.Pointer, send.Bytes / Ranks, context.Stream);

    /// <summary>Gives every rank the blocks of all ranks.</summary>
    /// <param name="blocks">P blocks of equal length; that of this rank is set.</param>
    public void AllGather<T>(DeviceArray<T> blocks) where T : unmanaged =>
        Link.AllGather(blocks.Pointer, blocks.Bytes / Ranks, context.Stream);

    /// <summary>Replaces each number by the sum over the ranks.</summary>
    public void Sum(DeviceArray<int> numbers) =>
        Link.Reduce(numbers.Pointer, numbers.Length, NcclInteger.Int32, NcclReduction.Sum, context.Stream);

    /// <summary>Replaces each number by the minimum over the ranks.</summary>
    public void Min(DeviceArray<uint> numbers) =>
        Link.Reduce(numbers.Pointer, numbers.Length, NcclInteger.UInt32, NcclReduction.Min, context.Stream);

    /// <summary>Replaces each number by the maximum over the ranks.</summary>
    public void Max(DeviceArray<uint> numbers) =>
        Link.Reduce(numbers.Pointer, numbers.Length, NcclInteger.UInt32, NcclReduction.Max, context.Stream);

    /// <summary>Copies an array of rank 0 to all ranks.</summary>
    public void Broadcast<T>(DeviceArray<T> numbers) where T : unmanaged =>
        Link.Broadcast(numbers.Pointer, numbers.Bytes, 0, context.Stream);

    /// <summary>Replaces each number by the sum over the ranks in their order, plus <paramref name="start"/>.</summary>
    /// <param name="numbers">An array of a padded length (<see cref="Padded"/>).</param>
    /// <param name="start">Numbers that are added last and repeat from the end of the array; may be empty.</param>
    public void Add(DeviceArray<float> numbers, DeviceArray<float> start = default) =>
        Add(numbers, "shard_add", start.Pointer, start.Length == 0 ? 0 : (long)context.Rows * context.Lo);

    /// <inheritdoc cref="Add(DeviceArray{float}, DeviceArray{float})"/>
    public void Add(DeviceArray<double> numbers) => Add(numbers, "shard_add_f64", 0, 0);

    void Add<T>(DeviceArray<T> numbers, string kernel, ulong start, long startLength) where T : unmanaged
    {
        var block = numbers.Length / Ranks;
        Link.AllToAll(numbers.Pointer, parts.Pointer, block * sizeof(T), context.Stream);
        context.Launch(kernel, new(context.Blocks(block, Block), Block), new ShardAddParams
        {
            Parts = parts.Pointer, Sum = numbers.Pointer + (ulong)(Rank * block * sizeof(T)),
            Base = start, Block = block, First = Rank * block, BaseLength = startLength,
            Ranks = Ranks, Machine = Plan.MachineSize,
        });
        AllGather(numbers);
    }

    /// <summary>Completes the sums of the step with what the other ranks measured of their latents.</summary>
    /// <param name="sameOverflows">Whether every rank counted the overflows of all ranks.</param>
    public void ShareSums(bool sameOverflows)
    {
        var own = context.Buffers.Sums;
        context.Device.CopyOnDevice(sums.Pointer + (ulong)(Rank * sizeof(StepSums)), own.Pointer, sizeof(StepSums),
            context.Stream);
        AllGather(sums);
        context.Launch("shard_sums", new(1, 32), new ShardSumsParams
        {
            RanksSums = sums.Pointer, Sums = own.Pointer, Ranks = Ranks, SameOverflows = sameOverflows ? 1 : 0,
        });
    }
}
