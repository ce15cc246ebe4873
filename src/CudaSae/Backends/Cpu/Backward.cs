using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>backward: the code turned round, by counting sort: for each latent the entries that hold it, rows
/// ascending. Gradients are
/// formed where they are used, one latent at a time, and never stored.</summary>
sealed unsafe partial class CpuBackend
{
    int* runStart;          // [n + 1]
    int* runEntry;          // [B·k] entries b·k + j, by latent

    void TakeBackward()
    {
        runStart = arena.Take<int>("run starts", n + 1L);
        runEntry = arena.Take<int>("runs", (long)B * k);
    }

    public void Backward()
    {
        new Span<int>(runStart, n + 1).Clear();
        if (!stepDense) TurnCode();
        if (Config.Clip == ClipKind.GlobalNorm) MeasureGradients();
    }

    void TurnCode()
    {
        for (var b = 0; b < B; b++)
            for (var entry = b * k; entry < b * k + rowCount[b]; entry++)
                if (value[entry] != 0 || paired) runStart[index[entry] + 1]++;
        for (var f = 0; f < n; f++) runStart[f + 1] += runStart[f];
        for (var b = 0; b < B; b++)
            for (var entry = b * k; entry < b * k + rowCount[b]; entry++)
                if (value[entry] != 0 || paired) runEntry[runStart[index[entry]]++] = entry;
        for (var f = n; f > 0; f--) runStart[f] = runStart[f - 1];
        runStart[0] = 0;
    }

    bool Touched(int f) =>
        stepDense || runStart[f + 1] > runStart[f] || deadSlot[f] >= 0 && windowLength > 0
            || latents is not null && latents[f].PreAct > 0;

    /// <summary>∂WEnc_f and ∂WDec_f into scratch rows, and the sums over the latent's entries: all gradients of the
    /// loss for it, before projection.</summary>
    EntryGradient LatentGradient(int f, float* encGrad, float* decGrad, int part)
    {
        var sum = default(EntryGradient);
        if (stepDense)
        {
            var slot = f - chunkFirst;
            new ReadOnlySpan<float>(chunkEnc + (long)slot * ld, ld).CopyTo(new(encGrad, ld));
            new ReadOnlySpan<float>(chunkDec + (long)slot * lo, lo).CopyTo(new(decGrad, lo));
            sum = chunkGrad[slot];
        }
        else
        {
            new Span<float>(encGrad, ld).Clear();
            new Span<float>(decGrad, lo).Clear();
        }
        if (windowLength > 0 && deadSlot[f] >= 0) AddDead(deadSlot[f], encGrad, decGrad, ref sum);
        if (!stepDense) AddRun(f, encGrad, decGrad, ref sum);
        if (latents is not null)
        {
            if (latents[f].PreAct > 0) AddPreAct(f, encGrad, ref sum, part);
            if (sum.Norm != 0) AddNorm(f, decGrad, sum.Norm);
        }
        return sum;
    }

    void AddDead(int slot, float* encGrad, float* decGrad, ref EntryGradient sum)
    {
        Rows.Add(encGrad, 1, deadEncGrad + (long)slot * ld, ld);
        Rows.Add(decGrad, 1, deadDecGrad + (long)slot * lo, lo);
        sum.Bias += deadBiasGrad[slot];
        sum.Input += deadBiasGrad[slot];
    }

    void AddRun(int f, float* encGrad, float* decGrad, ref EntryGradient sum)
    {
        var scale = 2 * scalars.LossScale;
        int at = runStart[f], end = runStart[f + 1];
        float input = 0;
        for (; at + 4 <= end; at += 4)
        {
            int e0 = runEntry[at], e1 = runEntry[at + 1], e2 = runEntry[at + 2], e3 = runEntry[at + 3];
            Rows.Add4(decGrad, scale * value[e0], ErrorRow(e0), scale * value[e1], ErrorRow(e1),
                scale * value[e2], ErrorRow(e2), scale * value[e3], ErrorRow(e3), lo);
            Rows.Add4(encGrad, valueGrad[e0], InputRow(e0), valueGrad[e1], InputRow(e1),
                valueGrad[e2], InputRow(e2), valueGrad[e3], InputRow(e3), ld);
            input += valueGrad[e0] + valueGrad[e1] + (valueGrad[e2] + valueGrad[e3]);
        }
        for (; at < end; at++)
        {
            var entry = runEntry[at];
            Rows.Add(decGrad, scale * value[entry], ErrorRow(entry), lo);
            Rows.Add(encGrad, valueGrad[entry], InputRow(entry), ld);
            input += valueGrad[entry];
        }
        if (isPlain)
        {
            sum.Input += input;
            sum.Bias += input;
            return;
        }
        for (at = runStart[f]; at < end; at++)
        {
            sum.Add(entryGrad[runEntry[at]]);
            if (LiveGate)
                Rows.Add(decGrad, scale * preAct[runEntry[at]], gateResidual + (long)(runEntry[at] / k) * lo, lo);
        }
    }

    /// <summary>What an entry's decoder row learns from: the residual, or the sum of those whose reconstruction holds
    /// the entry.</summary>
    float* ErrorRow(int entry) => weighted + ((level is null ? 0 : (long)level[entry] * B) + entry / k) * lo;

    float* InputRow(int entry) => centered + (long)(entry / k) * ld;

    /// <summary>The pre-activation loss in closed form: ∂WEnc = −c (Σ_b x − Σ over rows above θ).</summary>
    void AddPreAct(int f, float* encGrad, ref EntryGradient sum, int part)
    {
        ref var l = ref latents[f];
        double sumZ = (double)B * bEnc[f], gap = 0;
        for (var i = 0; i < ld; i++) sumZ += inputSum[i] * wEnc[(long)f * ld + i];
        var above = 0;
        var slope = l.PreAct * l.Norm;
        if (stepDense)
        {
            (above, gap) = (chunkAbove[f - chunkFirst], chunkGap[f - chunkFirst]);
            for (var i = 0; i < ld; i++) encGrad[i] -= slope * (float)inputSum[i];
            AddRowsAbove(f - chunkFirst, slope, encGrad);
        }
        else
        {
            for (var i = 0; i < ld; i++) encGrad[i] -= slope * (float)inputSum[i];
            for (var at = runStart[f]; at < runStart[f + 1]; at++)
            {
                var z = preAct[runEntry[at]];
                if (z < l.Theta) continue;
                above++;
                gap += l.Theta - z;
                Rows.Add(encGrad, slope, InputRow(runEntry[at]), ld);
            }
        }
        sum.Add(math.PreAct(l, B, sumZ, above, gap, out var loss));
        preActParts[part] += loss;
    }

    void AddRowsAbove(int slot, float slope, float* encGrad)
    {
        for (var b = 0; b < B; b++)
            if (chunkZ[(long)slot * lanes + b] != 0) Rows.Add(encGrad, slope, centered + (long)b * ld, ld);
    }

    /// <summary>∂ω/∂WDec: the row over its norm, site by site.</summary>
    void AddNorm(int f, float* decGrad, float slope)
    {
        var row = wDec + (long)f * lo;
        if (Spec.Sites is not { } sites)
        {
            if (latents[f].Norm > 0) Rows.Add(decGrad, slope / latents[f].Norm, row, lo);
            return;
        }
        var first = 0;
        foreach (var width in sites)
        {
            var norm = SiteNorm(row, first, width);
            if (norm > 0)
                for (var i = first; i < first + width; i++) decGrad[i] += (float)(slope / norm) * row[i];
            first += width;
        }
    }
}
