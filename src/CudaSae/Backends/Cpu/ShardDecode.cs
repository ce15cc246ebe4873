using System.Runtime.CompilerServices;
using CudaSae.Distributed;
using CudaSae.Model;

namespace CudaSae.Backends.Cpu;

/// <summary>decode on several ranks. A reconstruction is one chain of fused multiply-adds through the ranks, in the
/// order of the latents: rank 0 starts it, each rank adds its own entries and sends it to the next rank, in chunks of
/// rows, and the last rank sends the whole to all. The bits are those of one process. Residuals and their sums are then
/// computed on every rank alike, and gradients for the rank's own entries.</summary>
sealed unsafe class ShardDecode : CpuPart
{
    const int ChunkBlocks = 8;          // blocks of rows that go from rank to rank together
    const int AllLevels = -1;

    readonly ShardPlan plan;
    readonly Residuals residuals;
    readonly CodeRows code;
    readonly RowPenalties? penalties;
    readonly float* value, preAct, valueGrad, residual, gateResidual;
    readonly EntryGradient* entryGrad;
    readonly double* rowPenalties;      // [B, 2] of all ranks: Σ and Σ with the next power
    readonly int levels;
    readonly bool nested, gated;
    readonly Action<int, int> addPart, finishPart;

    // The chain in work.
    float* sums, factor;                // [B, lo]; [B, k]
    int level, firstBlock;
    bool starts;                        // whether this rank starts it

    public ShardDecode(CpuContext context, ShardPlan plan, Residuals residuals) : base(context)
    {
        var buffers = context.Buffers;
        (this.plan, this.residuals) = (plan, residuals);
        code = new(context);
        value = buffers.Value;
        preAct = buffers.PreAct;
        valueGrad = buffers.ValueGrad;
        entryGrad = buffers.EntryGrad;
        residual = buffers.Residual;
        gateResidual = buffers.GateResidual;
        if (spec.Penalty is not null) penalties = new(context);
        rowPenalties = context.Arena.Take<double>("penalties of rows", penalties is null ? 0 : 2L * B);
        (levels, nested, gated) = (spec.Levels, context.Nested, context.Gated);
        (addPart, finishPart) = (AddBlock, FinishBlock);
    }

    public void Run()
    {
        if (nested)
            for (var m = 0; m < levels; m++) Chain(residuals.Weighted(m, 0), value, m);
        else Chain(residual, value, AllLevels);
        if (gated) Chain(gateResidual, preAct, AllLevels);
        if (penalties is not null) ChainPenalties();
        workers.Run(rowBlocks, finishPart);
    }

    /// <summary>Computes a reconstruction of the batch on all ranks.</summary>
    /// <param name="sums">[B, lo] Receives the reconstruction.</param>
    /// <param name="factor">[B, k] What the decoder rows are multiplied by.</param>
    /// <param name="level">The level whose entries are added to the level before it; <see cref="AllLevels"/> for all
    /// entries.</param>
    void Chain(float* sums, float* factor, int level)
    {
        this.sums = sums;
        this.factor = factor;
        this.level = level;
        var (first, last) = RanksOf(level);
        starts = plan.Rank == first;
        for (var b = 0; b < B && plan.Rank >= first && plan.Rank <= last; b += ChunkBlocks * RowBlock)
        {
            var rows = Math.Min(ChunkBlocks * RowBlock, B - b);
            var at = sums + (long)b * lo;
            var bytes = (long)rows * lo * sizeof(float);
            if (!starts) plan.Collective.Receive(at, bytes, plan.Rank - 1);
            firstBlock = b / RowBlock;
            workers.Run((rows + RowBlock - 1) / RowBlock, addPart);
            if (plan.Rank < last) plan.Collective.Send(at, bytes, plan.Rank + 1);
        }
        plan.Collective.Broadcast(sums, (long)B * lo * sizeof(float), last);
    }

    /// <summary>The first and the last rank that may hold entries of a level.</summary>
    (int First, int Last) RanksOf(int level)
    {
        if (level == AllLevels || spec.Nested is not Nesting.Prefixes) return (0, plan.Ranks - 1);
        int start = level == 0 ? 0 : step.EndOf(level - 1, spec.Latents), end = step.EndOf(level, spec.Latents);
        var first = plan.RankOf(Math.Min(start, spec.Latents - 1));
        return (first, Math.Max(first, plan.RankOf(Math.Max(end - 1, 0))));
    }

    [SkipLocalsInit]
    void AddBlock(int part, int worker)
    {
        int* entries = stackalloc int[k], ofLevel = stackalloc int[k];
        var block = firstBlock + part;
        for (var b = block * RowBlock; b < Math.Min((block + 1) * RowBlock, B); b++)
        {
            var (count, _) = code.List(b, entries);
            var to = sums + (long)b * lo;
            if (starts && level <= 0) residuals.StartRow(to, b);
            else if (starts) new ReadOnlySpan<float>(residuals.Weighted(level - 1, b), lo).CopyTo(new(to, lo));
            if (level == AllLevels) code.Add(to, entries, count, factor);
            else code.Add(to, ofLevel, code.ListLevel(level, entries, count, ofLevel), factor);
        }
    }

    /// <summary>Continues each row's penalties through the ranks.</summary>
    void ChainPenalties()
    {
        var bytes = 2L * B * sizeof(double);
        if (plan.Rank > 0) plan.Collective.Receive(rowPenalties, bytes, plan.Rank - 1);
        else new Span<double>(rowPenalties, 2 * B).Clear();
        AddPenalties();
        if (!plan.IsLast) plan.Collective.Send(rowPenalties, bytes, plan.Rank + 1);
        plan.Collective.Broadcast(rowPenalties, bytes, plan.Ranks - 1);
    }

    [SkipLocalsInit]
    void AddPenalties()
    {
        var entries = stackalloc int[k];
        for (var b = 0; b < B; b++)
        {
            var (count, _) = code.List(b, entries);
            penalties!.Add(entries, count, ref rowPenalties[2 * b], ref rowPenalties[2 * b + 1]);
        }
    }

    /// <summary>Residuals, their sums and the gradients of this rank's entries.</summary>
    [SkipLocalsInit]
    void FinishBlock(int block, int worker)
    {
        residuals.ClearColumns(block);
        var total = default(RowSums);
        var entries = stackalloc int[k];
        for (var b = block * RowBlock; b < Math.Min((block + 1) * RowBlock, B); b++)
        {
            var (count, active) = code.List(b, entries);
            if (nested) FinishLevels(b, entries, count, ref total);
            else
            {
                residuals.Subtract(residual + (long)b * lo, b);
                code.Gradients(residual + (long)b * lo, entries, count, valueGrad);
            }
            if (gated) FinishGate(b, entries, count);
            total.Active += active;
            residuals.FinishRow(block, b, ref total);
            if (penalties is null) continue;
            total.Penalty += rowPenalties[2 * b];
            total.NextPenalty += rowPenalties[2 * b + 1];
        }
        residuals.Sums(block) = total;
    }

    [SkipLocalsInit]
    void FinishLevels(int b, int* entries, int count, ref RowSums total)
    {
        var ofLevel = stackalloc int[count + 1];
        for (var m = 0; m < levels; m++) residuals.Subtract(residuals.Weighted(m, b), b);
        residuals.SumLevels(b, ref total);
        for (var m = levels - 1; m >= 0; m--)
            code.Gradients(residuals.Weighted(m, b), ofLevel, code.ListLevel(m, entries, count, ofLevel), valueGrad);
    }

    void FinishGate(int b, int* entries, int count)
    {
        var e = gateResidual + (long)b * lo;
        residuals.Subtract(e, b);
        for (var j = 0; j < count; j++) entryGrad[entries[j]].Bias = code.Gradient(e, entries[j]);
    }
}
