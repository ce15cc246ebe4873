using System.Runtime.CompilerServices;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>What the loss has besides one reconstruction: nested ones, the gate's own, penalties; and what they say of
/// each entry.</summary>
sealed unsafe partial class CpuBackend
{
    /// <summary>Reconstructions one inside the other: entries level by level, e_m after each, then E_l from the last to
    /// the first.</summary>
    [SkipLocalsInit]
    void DecodeLevels(int b, int* entries, int count, float* xhat, ref RowSums total)
    {
        var own = stackalloc int[count + 1];
        for (var m = 0; m < levels; m++)
        {
            var size = 0;
            for (var j = 0; j < count; j++)
                if (level is null || level[entries[j]] == m) own[size++] = entries[j];
            AddRows(xhat, own, size, value);
            var e = WeightedRow(m, b);
            new ReadOnlySpan<float>(xhat, lo).CopyTo(new(e, lo));
            Subtract(e, b);
        }
        SumLevels(b, ref total);
        for (var m = levels - 1; m >= 0; m--)
        {
            var size = 0;
            for (var j = 0; j < count; j++)
                if (level is null || level[entries[j]] == m) own[size++] = entries[j];
            Gradients(WeightedRow(m, b), own, size, valueGrad);
        }
    }

    /// <summary>From the e_m of a row, which stand in <see cref="WeightedRow"/>: the errors, the e that is reported,
    /// and in their place E_m = Σ_{l ≥ m} w_l e_l.</summary>
    void SumLevels(int b, ref RowSums total)
    {
        for (var m = 0; m < levels; m++) total.LevelError += levelWeight[m] * Rows.SquaredNorm(WeightedRow(m, b), lo);
        new ReadOnlySpan<float>(WeightedRow(reportLevel, b), lo).CopyTo(new(residual + (long)b * lo, lo));
        for (var m = levels - 1; m >= 0; m--)
        {
            var e = WeightedRow(m, b);
            for (var i = 0; i < lo; i++) e[i] *= levelWeight[m];
            if (m < levels - 1) Rows.Add(e, 1, WeightedRow(m + 1, b), lo);
        }
    }

    float* WeightedRow(int m, int b) => weighted + ((long)m * B + b) * lo;

    /// <summary>The gate's own reconstruction; its gradients wait in entryGrad.Bias.</summary>
    [SkipLocalsInit]
    void DecodeGate(int b, int* entries, int count)
    {
        var e = gateResidual + (long)b * lo;
        StartRow(e, b);
        AddRows(e, entries, count, preAct);
        Subtract(e, b);
        var scale = 2 * scalars.LossScale;
        for (var j = 0; j < count; j++) entryGrad[entries[j]].Bias = scale * Rows.Dot(e, Decoder(entries[j]), lo);
    }

    void AddPenalties(int b, int* entries, int count, ref RowSums total)
    {
        if (Spec.Penalty is null) return;
        for (var j = 0; j < count; j++)
        {
            var omega = latents[index[entries[j]]].Omega;
            var penalized = gated ? preAct[entries[j]] : value[entries[j]];
            total.Penalty += math.Penalty(penalized, omega, scalars.Power);
            if (Spec.Penalty is SparsityPenalty.Lp)
                total.NextPenalty += math.Penalty(penalized, omega, scalars.NextPower);
        }
    }

    /// <summary>Back-propagates ∂L/∂value to all gradients of the entry.</summary>
    void EntryPart(int block, int worker)
    {
        for (var b = block * RowBlock; b < Math.Min((block + 1) * RowBlock, B); b++)
            for (var entry = b * k; entry < b * k + rowCount[b]; entry++)
            {
                var gradient = value[entry] != 0 || paired
                    ? math.Gradient(preAct[entry], value[entry], valueGrad[entry], gated ? entryGrad[entry].Bias : 0,
                        latents[index[entry]], scalars, stepPenalty)
                    : default;
                entryGrad[entry] = gradient;
                valueGrad[entry] = gradient.Input;
            }
    }
}
