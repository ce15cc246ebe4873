using System.Numerics;

namespace CudaSae.Distributed;

/// <summary>Adds an array over the ranks in a stated order: within a machine in the order of its ranks, then over the
/// machines. Collectives only move the numbers; each rank adds a block of the array.</summary>
sealed unsafe class OrderedSum(ShardPlan plan)
{
    /// <summary>Numbers of the scratch memory for arrays of a length.</summary>
    public static long ScratchLength(ShardPlan plan, long length) => 2 * plan.Ranks * BlockOf(plan, length);

    static long BlockOf(ShardPlan plan, long length) => (length + plan.Ranks - 1) / plan.Ranks;

    /// <summary>Replaces each number by the sum over the ranks.</summary>
    /// <param name="data">[length] The rank's own numbers; receives the sums.</param>
    /// <param name="scratch">[<see cref="ScratchLength"/>].</param>
    public void Run<T>(T* data, long length, T* scratch) where T : unmanaged, IAdditionOperators<T, T, T>
    {
        var block = BlockOf(plan, length);
        T* send = scratch, received = scratch + plan.Ranks * block;
        var bytes = length * sizeof(T);
        Buffer.MemoryCopy(data, send, bytes, bytes);
        for (var i = length; i < plan.Ranks * block; i++) send[i] = default;
        plan.Collective.AllToAll(send, received, block * sizeof(T));
        Add(received, block);
        var own = plan.Rank * block;
        Buffer.MemoryCopy(received, send + own, block * sizeof(T), block * sizeof(T));
        plan.Collective.AllGather(send, plan.EqualStarts(block * sizeof(T)));
        Buffer.MemoryCopy(send, data, bytes, bytes);
    }

    /// <summary>Adds the ranks' blocks into the first one.</summary>
    void Add<T>(T* blocks, long block) where T : unmanaged, IAdditionOperators<T, T, T>
    {
        var machineSize = plan.MachineSize;
        for (var machine = 0; machine < plan.Ranks; machine += machineSize)
        {
            var sum = blocks + machine * block;
            for (var rank = machine + 1; rank < machine + machineSize; rank++) Add(sum, blocks + rank * block, block);
            if (machine > 0) Add(blocks, sum, block);
        }
    }

    static void Add<T>(T* to, T* from, long count) where T : unmanaged, IAdditionOperators<T, T, T>
    {
        for (long i = 0; i < count; i += 1 << 20)
        {
            var length = (int)Math.Min(1 << 20, count - i);
            Span<T> sums = new(to + i, length), others = new(from + i, length);
            var vectors = length / Vector<T>.Count * Vector<T>.Count;
            for (var j = 0; j < vectors; j += Vector<T>.Count)
                (new Vector<T>(sums[j..]) + new Vector<T>(others[j..])).CopyTo(sums[j..]);
            for (var j = vectors; j < length; j++) sums[j] += others[j];
        }
    }
}
