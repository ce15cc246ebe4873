using System.Runtime.CompilerServices;
using CudaSae.Distributed;
using CudaSae.Model;

namespace CudaSae.Backends.Cpu;

/// <summary>decode on several ranks. Reconstructions and penalties are sums over the latents of all ranks
/// (<see cref="ShardSums"/>). Residuals and their sums are computed on every rank alike, and gradients for the rank's
/// own entries.</summary>
sealed unsafe class ShardDecode : CpuPart
{
    readonly Residuals residuals;
    readonly ShardSums sums;
    readonly CodeRows code;
    readonly RowPenalties? penalties;
    readonly float* value, preAct, valueGrad, residual, gateResidual;
    readonly EntryGradient* entryGrad;
    readonly double* rowPenalties;      // [B, 2] of all ranks: Σ and Σ with the next power
    readonly int levels;
    readonly bool nested, gated;
    readonly Action<int, int> finishPart;
    readonly Action addPenalties;

    public ShardDecode(CpuContext context, ShardPlan plan, Residuals residuals) : base(context)
    {
        var buffers = context.Buffers;
        (this.residuals, sums) = (residuals, ShardSums.Of(context, plan, residuals));
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
        (finishPart, addPenalties) = (FinishBlock, AddPenalties);
    }

    public void Run()
    {
        if (nested)
            for (var m = 0; m < levels; m++) sums.Reconstruct(residuals.Weighted(m, 0), value, m);
        else sums.Reconstruct(residual, value, ShardSums.AllLevels);
        if (gated) sums.Reconstruct(gateResidual, preAct, ShardSums.AllLevels);
        if (penalties is not null)
        {
            new Span<double>(rowPenalties, 2 * B).Clear();
            sums.Add(rowPenalties, 2L * B, addPenalties);
        }
        workers.Run(rowBlocks, finishPart);
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
