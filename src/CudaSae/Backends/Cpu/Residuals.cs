using CudaSae.Distributed;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>The residuals of a batch and their sums, by block of rows. Both paths write them: <see cref="DecodePhase"/>
/// and <see cref="DensePhase"/>.</summary>
sealed unsafe class Residuals : CpuPart
{
    readonly float* baseline, bDec, y, residual, weighted, gateResidual;
    readonly float* sumE, sumWeighted;      // [rowBlocks, lo] column sums of e, and of what b_dec learns from
    readonly RowSums* sums;                 // [rowBlocks]
    readonly double* columns;               // [lo] totals
    readonly Spread targetSpread;           // of y
    readonly float[] levelWeight;
    readonly int levels, reportLevel;
    readonly bool nested, gated, liveGate;
    readonly Action<int, int> targetPart;

    /// <param name="skip">Null without a skip connection.</param>
    public Residuals(CpuContext context, SkipPhase? skip) : base(context)
    {
        var (arena, buffers) = (context.Arena, context.Buffers);
        bDec = buffers.BDec;
        y = buffers.Y;
        residual = buffers.Residual;
        weighted = buffers.Weighted;
        gateResidual = buffers.GateResidual;
        baseline = skip is null ? null : skip.Baseline;
        (nested, gated, liveGate) = (context.Nested, context.Gated, context.LiveGate);
        levels = spec.Levels;
        levelWeight = [.. Enumerable.Range(0, levels).Select(context.LevelWeight)];
        reportLevel = spec.Nested is Nesting.Budgets { Report: > 0 } named ? Array.IndexOf(named.Ks, named.Report)
            : levels - 1;
        sumE = arena.Take<float>("column sums of e", (long)rowBlocks * lo);
        targetSpread = new(arena, "the target", B, lo, RowBlock);
        sumWeighted = nested || gated ? arena.Take<float>("column sums of weighted e", (long)rowBlocks * lo) : sumE;
        sums = arena.Take<RowSums>("row sums", rowBlocks);
        columns = arena.Take<double>("column totals", lo);
        targetPart = AddTarget;
    }

    /// <summary>Sums of the rows of a block.</summary>
    public ref RowSums Sums(int block) => ref sums[block];

    /// <summary>The residual E_m of a row, or e_m before <see cref="SumLevels"/>.</summary>
    public float* Weighted(int m, int b) => weighted + ((long)m * B + b) * lo;

    public void ClearColumns(int block)
    {
        new Span<float>(sumE + (long)block * lo, lo).Clear();
        if (sumWeighted != sumE) new Span<float>(sumWeighted + (long)block * lo, lo).Clear();
    }

    /// <summary>Starts a reconstruction with b_dec, or with the output of the skip connection.</summary>
    public void StartRow(float* e, int b) =>
        new ReadOnlySpan<float>(baseline is null ? bDec : baseline + (long)b * lo, lo).CopyTo(new(e, lo));

    /// <summary>e −= y.</summary>
    public void Subtract(float* e, int b)
    {
        var row = y + (long)b * lo;
        for (var i = 0; i < lo; i++) e[i] -= row[i];
    }

    /// <summary>Adds a finished row to the row sums and the column sums of its block.</summary>
    public void FinishRow(int block, int b, ref RowSums total)
    {
        float* e = residual + (long)b * lo, row = y + (long)b * lo;
        total.Error += Rows.SquaredNorm(e, lo);
        total.Norm += Rows.SquaredNorm(row, lo);
        total.Reconstruction += Rows.SquaredNormOfSum(e, row, lo);
        Rows.Add(sumE + (long)block * lo, 1, e, lo);
        if (gated) total.GateError += Rows.SquaredNorm(gateResidual + (long)b * lo, lo);
        if (sumWeighted == sumE) return;
        Rows.Add(sumWeighted + (long)block * lo, 1, weighted + (long)b * lo, lo);
        if (liveGate) Rows.Add(sumWeighted + (long)block * lo, 1, gateResidual + (long)b * lo, lo);
    }

    /// <summary>Takes the e_m of a row from <see cref="Weighted"/>, adds their errors, copies the e that is reported,
    /// and writes E_m = Σ_{l ≥ m} w_l e_l in their place.</summary>
    public void SumLevels(int b, ref RowSums total)
    {
        for (var m = 0; m < levels; m++) total.LevelError += levelWeight[m] * Rows.SquaredNorm(Weighted(m, b), lo);
        new ReadOnlySpan<float>(Weighted(reportLevel, b), lo).CopyTo(new(residual + (long)b * lo, lo));
        for (var m = levels - 1; m >= 0; m--)
        {
            var e = Weighted(m, b);
            for (var i = 0; i < lo; i++) e[i] *= levelWeight[m];
            if (m < levels - 1) Rows.Add(e, 1, Weighted(m + 1, b), lo);
        }
    }

    /// <summary>Adds the blocks to the sums of the step.</summary>
    public void FinishSums()
    {
        var total = default(RowSums);
        for (var block = 0; block < rowBlocks; block++) total.Add(sums[block]);
        ref var to = ref step.Sums;
        (to.SquaredError, to.SquaredNorm, to.ReconstructionNorm, to.GateError) =
            (total.Error, total.Norm, total.Reconstruction, total.GateError);
        (to.LevelError, to.Active, to.MaxRow, to.Dense) =
            (nested ? total.LevelError : total.Error, total.Active, total.MaxRow, step.Dense ? 1 : 0);
        (to.Penalty, to.NextPenalty) = (total.Penalty, total.NextPenalty);
        if (shard is not null) ShareCounts(shard, ref to);
        SetCountPenalty(ref to);
        workers.Run(rowBlocks, targetPart);
        to.Spread = targetSpread.Total();
    }

    /// <summary>Replaces the counts of this rank by those of all ranks.</summary>
    void ShareCounts(ShardPlan shard, ref StepSums to)
    {
        Span<long> counts = [to.Active, step.OwnOverflows];
        shard.Collective.Sum(counts);
        (to.Active, to.MaxRow) = (counts[0], step.MaxRow);
        to.Overflows += (int)counts[1];
    }

    void AddTarget(int block, int worker) => targetSpread.AddBlock(y, block);

    /// <summary>Penalties of the number of active latents: the penalty, and what multiplies ∂Σ1[z > θ].</summary>
    void SetCountPenalty(ref StepSums to)
    {
        var l0 = (double)to.Active / B;
        switch (spec.Penalty)
        {
            case SparsityPenalty.L0:
                (to.Penalty, step.CountSlope) = (to.Active, step.Scalars.Penalty);
                break;
            case SparsityPenalty.TargetL0 target:
                (to.Penalty, step.CountSlope) = (B * Math.Pow(l0 / target.Target - 1, 2),
                    (float)(step.Scalars.Penalty * 2 * (l0 / target.Target - 1) / target.Target));
                break;
        }
    }

    /// <summary>[lo] column sums of e over the batch; valid until the next call.</summary>
    public double* ColumnsOfError() => Total(sumE);

    /// <summary>[lo] column sums of what b_dec learns from; valid until the next call.</summary>
    public double* ColumnsOfWeighted() => Total(sumWeighted);

    double* Total(float* parts)
    {
        new Span<double>(columns, lo).Clear();
        for (var block = 0; block < rowBlocks; block++)
            for (var i = 0; i < lo; i++) columns[i] += parts[(long)block * lo + i];
        return columns;
    }
}
