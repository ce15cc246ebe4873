using CudaSae.Model;

namespace CudaSae.Lab.Verification;

/// <summary>What dead latents are taught: AuxK or ghost gradients.</summary>
sealed partial class Reference
{
    /// <summary>Dead latents that the auxiliary loss of this step looks at, by slot.</summary>
    public int[] Window { get; private set; } = [];

    /// <summary>x̂ − y as the auxiliary loss sees it: a constant. Finite differences hold it still; null takes this
    /// step's.</summary>
    public double[]? Detached { get; set; }

    /// <summary>Each row's two scales of the ghost loss, constants too: [B, 2]. Null takes this step's.</summary>
    public double[]? DetachedScales { get; set; }

    /// <summary>[B, 2] the scales that the last step took.</summary>
    public double[] GhostScales { get; } = new double[2 * config.BatchRows];

    readonly double[] deadEncGrad = new double[(long)spec.Latents * spec.InputWidth];
    readonly double[] deadDecGrad = new double[(long)spec.Latents * spec.OutputWidth];
    readonly double[] deadBiasGrad = new double[spec.Latents];

    double DetachedError(int b, int i) => (Detached ?? Residual)[b * D + i];

    /// <summary>Latents silent for DeadAfterSteps as step t begins; when they outnumber the window, the part that t
    /// turns to.</summary>
    public static int[] WindowOf(ReadOnlySpan<int> lastFired, uint step, uint deadAfterSteps, int capacity)
    {
        var dead = new List<int>();
        for (var f = 0; f < lastFired.Length; f++)
            if (step - 1 - lastFired[f] >= deadAfterSteps) dead.Add(f);
        if (dead.Count <= capacity) return [.. dead];
        var start = (int)((ulong)step * (ulong)capacity % (ulong)dead.Count);
        return [.. Enumerable.Range(0, capacity).Select(s => dead[(start + s) % dead.Count])];
    }

    /// <summary>The loss of dead latents against the detached residual; gradients are kept for
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

    /// <summary>ê from the dead latents' largest pre-activations against y − x̂ (arXiv 2406.04093 §A.2).</summary>
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

    /// <summary>For L = ½ scale ‖r‖² with r = … + code · WDec_f: gradients of the row, and through code′ of the
    /// encoder.</summary>
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

    /// <summary>g = Σ exp(z) WDec over the dead, scaled to half the residual's norm, against the residual; the row's
    /// term scaled to its main error.</summary>
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
