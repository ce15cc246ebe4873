using System.Runtime.CompilerServices;
using CudaSae.Model;

namespace CudaSae.Backends.Cpu;

/// <summary>decode: reconstructions, residuals, loss and the code's gradient from one visit to the selected decoder
/// rows. Nested losses and the gate's own reconstruction need more than one residual. On several ranks,
/// <see cref="ShardSums"/> adds reconstructions and penalties over all ranks first; every rank then computes the same
/// residuals, and the gradients of its own entries.</summary>
sealed unsafe class DecodePhase : CpuPart
{
    readonly Residuals residuals;
    readonly ShardSums? sums;               // null for one process
    readonly CodeRows code;
    readonly RowPenalties? penalties;
    readonly int* rowCount;
    readonly float* value, preAct, valueGrad, residual, gateResidual;
    readonly EntryGradient* entryGrad;
    readonly double* rowPenalties;          // [B, 2] over all ranks: Σ, and Σ with the next power
    readonly int levels;
    readonly bool nested, gated;
    readonly Action<int, int> decodePart;
    readonly Action addPenalties;

    public DecodePhase(CpuContext context, Residuals residuals) : base(context)
    {
        var buffers = context.Buffers;
        this.residuals = residuals;
        if (shard is not null) sums = ShardSums.Of(context, shard, residuals);
        code = new(context);
        if (spec.Penalty is not null) penalties = new(context);
        rowPenalties = context.Arena.Take<double>("penalties of rows", sums is null || penalties is null ? 0 : 2L * B);
        rowCount = buffers.RowCount;
        value = buffers.Value;
        preAct = buffers.PreAct;
        valueGrad = buffers.ValueGrad;
        entryGrad = buffers.EntryGrad;
        residual = buffers.Residual;
        gateResidual = buffers.GateResidual;
        (levels, nested, gated) = (spec.Levels, context.Nested, context.Gated);
        (decodePart, addPenalties) = (DecodeBlock, AddRowPenalties);
    }

    public void Run()
    {
        if (sums is not null) AddOverRanks(sums);
        workers.Run(rowBlocks, decodePart);
    }

    /// <summary>Computes the reconstructions and the penalties of all rows over all ranks.</summary>
    void AddOverRanks(ShardSums sums)
    {
        if (nested)
            for (var m = 0; m < levels; m++) sums.Reconstruct(residuals.Weighted(m, 0), value, m);
        else sums.Reconstruct(residual, value, ShardSums.AllLevels);
        if (gated) sums.Reconstruct(gateResidual, preAct, ShardSums.AllLevels);
        if (penalties is null) return;
        new Span<double>(rowPenalties, 2 * B).Clear();
        sums.Add(rowPenalties, 2L * B, addPenalties);
    }

    [SkipLocalsInit]
    void AddRowPenalties()
    {
        var entries = stackalloc int[k];
        for (var b = 0; b < B; b++)
        {
            var (count, _) = code.List(b, entries);
            penalties!.Add(entries, count, ref rowPenalties[2 * b], ref rowPenalties[2 * b + 1]);
        }
    }

    [SkipLocalsInit]
    void DecodeBlock(int block, int worker)
    {
        residuals.ClearColumns(block);
        var total = default(RowSums);
        var entries = stackalloc int[k];
        for (var b = block * RowBlock; b < Math.Min((block + 1) * RowBlock, B); b++)
        {
            var (count, active) = code.List(b, entries);
            if (nested) DecodeLevels(b, entries, count, ref total);
            else
            {
                var e = Residual(residual, value, b, entries, count);
                code.Gradients(e, entries, count, valueGrad);
            }
            if (gated) DecodeGate(b, entries, count);
            total.Active += active;
            total.MaxRow = Math.Max(total.MaxRow, rowCount[b]);
            residuals.FinishRow(block, b, ref total);
            if (penalties is not null) AddPenalties(b, entries, count, ref total);
        }
        residuals.Sums(block) = total;
    }

    /// <summary>e = x̂ − y of a row. One process also computes x̂.</summary>
    /// <param name="rows">[B, lo] Receives e; x̂ on several ranks.</param>
    /// <param name="factor">[B, k] What the decoder rows are multiplied by.</param>
    float* Residual(float* rows, float* factor, int b, int* entries, int count)
    {
        var e = rows + (long)b * lo;
        if (sums is null)
        {
            residuals.StartRow(e, b);
            code.Add(e, entries, count, factor);
        }
        residuals.Subtract(e, b);
        return e;
    }

    /// <summary>Nested reconstructions: takes e_m of each level, then computes E_l from the last to the
    /// first.</summary>
    [SkipLocalsInit]
    void DecodeLevels(int b, int* entries, int count, ref RowSums total)
    {
        var ofLevel = stackalloc int[count + 1];
        if (sums is null) ReconstructLevels(b, entries, count, ofLevel);
        for (var m = 0; m < levels; m++) residuals.Subtract(residuals.Weighted(m, b), b);
        residuals.SumLevels(b, ref total);
        for (var m = levels - 1; m >= 0; m--)
            code.Gradients(residuals.Weighted(m, b), ofLevel, code.ListLevel(m, entries, count, ofLevel), valueGrad);
    }

    /// <summary>Adds the entries of a row level by level, and copies x̂ after each.</summary>
    void ReconstructLevels(int b, int* entries, int count, int* ofLevel)
    {
        var xhat = residual + (long)b * lo;
        residuals.StartRow(xhat, b);
        for (var m = 0; m < levels; m++)
        {
            code.Add(xhat, ofLevel, code.ListLevel(m, entries, count, ofLevel), value);
            new ReadOnlySpan<float>(xhat, lo).CopyTo(new(residuals.Weighted(m, b), lo));
        }
    }

    /// <summary>The gate's own reconstruction. Its gradients stay in entryGrad.Bias until <see cref="EntriesPhase"/>
    /// reads them.</summary>
    void DecodeGate(int b, int* entries, int count)
    {
        var e = Residual(gateResidual, preAct, b, entries, count);
        for (var j = 0; j < count; j++) entryGrad[entries[j]].Bias = code.Gradient(e, entries[j]);
    }

    /// <summary>Adds a row's sum, so that several ranks can continue it
    /// (docs/internals/decisions/0017-feature-shards.md).</summary>
    void AddPenalties(int b, int* entries, int count, ref RowSums total)
    {
        double penalty = 0, next = 0;
        if (sums is null) penalties!.Add(entries, count, ref penalty, ref next);
        else (penalty, next) = (rowPenalties[2 * b], rowPenalties[2 * b + 1]);
        total.Penalty += penalty;
        total.NextPenalty += next;
    }
}
