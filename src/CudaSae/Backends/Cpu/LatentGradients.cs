using CudaSae.Distributed;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>The gradients of one latent, from its run of entries, its slot in the dead window or its slot in the dense
/// chunk.</summary>
sealed unsafe class LatentGradients : CpuPart
{
    readonly DeadWindow window;
    readonly DenseChunk? chunk;
    readonly LatentMath math;
    readonly LatentScalars* latents;
    readonly int* runStart, runEntry;
    readonly float* value, preAct, valueGrad, wEnc, wDec, bEnc, centered, weighted, gateResidual;
    readonly byte* level;
    readonly EntryGradient* entryGrad;
    readonly double* inputSum;              // [ld] Σ_b x − b_dec
    readonly double* preActParts;           // [LatentParts] the pre-activation loss
    readonly bool plain, liveGate;

    /// <param name="scalars">Null where the spec is plain.</param>
    /// <param name="dense">Null where the selection has no dense path.</param>
    public LatentGradients(CpuContext context, LatentScalarsPhase? scalars, BackwardPhase backward, DeadWindow window,
        DensePhase? dense) : base(context)
    {
        var buffers = context.Buffers;
        (this.window, chunk) = (window, dense?.Chunk);
        math = context.Math;
        latents = buffers.Latents;
        runStart = backward.Start;
        runEntry = backward.Entry;
        value = buffers.Value;
        preAct = buffers.PreAct;
        valueGrad = buffers.ValueGrad;
        wEnc = buffers.WEnc;
        wDec = buffers.WDec;
        bEnc = buffers.BEnc;
        centered = buffers.Centered;
        weighted = buffers.Weighted;
        gateResidual = buffers.GateResidual;
        level = buffers.Level;
        entryGrad = buffers.EntryGrad;
        inputSum = scalars is null ? null : scalars.InputSum;
        preActParts = context.Arena.Take<double>("pre-activation loss", LatentParts);
        (plain, liveGate) = (context.Plain, context.LiveGate);
    }

    /// <summary>The pre-activation loss of the latents that were visited last.</summary>
    public double PreActLoss
    {
        get
        {
            double loss = 0;
            for (var part = 0; part < LatentParts; part++) loss += preActParts[part];
            return loss;
        }
    }

    public void BeginPart(int part) => preActParts[firstPart + part] = 0;

    /// <summary>Gives every rank the partial sums of all ranks.</summary>
    public void GatherParts(ShardPlan shard)
    {
        if (spec.PreAct is not null) shard.Collective.AllGather(preActParts, shard.PartStarts(sizeof(double)));
    }

    /// <summary>Whether a latent has a gradient in this step.</summary>
    public bool Touched(int f) =>
        step.Dense || runStart[f + 1] > runStart[f] || window.Holds(f) || latents is not null && latents[f].PreAct > 0;

    /// <summary>Writes ∂WEnc_f and ∂WDec_f into scratch rows. Returns the sums over the latent's entries, which are all
    /// its other gradients of the loss, before projection.</summary>
    public EntryGradient Form(int f, float* encGrad, float* decGrad, int part)
    {
        var sum = default(EntryGradient);
        if (step.Dense) sum = chunk!.CopyGradient(f, encGrad, decGrad);
        else
        {
            new Span<float>(encGrad, ld).Clear();
            new Span<float>(decGrad, lo).Clear();
        }
        if (window.Holds(f)) AddDead(window.Slot[f], encGrad, decGrad, ref sum);
        if (!step.Dense) AddRun(f, encGrad, decGrad, ref sum);
        if (latents is null) return sum;
        if (latents[f].PreAct > 0) AddPreAct(f, encGrad, ref sum, part);
        if (sum.Norm != 0) AddNorm(f, decGrad, sum.Norm);
        return sum;
    }

    void AddDead(int slot, float* encGrad, float* decGrad, ref EntryGradient sum)
    {
        Rows.Add(encGrad, 1, window.EncGrad + (long)slot * ld, ld);
        Rows.Add(decGrad, 1, window.DecGrad + (long)slot * lo, lo);
        sum.Bias += window.BiasGrad[slot];
        sum.Input += window.BiasGrad[slot];
    }

    void AddRun(int f, float* encGrad, float* decGrad, ref EntryGradient sum)
    {
        var scale = 2 * step.Scalars.LossScale;
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
        if (plain)
        {
            sum.Input += input;
            sum.Bias += input;
            return;
        }
        for (at = runStart[f]; at < end; at++)
        {
            sum.Add(entryGrad[runEntry[at]]);
            if (liveGate)
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
        for (var i = 0; i < ld; i++) encGrad[i] -= slope * (float)inputSum[i];
        if (step.Dense)
        {
            var slot = f - chunk!.First;
            (above, gap) = (chunk.Above[slot], chunk.Gap[slot]);
            var code = chunk.Z + (long)slot * lanes;
            for (var b = 0; b < B; b++)
                if (code[b] != 0) Rows.Add(encGrad, slope, centered + (long)b * ld, ld);
        }
        else
            for (var at = runStart[f]; at < runStart[f + 1]; at++)
            {
                var z = preAct[runEntry[at]];
                if (z < l.Theta) continue;
                above++;
                gap += l.Theta - z;
                Rows.Add(encGrad, slope, InputRow(runEntry[at]), ld);
            }
        sum.Add(math.PreAct(l, B, sumZ, above, gap, out var loss));
        preActParts[firstPart + part] += loss;
    }

    /// <summary>∂ω/∂WDec: the row over its norm, site by site.</summary>
    void AddNorm(int f, float* decGrad, float slope)
    {
        var row = wDec + (long)f * lo;
        if (spec.Sites is not { } sites)
        {
            if (latents[f].Norm > 0) Rows.Add(decGrad, slope / latents[f].Norm, row, lo);
            return;
        }
        var first = 0;
        foreach (var width in sites)
        {
            var norm = LatentScalarsPhase.SiteNorm(row, first, width);
            if (norm > 0)
                for (var i = first; i < first + width; i++) decGrad[i] += (float)(slope / norm) * row[i];
            first += width;
        }
    }
}
