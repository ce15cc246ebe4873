using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>latents: what each brings to a step; when each last fired, who is dead, and the window of dead latents for
/// the next step.</summary>
sealed unsafe partial class CpuBackend
{
    const int SpreadRows = 48;          // rows of a batch that the running spread of z looks at: one panel
    const float SpreadDecay = 0.99f;

    LatentScalars* latents;             // [n]; null where a latent brings nothing but its rows
    float* spreadMean, spreadVariance;  // [n] running mean and variance of z
    float* batchThreshold;              // [1] BatchTopK's running threshold
    double* inputSum;                   // [ld] Σ_b x − b_dec, for the pre-activation loss
    double* preActParts;                // [LatentParts] that loss
    int* firings;                       // [n] rows on which a latent fired in the last step
    Action<int, int>? latentScalarsPart, spreadPart;

    void TakeLatents()
    {
        var jump = Spec.Selection as Selection.JumpRelu;
        latents = arena.Take<LatentScalars>("latent scalars", thresholded || Spec.Penalty is not null ? n : 0);
        spreadMean = arena.Take<float>("spread, mean", jump is { AdaptiveBandwidth: true } ? n : 0);
        spreadVariance = arena.Take<float>("spread, variance", jump is { AdaptiveBandwidth: true } ? n : 0);
        batchThreshold = arena.Take<float>("batch threshold", Spec.Selection is Selection.BatchTopK ? 1 : 0);
        inputSum = arena.Take<double>("column sums of x - b_dec", Spec.PreAct is null ? 0 : ld);
        preActParts = arena.Take<double>("pre-activation loss", LatentParts);
        firings = arena.Take<int>("firings", n);
    }

    void PrepareLatents()
    {
        if (spreadMean is not null && scalars.Inference == 0)
            workers.Run((n + Gemm.TileRows - 1) / Gemm.TileRows, spreadPart ??= SpreadPart);
        if (latents is not null) workers.Run(LatentParts, latentScalarsPart ??= LatentScalarsPart);
        if (inputSum is null) return;
        new Span<double>(inputSum, ld).Clear();
        for (var b = 0; b < B; b++)
            for (var i = 0; i < ld; i++) inputSum[i] += centered[(long)b * ld + i];
    }

    void LatentScalarsPart(int part, int worker)
    {
        var (first, last) = Latents(part);
        var weighted = Spec.Penalty is { Weight: not PenaltyWeight.One };
        for (var f = first; f < last; f++)
        {
            var l = new LatentScalars { Omega = 1 };
            if (weighted || Spec.PreAct is not null) l.Norm = DecoderNormOf(f);
            if (weighted) l.Omega = l.Norm;
            if (gated) (l.ExpR, l.Gate, l.Mag) = (MathF.Exp(rMag[f]), bEnc[f], bMag[f]);
            if (Spec.Selection is Selection.JumpRelu jump)
            {
                l.Theta = Theta(f);
                l.Epsilon = jump.Bandwidth
                    * (jump.AdaptiveBandwidth ? MathF.Sqrt(MathF.Max(1e-12f, spreadVariance[f])) : 1);
                l.Floor = l.Theta - LatentMath.Reach(jump.Kernel) * l.Epsilon;
                if (Spec.PreAct is { } loss
                    && (!loss.DeadOnly || scalars.Step - 1 - (uint)lastFired[f] >= scalars.DeadAfterSteps))
                    l.PreAct = scalars.PreAct;
            }
            latents[f] = l;
        }
    }

    float Theta(int f) =>
        Spec.Selection is Selection.JumpRelu { Form: ThresholdForm.Direct } ? threshold[f] : MathF.Exp(threshold[f]);

    /// <summary>Σ over sites of the norm of WDec_f's columns there.</summary>
    float DecoderNormOf(int f)
    {
        var row = wDec + (long)f * lo;
        if (Spec.Sites is not { } sites) return (float)Math.Sqrt(Rows.SquaredNorm(row, lo));
        double sum = 0;
        var first = 0;
        foreach (var width in sites)
        {
            sum += SiteNorm(row, first, width);
            first += width;
        }
        return (float)sum;
    }

    static double SiteNorm(float* row, int first, int width)
    {
        double squares = 0;
        for (var i = first; i < first + width; i++) squares += (double)row[i] * row[i];
        return Math.Sqrt(squares);
    }

    /// <summary>Eight latents' z on the first panel, into their running spread.</summary>
    void SpreadPart(int group, int worker)
    {
        var buffer = stackalloc float[TileFloats + 16];
        var tile = Align(buffer);
        var all = new LatentSet(0, n);
        PreActTile(all, group * Gemm.TileRows, 0, tile);
        var rows = Math.Min(B, SpreadRows);
        var keep = scalars.Step == 1 ? 0 : SpreadDecay;
        for (var r = 0; r < Math.Min(Gemm.TileRows, n - group * Gemm.TileRows); r++)
        {
            float first = tile[r * Gemm.TileColumns], sum = 0, squares = 0;
            for (var b = 1; b < rows; b++) sum += (tile[r * Gemm.TileColumns + b] - first) / rows;
            for (var b = 0; b < rows; b++)
            {
                var z = tile[r * Gemm.TileColumns + b] - first - sum;
                squares += z * z / rows;
            }
            var f = group * Gemm.TileRows + r;
            var away = first + sum - spreadMean[f];
            spreadMean[f] += (1 - keep) * away;
            spreadVariance[f] = keep * (spreadVariance[f] + (1 - keep) * away * away) + (1 - keep) * squares;
        }
    }

    public void TrackLatents()
    {
        CountFirings();
        for (var f = 0; f < n; f++)
            if (firings[f] > 0) lastFired[f] = (int)scalars.Step;
        FindDead(scalars.Step, scalars.DeadAfterSteps);
        sums.Dead = dead;
        if (Spec.Selection is Selection.BatchTopK batch) MoveBatchThreshold(batch);
    }

    void CountFirings()
    {
        new Span<int>(firings, n).Clear();
        if (stepDense)
        {
            for (var panel = 0; panel < panels; panel++)
                for (var f = 0; f < n; f++) firings[f] += panelFired[(long)panel * n + f];
            return;
        }
        for (var b = 0; b < B; b++)
            for (var entry = b * k; entry < b * k + rowCount[b]; entry++)
                if (value[entry] != 0) firings[index[entry]]++;
    }

    public void ReadFirings(Span<int> into)
    {
        CountFirings();
        new ReadOnlySpan<int>(firings, n).CopyTo(into);
    }

    /// <summary>Dead after <paramref name="step"/>, and the window of the step that follows: all of them, or the part
    /// that its number turns to.</summary>
    void FindDead(uint step, uint deadAfterSteps)
    {
        dead = 0;
        for (var f = 0; f < n; f++)
        {
            deadSlot[f] = -1;
            if (step - (uint)lastFired[f] >= deadAfterSteps) dead++;
        }
        windowLength = Math.Min(dead, Spec.DeadWindow);
        if (windowLength == 0) return;
        var start = dead > Spec.DeadWindow ? (long)((ulong)(step + 1) * (ulong)Spec.DeadWindow % (ulong)dead) : 0;
        var ordinal = 0L;
        for (var f = 0; f < n; f++)
        {
            if (step - (uint)lastFired[f] < deadAfterSteps) continue;
            var slot = (ordinal++ - start + dead) % dead;
            if (slot >= windowLength) continue;
            window[slot] = f;
            deadSlot[f] = (int)slot;
        }
    }
}
