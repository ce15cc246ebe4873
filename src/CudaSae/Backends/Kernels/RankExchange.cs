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
    const long BlockUnit = 64;                  // elements of a block, so that it begins at 256 bytes or a multiple

    readonly KernelContext context;
    readonly NcclCommunicator? link;            // null where memory is counted
    readonly DeviceArray<byte> parts;           // [P, block] of the sum in work
    readonly DeviceArray<StepSums> sums;        // [P]
    readonly DeviceArray<int> sent, received;   // [P] of the first exchange

    /// <summary>Takes the memory that all exchanges share.</summary>
    /// <param name="plan">The share of this rank.</param>
    /// <param name="link">The connection to the other ranks; null where memory is counted.</param>
    public RankExchange(KernelContext context, ShardPlan plan, NcclCommunicator? link)
    {
        (this.context, Plan, this.link) = (context, plan, link);
        // The largest sums are those of the reconstructions, or of the penalties [B, 2] in small batches.
        parts = context.Arena.Take<byte>("sums of ranks, parts",
            Math.Max(Padded((long)context.Spec.Levels * context.Rows * context.Lo) * sizeof(float),
                Padded(2L * context.Rows) * sizeof(double)));
        sums = context.Arena.Take<StepSums>("step sums of ranks", Ranks);
        sent = context.Arena.Take<int>("first exchange of ranks", Ranks);
        received = context.Arena.Take<int>("first exchange of ranks, received", Ranks);
    }

    public ShardPlan Plan { get; }
    public int Rank => Plan.Rank;
    public int Ranks => Plan.Ranks;

    NcclCommunicator Link => link ?? throw new InvalidOperationException("this context only counts memory");

    /// <summary>Returns a length that all ranks can share equally.</summary>
    public long Padded(long length) => Ranks * ((length + Ranks - 1) / Ranks + BlockUnit - 1 & ~(BlockUnit - 1));

    /// <summary>Runs each kind of exchange once. NCCL connects the ranks at the first exchange of a kind, which must
    /// not be part of a recorded step.</summary>
    public void Connect()
    {
        AllToAll(sent, received);
        AllGather(sent);
        Sum(sent);
        Broadcast(sent);
    }

    /// <summary>Sends block p of an array to rank p, and receives block p from rank p.</summary>
    public void AllToAll<T>(DeviceArray<T> send, DeviceArray<T> receive) where T : unmanaged =>
        Link.AllToAll(send.Pointer, receive.Pointer, send.Bytes / Ranks, context.Stream);

    /// <summary>Gives every rank the blocks of all ranks.</summary>
    /// <param name="blocks">P blocks of equal length; that of this rank is set.</param>
    public void AllGather<T>(DeviceArray<T> blocks) where T : unmanaged =>
        Link.AllGather(blocks.Pointer, blocks.Bytes / Ranks, context.Stream);

    /// <summary>Gives every rank the bytes of all ranks, in place. Rank p contributes the bytes [starts[p],
    /// starts[p + 1]).</summary>
    public void Gather(DeviceArray<byte> data, long[] starts)
    {
        Transfer Part(int peer, int rank) =>
            new(peer, data.Pointer + (ulong)starts[rank], starts[rank + 1] - starts[rank]);
        int[] others = [.. Enumerable.Range(0, Ranks).Where(rank => rank != Rank)];
        Link.Exchange([.. others.Select(rank => Part(rank, Rank)).Where(t => t.Bytes > 0)],
            [.. others.Select(rank => Part(rank, rank)).Where(t => t.Bytes > 0)], context.Stream);
    }

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

    /// <summary>Adds in two levels: the ranks of a machine exchange slots, and the ranks with one slot exchange its
    /// blocks, so that a rank sends the array over the network between machines once for all ranks of its
    /// machine.</summary>
    void Add<T>(DeviceArray<T> numbers, string kernel, ulong start, long startLength) where T : unmanaged
    {
        int size = Plan.MachineSize, machines = Ranks / size, machine = Rank / size, slot = Rank % size;
        long block = numbers.Length / Ranks, slotLength = block * machines;
        if (numbers.Bytes > parts.Bytes)
            throw new InvalidOperationException($"{numbers.Bytes} bytes to add in room for {parts.Bytes}");
        var (own, bytes) = (slot * slotLength, block * sizeof(T));
        ulong At(long element) => numbers.Pointer + (ulong)(element * sizeof(T));
        int[] neighbours = [.. Enumerable.Range(0, size).Select(other => machine * size + other)];
        int[] counterparts = [.. Enumerable.Range(0, machines).Select(other => other * size + slot)];

        Spread(neighbours, At(0), slotLength * sizeof(T));
        Launch(kernel, At(own), slotLength, size, machines == 1 ? start : 0, own, startLength);
        if (machines > 1)
        {
            Spread(counterparts, At(own), bytes);
            Launch(kernel, At(own + machine * block), block, machines, start, own + machine * block, startLength);
            Collect(counterparts, At(own), bytes);
        }
        Collect(neighbours, At(0), slotLength * sizeof(T));
    }

    /// <summary>Sends block i to member i of a group, and receives its block for this rank into part i.</summary>
    void Spread(int[] members, ulong data, long bytes) =>
        Link.AllToAll(data, parts.Pointer, bytes, members, context.Stream);

    /// <summary>Sends this rank's block to all members of a group, and receives theirs.</summary>
    void Collect(int[] members, ulong data, long bytes)
    {
        ulong Block(int i) => data + (ulong)(i * bytes);
        var own = Array.IndexOf(members, Rank);
        int[] others = [.. Enumerable.Range(0, members.Length).Where(i => i != own)];
        Link.Exchange([.. others.Select(i => new Transfer(members[i], Block(own), bytes))],
            [.. others.Select(i => new Transfer(members[i], Block(i), bytes))], context.Stream);
    }

    void Launch(string kernel, ulong sum, long length, int count, ulong start, long first, long startLength) =>
        context.Launch(kernel, new(context.Blocks(length, Block), Block), new ShardAddParams
        {
            Parts = parts.Pointer, Sum = sum, Base = start, Block = length, First = first, BaseLength = startLength,
            Count = count,
        });

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
