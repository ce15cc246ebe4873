using System.Runtime.CompilerServices;
using CudaSae.Distributed;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary><see cref="SumOrder.Ordered"/>: every rank adds its own entries, and the partial sums are added in the
/// order of the ranks (<see cref="OrderedSum"/>), then to b_dec or to the level before.</summary>
sealed unsafe class OrderedSums : ShardSums
{
    readonly OrderedSum ordered;
    readonly float* scratch, start;     // of OrderedSum; [workers, lo]
    readonly double* numberScratch;
    readonly Action<int, int> addPart, finishPart;
    float* sums, factor;                // [B, lo]; [B, k] in work
    int level;

    public OrderedSums(CpuContext context, ShardPlan plan, Residuals residuals) : base(context, plan, residuals)
    {
        ordered = new(plan);
        scratch = context.Arena.Take<float>("partial sums of ranks", OrderedSum.ScratchLength(plan, (long)B * lo));
        start = context.Arena.Take<float>("start of a row", (long)workers.Count * lo);
        numberScratch = context.Arena.Take<double>("partial penalties of ranks",
            spec.Penalty is null ? 0 : OrderedSum.ScratchLength(plan, 2L * B));
        (addPart, finishPart) = (AddBlock, FinishBlock);
    }

    public override void Reconstruct(float* sums, float* factor, int level)
    {
        this.sums = sums;
        this.factor = factor;
        this.level = level;
        workers.Run(rowBlocks, addPart);
        ordered.Run(sums, (long)B * lo, scratch);
        workers.Run(rowBlocks, finishPart);
    }

    [SkipLocalsInit]
    void AddBlock(int block, int worker)
    {
        int* entries = stackalloc int[k], other = stackalloc int[k];
        for (var b = block * RowBlock; b < Math.Min((block + 1) * RowBlock, B); b++)
        {
            var to = sums + (long)b * lo;
            new Span<float>(to, lo).Clear();
            Code.Add(to, entries, List(b, level, entries, other), factor);
        }
    }

    /// <summary>Adds what a row starts with.</summary>
    void FinishBlock(int block, int worker)
    {
        var first = start + (long)worker * lo;
        for (var b = block * RowBlock; b < Math.Min((block + 1) * RowBlock, B); b++)
        {
            Start(first, b, level);
            Rows.Add(sums + (long)b * lo, 1, first, lo);
        }
    }

    public override void Add(double* numbers, long count, Action addOwn)
    {
        addOwn();
        ordered.Run(numbers, count, numberScratch);
    }
}
