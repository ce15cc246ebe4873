using CudaSae.Backends.Cpu;
using CudaSae.Model;

namespace CudaSae.Insight;

/// <summary>Cosines of some rows with all rows of a dictionary, 48 queries against eight candidates at a time: n² of them are never held. Float32 finds the candidates, double says the numbers.</summary>
static unsafe class Cosines
{
    /// <summary>Dictionaries up to this many rows are compared whole: n² d multiply-adds are seconds there.</summary>
    public const int Whole = 16_384;
    const int Sampled = 4096;
    const double Slack = 1e-4;      // of float32 cosines

    /// <summary>Rows to ask about: all, or where there are more than <see cref="Whole"/>, 4096 at equal distances.</summary>
    public static int[] Queries(int count) => [.. count <= Whole ? Enumerable.Range(0, count) : Enumerable.Range(0, Sampled).Select(i => (int)((long)i * count / Sampled))];

    /// <summary>The candidate with the largest cosine to each query, and that cosine; −1 and NaN for a row of norm 0.</summary>
    /// <param name="which">Rows of <paramref name="queries"/>.</param>
    public static (int Row, double Cosine)[] Nearest(UnitRows queries, int[] which, UnitRows candidates)
    {
        var best = new (int Row, float Cosine)[which.Length];
        Array.Fill(best, (-1, float.NegativeInfinity));
        var same = ReferenceEquals(queries, candidates);
        Scan(queries, which, candidates, (query, candidate, cosine) =>
        {
            if (cosine > best[query].Cosine && !(same && which[query] == candidate) && candidates.Norms[candidate] > 0) best[query] = (candidate, cosine);
        }, query => best[query].Cosine);
        return [.. best.Select((b, q) => b.Row < 0 || queries.Norms[which[q]] == 0 ? (-1, double.NaN) : (b.Row, queries.Cosine(which[q], candidates, b.Row)))];
    }

    /// <summary>All candidates whose cosine to a query is above a bar, the largest first.</summary>
    public static (int Row, double Cosine)[][] Above(UnitRows queries, int[] which, UnitRows candidates, double bar)
    {
        var found = new List<(int Row, double Cosine)>?[which.Length];
        var low = (float)(bar - Slack);
        Scan(queries, which, candidates, (query, candidate, _) =>
        {
            if (queries.Cosine(which[query], candidates, candidate) is var cosine && cosine > bar) (found[query] ??= []).Add((candidate, cosine));
        }, _ => low);
        return [.. found.Select(list => list is null ? [] : list.OrderByDescending(f => f.Cosine).ToArray())];
    }

    /// <summary>Calls <paramref name="visit"/>(query, candidate, cosine) for cosines above what <paramref name="bar"/> says of the query, candidates ascending; one thread a query.</summary>
    static void Scan(UnitRows queries, int[] which, UnitRows candidates, Action<int, int, float> visit, Func<int, float> bar)
    {
        const int R = Gemm.TileRows, C = Gemm.TileColumns;
        var (d, n) = (queries.Rows.Columns, candidates.Count);
        Parallel.For(0, (which.Length + C - 1) / C, panel =>
        {
            var first = panel * C;
            var count = Math.Min(C, which.Length - first);
            using Matrix columns = new(d, C), tile = new(R, C);
            for (var q = 0; q < count; q++)
            {
                var row = queries.Rows[which[first + q]];
                for (var c = 0; c < d; c++) columns[c][q] = row[c];
            }
            var bars = stackalloc float[C];
            var zeros = stackalloc float[R];
            var rows = stackalloc float*[R];
            for (var q = 0; q < C; q++) bars[q] = q < count ? bar(first + q) : float.PositiveInfinity;
            for (var r = 0; r < R; r++) zeros[r] = 0;
            for (var from = 0; from < n; from += R)
            {
                for (var r = 0; r < R; r++) rows[r] = candidates.Rows.Data + (long)Math.Min(from + r, n - 1) * d;
                Gemm.Tile(rows, columns.Data, C, d, zeros, tile.Data);
                for (var r = 0; r < R && from + r < n; r++)
                    for (var q = 0; q < count; q++)
                    {
                        var cosine = tile.Data[r * C + q];
                        if (cosine <= bars[q]) continue;
                        visit(first + q, from + r, cosine);
                        bars[q] = bar(first + q);
                    }
            }
        });
    }
}
