using CudaSae.Numerics;

namespace CudaSae.Lab.Insight;

/// <summary>Cosines of some rows with all rows of a dictionary, tiles of 48 queries and eight candidates at a time: n²
/// of them are never held. Float32 finds the candidates, double says the numbers.</summary>
static unsafe class Cosines
{
    /// <summary>Dictionaries up to this many rows are compared whole: n² d multiply-adds are seconds there.</summary>
    public const int Whole = 16_384;
    const int Sampled = 4096;
    const double Slack = 1e-4;      // of float32 cosines
    const int Panels = 4;           // of 48 queries that stay in the second-level cache while all candidates pass by

    /// <summary>Rows to ask about: all, or where there are more than <see cref="Whole"/>, 4096 at equal
    /// distances.</summary>
    public static int[] Queries(int count) => [.. count <= Whole ? Enumerable.Range(0, count)
        : Enumerable.Range(0, Sampled).Select(i => (int)((long)i * count / Sampled))];

    /// <summary>The candidate with the largest cosine to each query, and that cosine; −1 and NaN for a row of norm
    /// 0.</summary>
    /// <param name="which">Rows of <paramref name="queries"/>.</param>
    public static (int Row, double Cosine)[] Nearest(UnitRows queries, int[] which, UnitRows candidates)
    {
        var best = new (int Row, float Cosine)[which.Length];
        Array.Fill(best, (-1, float.NegativeInfinity));
        var same = ReferenceEquals(queries, candidates);
        Scan(queries, which, candidates, (query, candidate, cosine) =>
        {
            if (cosine > best[query].Cosine && !(same && which[query] == candidate) && candidates.Norms[candidate] > 0)
                best[query] = (candidate, cosine);
        }, query => best[query].Cosine);
        return [.. best.Select((b, q) => b.Row < 0 || queries.Norms[which[q]] == 0 ? (-1, double.NaN)
            : (b.Row, queries.Cosine(which[q], candidates, b.Row)))];
    }

    /// <summary>All candidates whose cosine to a query is above a bar, the largest first.</summary>
    public static (int Row, double Cosine)[][] Above(UnitRows queries, int[] which, UnitRows candidates, double bar)
    {
        var found = new List<(int Row, double Cosine)>?[which.Length];
        var low = (float)(bar - Slack);
        Scan(queries, which, candidates, (query, candidate, _) =>
        {
            if (queries.Cosine(which[query], candidates, candidate) is var cosine && cosine > bar)
                (found[query] ??= []).Add((candidate, cosine));
        }, _ => low);
        return [.. found.Select(list => list is null ? [] : list.OrderByDescending(f => f.Cosine).ToArray())];
    }

    /// <summary>Calls <paramref name="visit"/>(query, candidate, cosine) for cosines above <paramref name="bar"/> of
    /// the query, candidates ascending; one thread a query.</summary>
    public static void Scan(UnitRows queries, int[] which, UnitRows candidates, Action<int, int, float> visit,
        Func<int, float> bar)
    {
        var (d, width) = (queries.Rows.Columns, Panels * Gemm.TileColumns);
        (Matrix Columns, Matrix Tile) Scratch() =>
            (new(Panels * d, Gemm.TileColumns), new(Gemm.TileRows, Gemm.TileColumns));
        Parallel.For(0, (which.Length + width - 1) / width, Scratch, (block, _, scratch) =>
        {
            var first = block * width;
            var here = which.AsSpan(first, Math.Min(width, which.Length - first));
            for (var q = 0; q < here.Length; q++)
                for (var c = 0; c < d; c++)
                    scratch.Columns[q / Gemm.TileColumns * d + c][q % Gemm.TileColumns] = queries.Rows[here[q]][c];
            ScanBlock(scratch.Columns, first, here.Length, candidates, scratch.Tile.Data, visit, bar);
            return scratch;
        }, static scratch =>
        {
            scratch.Columns.Dispose();
            scratch.Tile.Dispose();
        });
    }

    /// <param name="columns">[panel, d, 48]: the queries <paramref name="first"/> to first + count, turned.</param>
    static void ScanBlock(Matrix columns, int first, int count, UnitRows candidates, float* tile,
        Action<int, int, float> visit, Func<int, float> bar)
    {
        const int R = Gemm.TileRows, C = Gemm.TileColumns;
        var (d, n) = (candidates.Rows.Columns, candidates.Count);
        var bars = stackalloc float[Panels * C];
        var zeros = stackalloc float[R];
        var rows = stackalloc float*[R];
        for (var q = 0; q < count; q++) bars[q] = bar(first + q);
        for (var r = 0; r < R; r++) zeros[r] = 0;
        for (var from = 0; from < n; from += R)
        {
            for (var r = 0; r < R; r++) rows[r] = candidates.Rows.Data + (long)Math.Min(from + r, n - 1) * d;
            for (var panel = 0; panel < count; panel += C)
            {
                Gemm.Tile(rows, columns.Data + (long)panel * d, C, d, zeros, tile);
                for (var r = 0; r < R && from + r < n; r++)
                    for (var q = 0; q < Math.Min(C, count - panel); q++)
                    {
                        var cosine = tile[r * C + q];
                        if (cosine <= bars[panel + q]) continue;
                        visit(first + panel + q, from + r, cosine);
                        bars[panel + q] = bar(first + panel + q);
                    }
            }
        }
    }
}
