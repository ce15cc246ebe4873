namespace CudaSae.Lab.Insight.Contexts;

/// <summary>Which latents fire on the same rows: J = joint / (count_i + count_j − joint), the share of the rows of
/// either on which both fire (Jaccard 1901). Counted exactly on the
/// codes that are kept, from a latent's rows to their latents: Σ L0² increments, n counters a thread, and never
/// n².</summary>
static class Coactivation
{
    const long PairBudget = 2_000_000_000;      // a few seconds; a denser code is thinned to it

    /// <param name="codes">Thinned until its pairs can be counted.</param>
    /// <param name="m">Partners kept a latent.</param>
    public static Partners Of(RowCodes codes, int latents, int m)
    {
        for (var pairs = codes.Pairs; pairs > PairBudget && codes.Level < 63; pairs = codes.Pairs)
            codes.Thin(codes.Level + 1);
        var (start, place) = ByLatent(codes, latents);
        var partners = new Partners(latents, m);
        const int block = 64;       // latents a task
        Parallel.For(0, (latents + block - 1) / block, () => (Joint: new int[latents], Touched: new List<int>()),
            (b, _, scratch) =>
        {
            for (var i = b * block; i < Math.Min(latents, (b + 1) * block); i++)
                Count(codes, start, place, i, partners, scratch.Joint, scratch.Touched);
            return scratch;
        }, static _ => { });
        return partners;
    }

    static void Count(RowCodes codes, int[] start, int[] place, int latent, Partners partners, int[] joint,
        List<int> touched)
    {
        for (var at = start[latent]; at < start[latent + 1]; at++)
            foreach (var other in codes.Indices(place[at]))
                if (joint[other]++ == 0) touched.Add(other);
        foreach (var other in touched)
        {
            if (other != latent)
            {
                var either = (long)(start[latent + 1] - start[latent]) + (start[other + 1] - start[other])
                    - joint[other];
                partners.Offer(latent, other, (float)((double)joint[other] / either), joint[other]);
            }
            joint[other] = 0;
        }
        touched.Clear();
    }

    /// <summary>The codes turned round: of each latent the places of its rows.</summary>
    static (int[] Start, int[] Place) ByLatent(RowCodes codes, int latents)
    {
        var (start, place) = (new int[latents + 1], new int[codes.Entries]);
        for (var row = 0; row < codes.Count; row++)
            foreach (var i in codes.Indices(row)) start[i + 1]++;
        for (var i = 0; i < latents; i++) start[i + 1] += start[i];
        var next = start.AsSpan(0, latents).ToArray();
        for (var row = 0; row < codes.Count; row++)
            foreach (var i in codes.Indices(row)) place[next[i]++] = row;
        return (start, place);
    }
}
