using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Lab.Insight;

/// <summary>Latents of one kind against the rest: do their encoder rows point one way? u is a row scaled to norm 1;
/// rows of norm 0 are left out.</summary>
sealed class RareCluster
{
    const int Pairs = 20_000;
    const double Work = 4e9, Tolerance = 1e-10;

    readonly SaeParameters weights;
    readonly double[] meanInside, meanOutside;     // Σ u

    /// <param name="inside">Latents of the cluster.</param>
    public RareCluster(SaeParameters weights, int[] inside)
    {
        this.weights = weights;
        var members = inside.ToHashSet();
        Inside = [.. inside.Where(HasDirection)];
        Outside = [.. Enumerable.Range(0, (int)weights.WEnc.Rows).Where(i => !members.Contains(i) && HasDirection(i))];
        if (Inside.Length == 0)
            throw new SaeException("no latent of the cluster has an encoder row: all are zero, as pruning leaves them");
        (meanInside, meanOutside) = (Sum(Inside), Sum(Outside));
        var length = Math.Sqrt(Doubles.Squares(meanInside));
        Direction = [.. meanInside.Select(v => v / Math.Max(length, 1e-300))];
        (Principal, PrincipalShare) = TopDirection();
    }

    public int[] Inside { get; }
    public int[] Outside { get; }

    /// <summary>Direction of the mean of the cluster's u, [d], of norm 1.</summary>
    public double[] Direction { get; }

    /// <summary>The direction that holds most of Σ u uᵀ over the cluster, [d], of norm 1, its sign that of
    /// <see cref="Direction"/>; and its share of the trace.</summary>
    public double[] Principal { get; }
    public double PrincipalShare { get; }

    /// <summary>Mean cosine over all pairs of different latents of the cluster: (‖Σu‖² − m) / (m (m − 1)).</summary>
    public double CosineInside => Within(meanInside, Inside.Length);
    public double CosineOutside => Within(meanOutside, Outside.Length);

    /// <summary>Mean cosine over all pairs of one in it and one of the rest.</summary>
    public double CosineBetween =>
        meanInside.Zip(meanOutside, (a, b) => a * b).Sum() / ((double)Inside.Length * Outside.Length);

    static double Within(double[] sum, int m) =>
        m < 2 ? double.NaN : (Doubles.Squares(sum) - m) / ((double)m * (m - 1));

    /// <summary>⟨u_i, direction⟩²: the direction's share of a latent's squared encoder norm.</summary>
    public double ShareAlong(int latent) =>
        Math.Pow(Doubles.Dot(weights.WEnc[latent], Direction) / Matrix.Norm(weights.WEnc[latent]), 2);

    /// <summary>Cosines of at most 20,000 pairs: all where there are no more, else pairs drawn by a counter.</summary>
    public double[] PairCosines(int[] a, int[] b)
    {
        var same = ReferenceEquals(a, b);
        if (a.Length == 0 || b.Length == 0 || same && a.Length < 2) return [];
        var all = same ? (long)a.Length * (a.Length - 1) / 2 : (long)a.Length * b.Length;
        if (all <= Pairs)
            return [.. from i in Enumerable.Range(0, a.Length) from j in Enumerable.Range(same ? i + 1 : 0,
                b.Length - (same ? i + 1 : 0)) select Cosine(a[i], b[j])];
        return [.. Enumerable.Range(0, Pairs).Select(pair =>
        {
            var i = (int)(SplitMix.Mix(2 * (ulong)pair) % (ulong)a.Length);
            var j = (int)(SplitMix.Mix(2 * (ulong)pair + 1) % (ulong)b.Length);
            return Cosine(a[i], b[same && i == j ? (j + 1) % b.Length : j]);
        })];
    }

    double Cosine(int i, int j) => Doubles.Cosine(weights.WEnc[i], weights.WEnc[j]);
    bool HasDirection(int latent) => Matrix.Norm(weights.WEnc[latent]) > 0;

    double[] Sum(int[] latents)
    {
        var sum = new double[weights.WEnc.Columns];
        foreach (var i in latents) Doubles.Add(sum, 1 / Matrix.Norm(weights.WEnc[i]), weights.WEnc[i]);
        return sum;
    }

    /// <summary>Power iteration on Σ u uᵀ from the mean's direction, until the direction stands still, or as long as a
    /// few billion multiply-adds take:
    /// where two directions hold nearly as much, neither is the top one.</summary>
    (double[] Direction, double Share) TopDirection()
    {
        double[] norms = [.. Inside.Select(i => Matrix.Norm(weights.WEnc[i]))];
        // not orthogonal to anything by construction
        double[] v = [.. Direction.Select((x, c) => x + 1e-3 * Math.Cos(c))];
        var eigenvalue = 0.0;
        Rescale();
        var most = Math.Clamp(Work / ((double)Inside.Length * v.Length), 100, 10_000);
        for (var iteration = 0; iteration < most; iteration++)
        {
            var next = new double[v.Length];
            for (var m = 0; m < Inside.Length; m++)
                Doubles.Add(next, Doubles.Dot(weights.WEnc[Inside[m]], v) / (norms[m] * norms[m]),
                    weights.WEnc[Inside[m]]);
            eigenvalue = Math.Sqrt(Doubles.Squares(next));
            var moved = v.Zip(next, (a, b) => Math.Pow(a - b / eigenvalue, 2)).Sum();
            v = next;
            Rescale();
            if (moved <= Tolerance * Tolerance) break;
        }
        var sign = v.Zip(Direction, (a, b) => a * b).Sum() < 0 ? -1 : 1;
        return ([.. v.Select(x => sign * x)], eigenvalue / Inside.Length);

        void Rescale()
        {
            var length = Math.Sqrt(Doubles.Squares(v));
            for (var c = 0; c < v.Length; c++) v[c] /= length;
        }
    }
}
