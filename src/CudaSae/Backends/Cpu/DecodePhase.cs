using System.Runtime.CompilerServices;
using CudaSae.Model;

namespace CudaSae.Backends.Cpu;

/// <summary>decode: reconstructions, residuals, loss and the code's gradient from one visit to the selected decoder
/// rows. Nested losses and the gate's own reconstruction need more than one residual. <see cref="ShardDecode"/> does
/// the same on several ranks.</summary>
sealed unsafe class DecodePhase : CpuPart
{
    readonly Residuals residuals;
    readonly CodeRows code;
    readonly RowPenalties? penalties;
    readonly int* rowCount;
    readonly float* value, preAct, valueGrad, residual, gateResidual;
    readonly EntryGradient* entryGrad;
    readonly int levels;
    readonly bool nested, gated;
    readonly Action<int, int> decodePart;

    public DecodePhase(CpuContext context, Residuals residuals) : base(context)
    {
        var buffers = context.Buffers;
        this.residuals = residuals;
        code = new(context);
        if (spec.Penalty is not null) penalties = new(context);
        rowCount = buffers.RowCount;
        value = buffers.Value;
        preAct = buffers.PreAct;
        valueGrad = buffers.ValueGrad;
        entryGrad = buffers.EntryGrad;
        residual = buffers.Residual;
        gateResidual = buffers.GateResidual;
        (levels, nested, gated) = (spec.Levels, context.Nested, context.Gated);
        decodePart = DecodeBlock;
    }

    public void Run() => workers.Run(rowBlocks, decodePart);

    [SkipLocalsInit]
    void DecodeBlock(int block, int worker)
    {
        residuals.ClearColumns(block);
        var total = default(RowSums);
        var entries = stackalloc int[k];
        for (var b = block * RowBlock; b < Math.Min((block + 1) * RowBlock, B); b++)
        {
            var (count, active) = code.List(b, entries);
            var e = residual + (long)b * lo;
            residuals.StartRow(e, b);
            if (nested) DecodeLevels(b, entries, count, e, ref total);
            else
            {
                code.Add(e, entries, count, value);
                residuals.Subtract(e, b);
                code.Gradients(e, entries, count, valueGrad);
            }
            if (gated) DecodeGate(b, entries, count);
            total.Active += active;
            total.MaxRow = Math.Max(total.MaxRow, rowCount[b]);
            residuals.FinishRow(block, b, ref total);
            if (penalties is not null) AddPenalties(entries, count, ref total);
        }
        residuals.Sums(block) = total;
    }

    /// <summary>Nested reconstructions: adds the entries level by level and takes e_m after each, then computes E_l
    /// from the last to the first.</summary>
    [SkipLocalsInit]
    void DecodeLevels(int b, int* entries, int count, float* xhat, ref RowSums total)
    {
        var ofLevel = stackalloc int[count + 1];
        for (var m = 0; m < levels; m++)
        {
            code.Add(xhat, ofLevel, code.ListLevel(m, entries, count, ofLevel), value);
            var e = residuals.Weighted(m, b);
            new ReadOnlySpan<float>(xhat, lo).CopyTo(new(e, lo));
            residuals.Subtract(e, b);
        }
        residuals.SumLevels(b, ref total);
        for (var m = levels - 1; m >= 0; m--)
            code.Gradients(residuals.Weighted(m, b), ofLevel, code.ListLevel(m, entries, count, ofLevel), valueGrad);
    }

    /// <summary>The gate's own reconstruction. Its gradients stay in entryGrad.Bias until <see cref="EntriesPhase"/>
    /// reads them.</summary>
    void DecodeGate(int b, int* entries, int count)
    {
        var e = gateResidual + (long)b * lo;
        residuals.StartRow(e, b);
        code.Add(e, entries, count, preAct);
        residuals.Subtract(e, b);
        for (var j = 0; j < count; j++) entryGrad[entries[j]].Bias = code.Gradient(e, entries[j]);
    }

    /// <summary>Adds a row's sum, so that several ranks can continue it
    /// (docs/internals/decisions/0017-feature-shards.md).</summary>
    void AddPenalties(int* entries, int count, ref RowSums total)
    {
        double penalty = 0, next = 0;
        penalties!.Add(entries, count, ref penalty, ref next);
        total.Penalty += penalty;
        total.NextPenalty += next;
    }
}
