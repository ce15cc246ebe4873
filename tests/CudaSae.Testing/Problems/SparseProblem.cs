using CudaSae.Lab.Insight.Contexts;

namespace CudaSae.Testing.Problems;

/// <summary>Random codes of rows in which latent 0 never fires, 1 always, 2 once, 3 with values that differ by powers
/// of two, and many values are equal.</summary>
sealed class SparseProblem
{
    public const int Latents = 23;
    readonly List<(int[] Index, float[] Value)> rows = [];

    public SparseProblem(int count, bool negative = false)
    {
        var random = new Random(5);
        for (var r = 0; r < count; r++)
        {
            int[] index = [.. Enumerable.Range(1, Latents - 1)
                .Where(i => i == 1 || (i == 2 ? r == count / 2 : random.NextDouble() < 0.02 * i))];
            rows.Add((index,
                [.. index.Select(i => i == 3 ? MathF.ScaleB(1 + random.NextSingle(), random.Next(-9, 9)) : i % 2 == 0
                    ? random.Next(1, 40) / 8f : random.NextSingle() + 1e-3f)
                .Select(v => negative && random.Next(3) == 0 ? -v : v)]));
        }
    }

    public int Rows => rows.Count;

    /// <summary>Rows and values of a latent.</summary>
    public (int Row, float Value)[] Firings(int latent) =>
        [.. rows.SelectMany((row, r) =>
            row.Index.Zip(row.Value).Where(e => e.First == latent).Select(e => (r, e.Second)))];

    /// <summary>One pass, so many rows at a time.</summary>
    public ContextCollector Collect(int batch, int contexts = 8, int samples = 2, long codeBytes = 1 << 20)
    {
        var collector = new ContextCollector(Latents, 100, contexts, samples, codeBytes);
        var codes = new SparseRows();
        for (var first = 0; first < Rows; first += batch)
        {
            codes.Clear();
            foreach (var (index, value) in rows.Skip(first).Take(batch)) codes.Add(index, value);
            collector.Visit(new(100 + first, codes, [], [], []));
        }
        return collector;
    }

    /// <summary>[rows, n].</summary>
    public float[] Dense()
    {
        var dense = new float[Rows * Latents];
        for (var r = 0; r < Rows; r++)
            foreach (var (i, v) in rows[r].Index.Zip(rows[r].Value)) dense[r * Latents + i] = v;
        return dense;
    }
}
