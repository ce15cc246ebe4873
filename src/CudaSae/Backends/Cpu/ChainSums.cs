using System.Runtime.CompilerServices;
using CudaSae.Distributed;
using CudaSae.Model;

namespace CudaSae.Backends.Cpu;

/// <summary><see cref="SumOrder.Chain"/>: a reconstruction is one chain of fused multiply-adds through the ranks, in
/// the order of the latents. Rank 0 starts it, each rank adds its own entries and sends it to the next rank, in chunks
/// of rows, and the last rank sends the whole to all. The bits are those of one process.</summary>
sealed unsafe class ChainSums : ShardSums
{
    const int ChunkBlocks = 8;          // blocks of rows that go from rank to rank together

    readonly Action<int, int> addPart;

    // The chain in work.
    float* sums, factor;                // [B, lo]; [B, k]
    int level, firstBlock;
    bool starts;                        // whether this rank starts it

    public ChainSums(CpuContext context, ShardPlan plan, Residuals residuals) : base(context, plan, residuals) =>
        addPart = AddBlock;

    public override void Reconstruct(float* sums, float* factor, int level)
    {
        this.sums = sums;
        this.factor = factor;
        this.level = level;
        var (first, last) = RanksOf(level);
        starts = Plan.Rank == first;
        for (var b = 0; b < B && Plan.Rank >= first && Plan.Rank <= last; b += ChunkBlocks * RowBlock)
        {
            var rows = Math.Min(ChunkBlocks * RowBlock, B - b);
            var at = sums + (long)b * lo;
            var bytes = (long)rows * lo * sizeof(float);
            if (!starts) Plan.Collective.Receive(at, bytes, Plan.Rank - 1);
            firstBlock = b / RowBlock;
            workers.Run((rows + RowBlock - 1) / RowBlock, addPart);
            if (Plan.Rank < last) Plan.Collective.Send(at, bytes, Plan.Rank + 1);
        }
        Plan.Collective.Broadcast(sums, (long)B * lo * sizeof(float), last);
    }

    /// <summary>The first and the last rank that may hold entries of a level.</summary>
    (int First, int Last) RanksOf(int level)
    {
        if (level == AllLevels || spec.Nested is not Nesting.Prefixes) return (0, Plan.Ranks - 1);
        int start = level == 0 ? 0 : step.EndOf(level - 1, spec.Latents), end = step.EndOf(level, spec.Latents);
        var first = Plan.RankOf(Math.Min(start, spec.Latents - 1));
        return (first, Math.Max(first, Plan.RankOf(Math.Max(end - 1, 0))));
    }

    [SkipLocalsInit]
    void AddBlock(int part, int worker)
    {
        int* entries = stackalloc int[k], scratch = stackalloc int[k];
        var block = firstBlock + part;
        for (var b = block * RowBlock; b < Math.Min((block + 1) * RowBlock, B); b++)
        {
            var to = sums + (long)b * lo;
            if (starts) Start(to, b, level);
            Code.Add(to, entries, List(b, level, entries, scratch), factor);
        }
    }

    public override void Add(double* numbers, long count, Action addOwn)
    {
        var bytes = count * sizeof(double);
        if (Plan.Rank > 0) Plan.Collective.Receive(numbers, bytes, Plan.Rank - 1);
        addOwn();
        if (!Plan.IsLast) Plan.Collective.Send(numbers, bytes, Plan.Rank + 1);
        Plan.Collective.Broadcast(numbers, bytes, Plan.Ranks - 1);
    }
}
