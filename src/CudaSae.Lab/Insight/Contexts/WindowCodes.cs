using CudaSae.Numerics;

namespace CudaSae.Lab.Insight.Contexts;

/// <summary>Gets the values that windows show. If not all codes were kept, it encodes the shown rows a second time, in
/// order and in chunks.</summary>
static class WindowCodes
{
    const int ChunkRows = 16384;

    public static void Fill(ContextWindows windows, ContextCollector collector, Sae sae, RunSource source)
    {
        int[] order = [.. Enumerable.Range(0, windows.Count)];
        if (collector.Codes.IsComplete)
        {
            windows.Fill(order, collector.Codes, collector);
            return;
        }
        Array.Sort([.. order.Select(item => windows[item].Row)], order);
        for (var at = 0; at < order.Length;)
        {
            var rows = new List<int>();
            var end = at;
            for (var next = 0; end < order.Length && rows.Count < ChunkRows; end++)
            {
                var (first, behind) = windows.Window(order[end]);
                for (next = Math.Max(next, first); next < behind; next++) rows.Add(next);
            }
            windows.Fill(order.AsSpan(at, end - at), Encode(rows, sae, source), collector);
            at = end;
        }
    }

    /// <param name="rows">Rows in ascending order, counted from the source's first row.</param>
    static RowCodes Encode(List<int> rows, Sae sae, RunSource source)
    {
        var store = new RowCodes(long.MaxValue);
        var (codes, kept) = (new SparseRows(), new List<int>());
        int d = sae.InputWidth, batch = Math.Max(sae.BatchRows, 256);
        var (raw, x) = (new float[source.Rows.Source.Width], new float[batch * d]);
        for (var at = 0; at < rows.Count; at += batch)
        {
            kept.Clear();
            foreach (var row in rows[at..Math.Min(at + batch, rows.Count)])
            {
                source.Rows.Source.ReadRow(source.Rows.First + row, raw);
                if (!Finite.All(raw)) continue;      // the pass left this row out too
                raw.AsSpan(0, d).CopyTo(x.AsSpan(kept.Count * d));
                kept.Add(row);
            }
            sae.Encode(x.AsSpan(0, kept.Count * d), codes);
            for (var b = 0; b < kept.Count; b++) store.Add(kept[b], codes.Indices(b), codes.Values(b));
        }
        return store;
    }
}
