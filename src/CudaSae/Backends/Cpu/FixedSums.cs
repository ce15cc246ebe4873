using System.Runtime.CompilerServices;
using CudaSae.Distributed;

namespace CudaSae.Backends.Cpu;

/// <summary><see cref="SumOrder.Fixed"/>: products value · WDec are rounded to integers (<see cref="FixedPoint"/>),
/// which the ranks add in any order. Penalties are added as a chain.</summary>
sealed unsafe class FixedSums : ShardSums
{
    readonly int* integers;             // [B, lo]
    readonly float* largest;            // [B] largest product of a row
    readonly long[] bits;
    readonly float* wDec;
    readonly int* index;
    readonly Action<int, int> boundPart, addPart, finishPart;
    readonly ChainSums chain;
    float* sums, factor;                // [B, lo]; [B, k] in work
    int level;

    public FixedSums(CpuContext context, ShardPlan plan, Residuals residuals) : base(context, plan, residuals)
    {
        integers = context.Arena.Take<int>("sums in fixed point", (long)B * lo);
        largest = context.Arena.Take<float>("largest products", B);
        bits = new long[B];
        wDec = context.Buffers.WDec;
        index = context.Buffers.Index;
        chain = new(context, plan, residuals);
        (boundPart, addPart, finishPart) = (BoundBlock, AddBlock, FinishBlock);
    }

    public override void Reconstruct(float* sums, float* factor, int level)
    {
        this.sums = sums;
        this.factor = factor;
        this.level = level;
        workers.Run(rowBlocks, boundPart);
        FixedPoint.Share(Plan, largest, bits);
        workers.Run(rowBlocks, addPart);
        Plan.Collective.Sum(new Span<int>(integers, checked(B * lo)));
        workers.Run(rowBlocks, finishPart);
    }

    float* Decoder(int entry) => wDec + (long)index[entry] * lo;

    [SkipLocalsInit]
    void BoundBlock(int block, int worker)
    {
        int* entries = stackalloc int[k], scratch = stackalloc int[k];
        for (var b = block * RowBlock; b < Math.Min((block + 1) * RowBlock, B); b++)
        {
            largest[b] = 0;
            var count = List(b, level, entries, scratch);
            for (var j = 0; j < count; j++)
                largest[b] = MathF.Max(largest[b],
                    MathF.Abs(factor[entries[j]]) * FixedPoint.Largest(Decoder(entries[j]), lo));
        }
    }

    [SkipLocalsInit]
    void AddBlock(int block, int worker)
    {
        int* entries = stackalloc int[k], scratch = stackalloc int[k];
        for (var b = block * RowBlock; b < Math.Min((block + 1) * RowBlock, B); b++)
        {
            var to = integers + (long)b * lo;
            new Span<int>(to, lo).Clear();
            var scale = FixedPoint.Scale(largest[b], k);
            var count = List(b, level, entries, scratch);
            for (var j = 0; j < count; j++) FixedPoint.Add(to, factor[entries[j]] * scale, Decoder(entries[j]), lo);
        }
    }

    void FinishBlock(int block, int worker)
    {
        for (var b = block * RowBlock; b < Math.Min((block + 1) * RowBlock, B); b++)
        {
            var to = sums + (long)b * lo;
            Start(to, b, level);
            FixedPoint.AddSums(to, 1 / FixedPoint.Scale(largest[b], k), integers + (long)b * lo, lo);
        }
    }

    public override void Add(double* numbers, long count, Action addOwn) => chain.Add(numbers, count, addOwn);
}
