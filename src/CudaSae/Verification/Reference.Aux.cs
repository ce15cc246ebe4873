namespace CudaSae.Verification;

public sealed partial class Reference
{
    /// <summary>Dead latents that the auxiliary loss of this step looks at, by slot.</summary>
    public int[] Window { get; private set; } = [];

    /// <summary>x̂ − x as the auxiliary loss sees it: a constant. Finite differences hold it still; null takes this step's.</summary>
    public double[]? Detached { get; set; }

    readonly double[] auxEncGrad = new double[(long)spec.Latents * spec.InputWidth];
    readonly double[] auxDecGrad = new double[(long)spec.Latents * spec.InputWidth];
    readonly double[] auxBiasGrad = new double[spec.Latents];

    /// <summary>Latents silent for DeadAfterSteps as step t begins; when they outnumber the window, the part that t turns to.</summary>
    public static int[] WindowOf(ReadOnlySpan<int> lastFired, uint step, uint deadAfterSteps, int capacity)
    {
        var dead = new List<int>();
        for (var f = 0; f < lastFired.Length; f++)
            if (step - 1 - lastFired[f] >= deadAfterSteps) dead.Add(f);
        if (dead.Count <= capacity) return [.. dead];
        var start = (int)((ulong)step * (ulong)capacity % (ulong)dead.Count);
        return [.. Enumerable.Range(0, capacity).Select(s => dead[(start + s) % dead.Count])];
    }

    /// <summary>AuxK: ê from the dead latents' largest pre-activations against x − x̂; gradients into the aux arrays (arXiv 2406.04093 §A.2).</summary>
    public void AuxLoss()
    {
        Array.Clear(auxEncGrad);
        Array.Clear(auxDecGrad);
        Array.Clear(auxBiasGrad);
        Window = [];
        if (spec.Aux is not { } aux) return;
        Sums.AuxVariance = ResidualVariance();
        Window = WindowOf(LastFired, scalars.Step, scalars.DeadAfterSteps, aux.Capacity(n));
        if (Window.Length == 0) return;

        var dead = LastFired.Count(t => scalars.Step - 1 - t >= scalars.DeadAfterSteps);
        var chosenCount = Math.Min(aux.K, Window.Length);
        var scale = Sums.AuxVariance > 0 ? 2 * scalars.AuxCoefficient * Math.Min((double)dead / aux.K, 1) / Sums.AuxVariance : 0;
        for (var b = 0; b < B; b++) AuxRow(b, chosenCount, aux.Relu, scale);
    }

    void AuxRow(int b, int chosenCount, bool relu, double scale)
    {
        var z = new double[Window.Length];
        for (var s = 0; s < z.Length; s++) z[s] = PreActs[b * n + Window[s]];
        var chosen = Largest(z, chosenCount);
        var r = new double[d];
        for (var i = 0; i < d; i++) r[i] = (Detached ?? Residual)[b * d + i];
        foreach (var s in chosen)
            for (var i = 0; i < d; i++) r[i] += Code(z[s]) * rounding.Gathered(WDec[Window[s] * d + i]);
        for (var i = 0; i < d; i++) Sums.AuxSquaredError += r[i] * r[i];

        foreach (var s in chosen)
        {
            var f = Window[s];
            double dot = 0;
            for (var i = 0; i < d; i++)
            {
                auxDecGrad[f * d + i] += scale * Code(z[s]) * r[i];
                dot += r[i] * rounding.Gathered(WDec[f * d + i]);
            }
            if (double.IsNaN(z[s]) || (relu && !(z[s] > 0))) continue;
            auxBiasGrad[f] += scale * dot;
            for (var i = 0; i < d; i++) auxEncGrad[f * d + i] += scale * dot * CenteredRow(b, i);
        }

        double Code(double a) => double.IsNaN(a) || (relu && a < 0) ? 0 : a;
    }

    double ResidualVariance()
    {
        double variance = 0;
        for (var i = 0; i < d; i++)
        {
            double sum = 0, squares = 0;
            for (var b = 0; b < B; b++)
            {
                var e = (Detached ?? Residual)[b * d + i];
                sum += e;
                squares += e * e;
            }
            variance += squares - sum * sum / B;
        }
        return variance;
    }
}
