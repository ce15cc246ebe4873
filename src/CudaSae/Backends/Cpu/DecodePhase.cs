using System.Runtime.CompilerServices;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>decode: reconstructions, residuals, loss and the code's gradient from one visit to the selected decoder
/// rows. Nested losses and the gate's own reconstruction need more than one residual.</summary>
sealed unsafe class DecodePhase : CpuPart
{
    readonly Residuals residuals;
    readonly LatentMath math;
    readonly LatentScalars* latents;
    readonly int* index, rowCount;
    readonly float* value, preAct, valueGrad, wDec, residual, gateResidual;
    readonly byte* level;
    readonly EntryGradient* entryGrad;
    readonly int levels;
    readonly bool nested, gated, paired;
    readonly Action<int, int> decodePart;

    public DecodePhase(CpuContext context, Residuals residuals) : base(context)
    {
        var buffers = context.Buffers;
        this.residuals = residuals;
        math = context.Math;
        latents = buffers.Latents;
        index = buffers.Index;
        rowCount = buffers.RowCount;
        level = buffers.Level;
        value = buffers.Value;
        preAct = buffers.PreAct;
        wDec = buffers.WDec;
        valueGrad = buffers.ValueGrad;
        entryGrad = buffers.EntryGrad;
        residual = buffers.Residual;
        gateResidual = buffers.GateResidual;
        (levels, nested, gated, paired) = (spec.Levels, context.Nested, context.Gated, context.Paired);
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
            var (count, active) = ListEntries(b, entries);
            var e = residual + (long)b * lo;
            residuals.StartRow(e, b);
            if (nested) DecodeLevels(b, entries, count, e, ref total);
            else
            {
                AddRows(e, entries, count, value);
                residuals.Subtract(e, b);
                Gradients(e, entries, count, valueGrad);
            }
            if (gated) DecodeGate(b, entries, count);
            total.Active += active;
            total.MaxRow = Math.Max(total.MaxRow, rowCount[b]);
            residuals.FinishRow(block, b, ref total);
            if (spec.Penalty is not null) AddPenalties(entries, count, ref total);
        }
        residuals.Sums(block) = total;
    }

    /// <summary>The entries of a row that matter: those that fire, and with a threshold those near it.</summary>
    (int Count, int Active) ListEntries(int b, int* entries)
    {
        int count = 0, active = 0;
        for (var j = 0; j < rowCount[b]; j++)
        {
            var entry = b * k + j;
            valueGrad[entry] = 0;
            if (value[entry] != 0) active++;
            if (value[entry] != 0 || paired) entries[count++] = entry;
        }
        return (count, active);
    }

    /// <summary>to += Σ factor · WDec[index].</summary>
    void AddRows(float* to, int* entries, int count, float* factor)
    {
        var j = 0;
        for (; j + 4 <= count; j += 4)
            Rows.Add4(to, factor[entries[j]], Decoder(entries[j]), factor[entries[j + 1]], Decoder(entries[j + 1]),
                factor[entries[j + 2]], Decoder(entries[j + 2]), factor[entries[j + 3]], Decoder(entries[j + 3]), lo);
        for (; j < count; j++) Rows.Add(to, factor[entries[j]], Decoder(entries[j]), lo);
    }

    /// <summary>gradient = 2c ⟨e, WDec[index]⟩.</summary>
    void Gradients(float* e, int* entries, int count, float* gradient)
    {
        var scale = 2 * step.Scalars.LossScale;
        var j = 0;
        for (; j + 4 <= count; j += 4)
        {
            var (g0, g1, g2, g3) = Rows.Dot4(e, Decoder(entries[j]), Decoder(entries[j + 1]), Decoder(entries[j + 2]),
                Decoder(entries[j + 3]), lo);
            gradient[entries[j]] = scale * g0;
            gradient[entries[j + 1]] = scale * g1;
            gradient[entries[j + 2]] = scale * g2;
            gradient[entries[j + 3]] = scale * g3;
        }
        for (; j < count; j++) gradient[entries[j]] = scale * Rows.Dot(e, Decoder(entries[j]), lo);
    }

    float* Decoder(int entry) => wDec + (long)index[entry] * lo;

    /// <summary>Nested reconstructions: adds the entries level by level and takes e_m after each, then computes E_l
    /// from the last to the first.</summary>
    [SkipLocalsInit]
    void DecodeLevels(int b, int* entries, int count, float* xhat, ref RowSums total)
    {
        var ofLevel = stackalloc int[count + 1];
        for (var m = 0; m < levels; m++)
        {
            AddRows(xhat, ofLevel, ListLevel(m, entries, count, ofLevel), value);
            var e = residuals.Weighted(m, b);
            new ReadOnlySpan<float>(xhat, lo).CopyTo(new(e, lo));
            residuals.Subtract(e, b);
        }
        residuals.SumLevels(b, ref total);
        for (var m = levels - 1; m >= 0; m--)
            Gradients(residuals.Weighted(m, b), ofLevel, ListLevel(m, entries, count, ofLevel), valueGrad);
    }

    int ListLevel(int m, int* entries, int count, int* ofLevel)
    {
        var size = 0;
        for (var j = 0; j < count; j++)
            if (level is null || level[entries[j]] == m) ofLevel[size++] = entries[j];
        return size;
    }

    /// <summary>The gate's own reconstruction. Its gradients stay in entryGrad.Bias until <see cref="EntriesPhase"/>
    /// reads them.</summary>
    void DecodeGate(int b, int* entries, int count)
    {
        var e = gateResidual + (long)b * lo;
        residuals.StartRow(e, b);
        AddRows(e, entries, count, preAct);
        residuals.Subtract(e, b);
        var scale = 2 * step.Scalars.LossScale;
        for (var j = 0; j < count; j++) entryGrad[entries[j]].Bias = scale * Rows.Dot(e, Decoder(entries[j]), lo);
    }

    void AddPenalties(int* entries, int count, ref RowSums total)
    {
        for (var j = 0; j < count; j++)
        {
            var omega = latents[index[entries[j]]].Omega;
            var penalized = gated ? preAct[entries[j]] : value[entries[j]];
            total.Penalty += math.Penalty(penalized, omega, step.Scalars.Power);
            if (spec.Penalty is SparsityPenalty.Lp)
                total.NextPenalty += math.Penalty(penalized, omega, step.Scalars.NextPower);
        }
    }
}
