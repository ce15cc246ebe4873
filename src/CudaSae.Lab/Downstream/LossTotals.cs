using CudaSae.Numerics;

namespace CudaSae.Lab.Downstream;

/// <summary>Next-token losses of one state of a network, in nats, and how far its predictions are from the untouched
/// ones.</summary>
sealed class LossTotals
{
    readonly List<double> sumAt = [];       // by place
    readonly List<int> countAt = [];
    double divergence;
    long compared;

    /// <summary>−log p of the next token, of every kept token that has one.</summary>
    public List<double> Each { get; } = [];

    /// <summary>Mean of <see cref="Each"/>, its sum in order.</summary>
    public double CrossEntropy => Each.Sum() / Each.Count;

    /// <summary>Mean over kept tokens of KL(untouched ‖ this).</summary>
    public double Divergence => divergence / compared;

    /// <summary>Mean loss of the predictions made at each place, in at most <paramref name="groups"/> groups of
    /// neighbours; a group's place is its middle.</summary>
    public (float[] Places, float[] Losses) ByPlace(int groups)
    {
        int[] places = [.. Enumerable.Range(0, sumAt.Count).Where(t => countAt[t] > 0)];
        int[][] parts = [.. places.Chunk((places.Length + groups - 1) / groups)];
        return ([.. parts.Select(part => (float)part.Average())],
            [.. parts.Select(part => (float)(part.Sum(t => sumAt[t]) / part.Sum(t => countAt[t])))]);
    }

    /// <param name="logits">First rows: the tokens'.</param>
    /// <param name="keeps">Which ids count.</param>
    /// <param name="untouched">Logits [tokens, vocabulary] of the network as it is; empty where nothing is
    /// compared.</param>
    public void Add(Matrix logits, ReadOnlySpan<int> ids, Func<int, bool> keeps, ReadOnlySpan<float> untouched)
    {
        for (var t = 0; t < ids.Length; t++)
        {
            while (sumAt.Count <= t)
            {
                sumAt.Add(0);
                countAt.Add(0);
            }
            if (!keeps(ids[t])) continue;
            ReadOnlySpan<float> row = logits[t];
            var whole = LogSumExp(row);
            if (!double.IsFinite(whole))
                throw new SaeException($"the model's logits at place {t} are not finite; are these its weights?",
                    kind: SaeErrorKind.Numbers);
            if (t + 1 < ids.Length)
            {
                var loss = whole - row[ids[t + 1]];
                Each.Add(loss);
                sumAt[t] += loss;
                countAt[t]++;
            }
            if (untouched.IsEmpty) continue;
            divergence += Kl(untouched.Slice(t * row.Length, row.Length), row, whole);
            compared++;
        }
    }

    static double LogSumExp(ReadOnlySpan<float> row)
    {
        double largest = double.NegativeInfinity, sum = 0;
        foreach (var z in row) largest = Math.Max(largest, z);
        foreach (var z in row) sum += Math.Exp(z - largest);
        return largest + Math.Log(sum);
    }

    /// <summary>Σ p (log p − log q).</summary>
    static double Kl(ReadOnlySpan<float> p, ReadOnlySpan<float> q, double wholeOfQ)
    {
        double sum = 0, whole = LogSumExp(p);
        for (var i = 0; i < p.Length; i++) sum += Math.Exp(p[i] - whole) * (p[i] - whole - (q[i] - wholeOfQ));
        return sum;
    }
}
