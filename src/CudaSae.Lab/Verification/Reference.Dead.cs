using CudaSae.Model;

namespace CudaSae.Lab.Verification;

/// <summary>The losses of dead latents: AuxK and ghost gradients.</summary>
sealed partial class Reference
{
    /// <summary>The dead latents in the auxiliary loss of this step, by slot.</summary>
    public int[] Window { get; private set; } = [];

    /// <summary>x̂ − y in the auxiliary loss, which is a constant there. Finite differences keep it fixed; null takes
    /// that of this step.</summary>
    public double[]? Detached { get; set; }

    /// <summary>The two scales of the ghost loss for each row, which are constants too, [B, 2]. Null takes those of
    /// this step.</summary>
    public double[]? DetachedScales { get; set; }

    /// <summary>The scales of the last step, [B, 2].</summary>
    public double[] GhostScales { get; } = new double[2 * config.BatchRows];

    readonly double[] deadEncGrad = new double[(long)spec.Latents * spec.InputWidth];
    readonly double[] deadDecGrad = new double[(long)spec.Latents * spec.OutputWidth];
    readonly double[] deadBiasGrad = new double[spec.Latents];

    double DetachedError(int b, int i) => (Detached ?? Residual)[b * D + i];

    /// <summary>The latents that did not fire for DeadAfterSteps at the start of step t. If they outnumber the window,
    /// t selects a part in rotation.</summary>
    public static int[] WindowOf(ReadOnlySpan<int> lastFired, uint step, uint deadAfterSteps, int capacity)
    {
        var dead = new List<int>();
        for (var f = 0; f < lastFired.Length; f++)
            if (step - 1 - lastFired[f] >= deadAfterSteps) dead.Add(f);
        if (dead.Count <= capacity) return [.. dead];
        var start = (int)((ulong)step * (ulong)capacity % (ulong)dead.Count);
        return [.. Enumerable.Range(0, capacity).Select(s => dead[(start + s) % dead.Count])];
    }

    /// <summary>Computes the loss of dead latents on the detached residual, and their gradients for
    /// <see cref="Gradients"/>.</summary>
    public void DeadLoss()
    {
        Array.Clear(deadEncGrad);
        Array.Clear(deadDecGrad);
        Array.Clear(deadBiasGrad);
        Window = [];
        if (spec.Aux is { } aux) AuxK(aux);
        if (spec.Ghost is { } ghost)
        {
            Window = WindowOf(LastFired, scalars.Step, scalars.AllDead == 1 ? 0 : scalars.DeadAfterSteps,
                Math.Min(n, ghost.Window));
            for (var b = 0; b < B && Window.Length > 0; b++) GhostRow(b);
        }
    }

    void AddDeadGradients()
    {
        deadEncGrad.CopyTo(WEncGrad, 0);
        deadDecGrad.CopyTo(WDecGrad, 0);
        deadBiasGrad.CopyTo(BEncGrad, 0);
        deadBiasGrad.CopyTo(inputGrad, 0);
    }

    /// <summary>AuxK: ê from the largest pre-activations of the dead latents, compared with y − x̂ (arXiv 2406.04093
    /// §A.2).</summary>
    void AuxK(AuxLoss aux)
    {
        Sums.AuxVariance = ResidualVariance();
        Window = WindowOf(LastFired, scalars.Step, scalars.DeadAfterSteps, aux.Capacity(n));
        if (Window.Length == 0) return;
        var dead = LastFired.Count(t => scalars.Step - 1 - t >= scalars.DeadAfterSteps);
        var scale = Sums.AuxVariance > 0
            ? 2 * scalars.AuxCoefficient * Math.Min((double)dead / aux.K, 1) / Sums.AuxVariance : 0;
        for (var b = 0; b < B; b++) AuxRow(b, Math.Min(aux.K, Window.Length), aux.Relu, scale);
    }

    void AuxRow(int b, int chosenCount, bool relu, double scale)
    {
        var z = new double[Window.Length];
        for (var s = 0; s < z.Length; s++) z[s] = PreActs[b * n + Window[s]];
        var chosen = Largest(z, chosenCount);
        var r = new double[D];
        for (var i = 0; i < D; i++) r[i] = DetachedError(b, i);
        foreach (var s in chosen)
            for (var i = 0; i < D; i++) r[i] += Code(z[s]) * rounding.Gathered(WDec[Window[s] * D + i]);
        for (var i = 0; i < D; i++) Sums.AuxSquaredError += r[i] * r[i];
        foreach (var s in chosen)
        {
            var learns = !double.IsNaN(z[s]) && (!relu || z[s] > 0);
            AddDead(b, Window[s], r, scale, Code(z[s]), learns ? 1 : 0);
        }

        double Code(double a) => double.IsNaN(a) || (relu && a < 0) ? 0 : a;
    }

    /// <summary>Adds the gradients of L = ½ scale ‖r‖² with r = … + code · WDec_f: of the decoder row and, through
    /// code′, of the encoder.</summary>
    void AddDead(int b, int f, double[] r, double scale, double code, double codeSlope)
    {
        double dot = 0;
        for (var i = 0; i < D; i++)
        {
            deadDecGrad[f * D + i] += scale * code * r[i];
            dot += r[i] * rounding.Gathered(WDec[f * D + i]);
        }
        var delta = scale * dot * codeSlope;
        deadBiasGrad[f] += delta;
        for (var i = 0; i < d; i++) deadEncGrad[f * d + i] += delta * CenteredRow(b, i);
    }

    double ResidualVariance()
    {
        double variance = 0;
        for (var i = 0; i < D; i++)
        {
            double mean = 0;
            for (var b = 0; b < B; b++) mean += DetachedError(b, i) / B;
            for (var b = 0; b < B; b++) variance += Math.Pow(DetachedError(b, i) - mean, 2);
        }
        return variance;
    }

    /// <summary>The ghost loss of a row: g = Σ exp(z) WDec over the dead latents, scaled to half of the residual's
    /// norm, is compared with the residual. The term of the row is scaled to its reconstruction error.</summary>
    void GhostRow(int b)
    {
        var g = new double[D];
        foreach (var f in Window)
            for (var i = 0; i < D; i++) g[i] += Math.Exp(PreActs[b * n + f]) * rounding.Gathered(WDec[f * D + i]);
        double error = 0, norm = 0, ghost = 0;
        for (var i = 0; i < D; i++)
        {
            error += DetachedError(b, i) * DetachedError(b, i);
            norm += g[i] * g[i];
        }
        var s = DetachedScales?[2 * b] ?? Math.Sqrt(error) / (2 * Math.Sqrt(norm) + 1e-6);
        var r = new double[D];
        for (var i = 0; i < D; i++)
        {
            r[i] = s * g[i] + DetachedError(b, i);
            ghost += r[i] * r[i];
        }
        var q = DetachedScales?[2 * b + 1] ?? error / (ghost + 1e-6);
        (GhostScales[2 * b], GhostScales[2 * b + 1]) = (s, q);
        Sums.Ghost += q * ghost;
        foreach (var f in Window)
        {
            var code = s * Math.Exp(PreActs[b * n + f]);
            AddDead(b, f, r, 2 * scalars.LossScale * q, code, code);
        }
    }
}
