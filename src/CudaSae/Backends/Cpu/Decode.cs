using System.Runtime.CompilerServices;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>decode: reconstructions, residuals, loss and the code's gradient from one visit to the selected decoder
/// rows.</summary>
sealed unsafe partial class CpuBackend
{
    const int RowBlock = 32;        // rows of a part; column sums are added part by part, in order

    /// <summary>Sums over the rows of a part.</summary>
    struct RowSums
    {
        public double Error, LevelError, GateError, Norm, Reconstruction, Penalty, NextPenalty;
        public long Active;
        public int MaxRow;
    }

    int rowBlocks, levels, reportLevel;
    float[] levelWeight = [];
    bool weighs;                        // whether what is learned from differs from e: nested losses
    float* weighted; // [levels, B, lo] E_l = Σ_{m ≥ l} w_m e_m; e itself where there is one level of weight 1
    float* gateResidual;                // [B, lo] relu(π)'s own residual
    float* baseline;                    // [B, lo] b_dec + WSkip x; null without a skip connection
    float* valueGrad;                   // [B, k] 2c ⟨E, WDec⟩, then ∂L/∂⟨w, x − b_dec⟩
    EntryGradient* entryGrad;           // [B, k] all gradients of an entry, where there is more than one
    float* sumE;                        // [rowBlocks, lo] column sums of e
    float* sumWeighted;                 // [rowBlocks, lo] of what b_dec learns from
    RowSums* rowSums;                   // [rowBlocks]
    double* columns;                    // [lo] totals
    Spread targetSpread;                // of y
    Action<int, int>? decodePart, entryPart, targetPart;
    bool isPlain; // an entry's gradient is that of its value alone: TopK and its kin without penalty

    void TakeDecode()
    {
        rowBlocks = (B + RowBlock - 1) / RowBlock;
        levels = Spec.Levels;
        levelWeight = [.. Enumerable.Range(0, levels).Select(m => Spec.Nested switch
        {
            Nesting.Budgets budgets => budgets.Weights[m],
            Nesting.Prefixes { Mean: true } => 1f / levels,
            _ => 1,
        })];
        reportLevel = Spec.Nested is Nesting.Budgets { Report: > 0 } named ? Array.IndexOf(named.Ks, named.Report)
            : levels - 1;
        weighs = levels > 1 || levelWeight[0] != 1;
        isPlain = !thresholded && Spec.Penalty is null;
        weighted = weighs ? arena.Take<float>("residuals of nested losses", (long)levels * B * lo) : residual;
        gateResidual = arena.Take<float>("gate residual", gated ? (long)B * lo : 0);
        baseline = arena.Take<float>("skip connection",
            wSkip is not null || Spec.Transcoder is { Skip: true } ? (long)B * lo : 0);
        valueGrad = arena.Take<float>("code value gradient", (long)B * k);
        entryGrad = arena.Take<EntryGradient>("code gradients", isPlain ? 0 : (long)B * k);
        sumE = arena.Take<float>("column sums of e", (long)rowBlocks * lo);
        targetSpread = new(arena, "the target", B, lo, RowBlock);
        sumWeighted = weighs || gated ? arena.Take<float>("column sums of weighted e", (long)rowBlocks * lo) : sumE;
        rowSums = arena.Take<RowSums>("row sums", rowBlocks);
        columns = arena.Take<double>("column totals", lo);
    }

    public void DecodeLoss()
    {
        if (baseline is not null) AddSkip();
        if (stepDense) DenseForward();
        else workers.Run(rowBlocks, decodePart ??= DecodePart);
        FinishSums();
        if (!stepDense && !isPlain) workers.Run(rowBlocks, entryPart ??= EntryPart);
    }

    [SkipLocalsInit]
    void DecodePart(int block, int worker)
    {
        ClearColumns(block);
        var total = default(RowSums);
        var entries = stackalloc int[k];
        var gate = stackalloc int[k];
        for (var b = block * RowBlock; b < Math.Min((block + 1) * RowBlock, B); b++)
        {
            var (count, active) = ListEntries(b, entries);
            var e = residual + (long)b * lo;
            StartRow(e, b);
            if (weighs) DecodeLevels(b, entries, count, e, ref total);
            else
            {
                AddRows(e, entries, count, value);
                Subtract(e, b);
                Gradients(e, entries, count, valueGrad);
            }
            if (gated) DecodeGate(b, entries, count);
            total.Active += active;
            total.MaxRow = Math.Max(total.MaxRow, rowCount[b]);
            FinishRow(block, b, ref total);
            if (!isPlain) AddPenalties(b, entries, count, ref total);
        }
        rowSums[block] = total;
    }

    /// <summary>Entries of a row that matter: those that fire, and with a threshold those near it.</summary>
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

    void ClearColumns(int block)
    {
        new Span<float>(sumE + (long)block * lo, lo).Clear();
        if (sumWeighted != sumE) new Span<float>(sumWeighted + (long)block * lo, lo).Clear();
    }

    void StartRow(float* e, int b) =>
        new ReadOnlySpan<float>(baseline is null ? bDec : baseline + (long)b * lo, lo).CopyTo(new(e, lo));

    void Subtract(float* e, int b)
    {
        var row = y + (long)b * lo;
        for (var i = 0; i < lo; i++) e[i] -= row[i];
    }

    /// <summary>Row sums and column sums of a finished row.</summary>
    void FinishRow(int block, int b, ref RowSums total)
    {
        float* e = residual + (long)b * lo, row = y + (long)b * lo;
        total.Error += Rows.SquaredNorm(e, lo);
        total.Norm += Rows.SquaredNorm(row, lo);
        total.Reconstruction += Rows.SquaredNormOfSum(e, row, lo);
        Rows.Add(sumE + (long)block * lo, 1, e, lo);
        if (gated) total.GateError += Rows.SquaredNorm(gateResidual + (long)b * lo, lo);
        if (sumWeighted == sumE) return;
        Rows.Add(sumWeighted + (long)block * lo, 1, weighted + (long)b * lo, lo);
        if (LiveGate) Rows.Add(sumWeighted + (long)block * lo, 1, gateResidual + (long)b * lo, lo);
    }

    bool LiveGate => Spec.Selection is Selection.Gated { LiveAuxDecoder: true };

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
        var scale = 2 * scalars.LossScale;
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

    void FinishSums()
    {
        var total = default(RowSums);
        for (var block = 0; block < rowBlocks; block++)
        {
            var part = rowSums[block];
            total.Error += part.Error;
            total.LevelError += part.LevelError;
            total.GateError += part.GateError;
            total.Norm += part.Norm;
            total.Reconstruction += part.Reconstruction;
            total.Penalty += part.Penalty;
            total.NextPenalty += part.NextPenalty;
            total.Active += part.Active;
            total.MaxRow = Math.Max(total.MaxRow, part.MaxRow);
        }
        (sums.SquaredError, sums.SquaredNorm, sums.ReconstructionNorm, sums.GateError) =
            (total.Error, total.Norm, total.Reconstruction, total.GateError);
        (sums.LevelError, sums.Active, sums.MaxRow, sums.Dense) =
            (weighs ? total.LevelError : total.Error, total.Active, total.MaxRow, stepDense ? 1 : 0);
        (sums.Penalty, sums.NextPenalty) = (total.Penalty, total.NextPenalty);
        var l0 = (double)sums.Active / B;
        switch (Spec.Penalty)
        {
            case SparsityPenalty.L0:
                (sums.Penalty, stepPenalty) = (sums.Active, scalars.Penalty);
                break;
            case SparsityPenalty.TargetL0 target:
                (sums.Penalty, stepPenalty) = (B * Math.Pow(l0 / target.Target - 1, 2),
                    (float)(scalars.Penalty * 2 * (l0 / target.Target - 1) / target.Target));
                break;
        }
        workers.Run(rowBlocks, targetPart ??= (block, _) => targetSpread.AddBlock(y, block));
        sums.Spread = targetSpread.Total();
    }

    float stepPenalty;

    void ColumnTotals(float* parts, double* totals)
    {
        new Span<double>(totals, lo).Clear();
        for (var block = 0; block < rowBlocks; block++)
            for (var i = 0; i < lo; i++) totals[i] += parts[(long)block * lo + i];
    }
}
