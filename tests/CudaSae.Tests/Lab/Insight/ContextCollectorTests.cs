using CudaSae.Lab.Insight.Contexts;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>Statistics that are collected for each latent, compared with a computation over all data at once.</summary>
public class ContextCollectorTests
{
    const int N = SparseProblem.Latents;

    public static TheoryData<int, bool> Batches => new() { { 1, false }, { 7, false }, { 256, true }, { 600, true } };

    [Theory, MemberData(nameof(Batches))]
    public void StrongestRowsAndNumbersMatchAllRows(int batch, bool negative)
    {
        var problem = new SparseProblem(600, negative);
        var collector = problem.Collect(batch);
        for (var i = 0; i < N; i++)
        {
            var all = problem.Firings(i);
            Assert.Equal(all.Length, collector.Count(i));
            Assert.Equal(all.Select(f => Math.Abs(f.Value)).DefaultIfEmpty().Max(), collector.Max(i));
            Assert.Equal(all.Length == 0 ? 0 : all.Average(f => (double)f.Value), collector.Mean(i), 1e-6);
            var best = all.OrderByDescending(f => Math.Abs(f.Value)).ThenBy(f => f.Row).Take(8).ToArray();
            Assert.Equal(best.Select(f => f.Row), collector.Top.Rows(i).ToArray());
            Assert.Equal(best.Select(f => f.Value), collector.Top.Values(i).ToArray());
        }
    }

    [Theory, MemberData(nameof(Batches))]
    public void BinsAndRandomRowsDependOnTheRowsAlone(int batch, bool negative)
    {
        var problem = new SparseProblem(600, negative);
        var collector = problem.Collect(batch);
        for (var i = 0; i < N; i++)
        {
            var all = problem.Firings(i);
            var width = collector.Bins.Width(i);
            if (all.Length == 0)
            {
                Assert.Equal(0, width);
                continue;
            }
            Assert.InRange(collector.Max(i) / width, 8, 15.99999);
            int Bin(float value) => (int)Math.Floor(Math.Abs((double)value) / width);
            Assert.Equal(Enumerable.Range(0, 16).Select(b => all.Count(f => Bin(f.Value) == b)),
                collector.Bins.Counts(i).ToArray());
            var used = Bin(collector.Max(i)) + 1;
            for (var q = 0; q < 5; q++)
                Assert.Equal(all.Where(f => 5 * Bin(f.Value) / used == q).OrderBy(f => ActivationBins.Random(f.Row, i))
                    .Take(2),
                    collector.Bins.Sample(i, q));
        }
    }

    /// <summary>Over many latents, every row of a fifth is drawn about equally often, even where bins were
    /// merged.</summary>
    [Fact]
    public void RandomRowsAreUniform()
    {
        const int latents = 4000, rows = 20;
        var bins = new ActivationBins(latents, 1);
        var drawn = new int[rows];
        for (var i = 0; i < latents; i++)
        {
            for (var r = 0; r < rows; r++) bins.Offer(i, r, r == rows - 1 ? 16 : 0.01f * (r + 1));
            foreach (var (row, _) in bins.Sample(i, 0)) drawn[row]++;
        }
        Assert.Equal(0, drawn[^1]);
        Assert.All(drawn[..^1], count => Assert.InRange(count, 150, 275));      // 4000 / 19 = 210, σ = 14
    }

    [Theory, MemberData(nameof(Batches))]
    public void PartnersMatchAllPairs(int batch, bool negative)
    {
        var problem = new SparseProblem(600, negative);
        var partners = Coactivation.Of(problem.Collect(batch).Codes, N, 4);
        HashSet<int>[] rows = [.. Enumerable.Range(0, N)
            .Select(i => problem.Firings(i).Select(f => f.Row).ToHashSet())];
        for (var i = 0; i < N; i++)
        {
            var best = Enumerable.Range(0, N).Where(j => j != i && rows[i].Overlaps(rows[j]))
                .Select(j =>
                    (Latent: j, Joint: rows[i].Intersect(rows[j]).Count(), Either: rows[i].Union(rows[j]).Count()))
                .OrderByDescending(p => (float)((double)p.Joint / p.Either)).ThenBy(p => p.Latent).Take(4).ToArray();
            Assert.Equal(best.Select(p => p.Latent), partners.Latents(i).ToArray());
            Assert.Equal(best.Select(p => p.Joint), partners.Joint(i).ToArray());
            Assert.Equal(best.Select(p => (float)((double)p.Joint / p.Either)), partners.Scores(i).ToArray());
        }
    }

    [Fact]
    public void CodesBeyondTheBudgetAreARandomSampleForAnyBatches()
    {
        var problem = new SparseProblem(600);
        var entries = problem.Collect(600).Codes.Entries;
        var stores = new[] { 1, 7, 600 }
            .Select(batch => problem.Collect(batch, codeBytes: RowCodes.BytesAnEntry * (entries / 5)).Codes).ToArray();
        Assert.All(stores, store => Assert.InRange(store.Entries, entries / 20, entries / 5));
        Assert.All(stores, store => Assert.False(store.IsComplete));
        Assert.All(stores,
            store =>
                Assert.Equal(Enumerable.Range(0, stores[0].Count).Select(stores[0].Row),
                    Enumerable.Range(0, store.Count).Select(store.Row)));
        for (var place = 0; place < stores[0].Count; place++)
            for (var i = 0; i < N; i++)
                Assert.Equal(problem.Firings(i).FirstOrDefault(f => f.Row == stores[0].Row(place)).Value,
                    stores[0].Value(stores[0].Row(place), i));
        var dropped = Enumerable.Range(0, 600).Except(Enumerable.Range(0, stores[0].Count).Select(stores[0].Row))
            .First();
        Assert.Equal(0, stores[0].Value(dropped, 1));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(47)]
    [InlineData(203)]
    public void SimilarLatentsMatchAllPairs(int n)
    {
        const int d = 21;
        using var decoder = new Matrix(n, d);
        var random = new Random(n);
        for (var i = 0; i < n; i++)
            // twins, and one latent without a direction
            for (var c = 0; c < d; c++)
                decoder[i][c] = i % 10 == 9 ? decoder[i - 1][c] * 3 : i == 4 ? 0 : random.NextSingle() - 0.5f;
        bool Included(int i) => i % 7 != 6;
        var found = SimilarLatents.Of(decoder, Included, 5);
        for (var i = 0; i < n; i++)
        {
            var best = !Included(i) || i == 4 ? []
                : Enumerable.Range(0, n).Where(j => j != i && j != 4 && Included(j))
                    .Select(j => Cosine(decoder[i], decoder[j])).OrderDescending().Take(5).ToArray();
            Assert.Equal(best.Length, found.Latents(i).ToArray().Distinct().Count());
            for (var m = 0; m < best.Length; m++)
            {
                Assert.Equal(best[m], found.Scores(i)[m], 1e-6);
                Assert.Equal(Cosine(decoder[i], decoder[found.Latents(i)[m]]), found.Scores(i)[m], 1e-6);
            }
        }
    }

    static double Cosine(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        double dot = 0, aa = 0, bb = 0;
        for (var i = 0; i < a.Length; i++)
            (dot, aa, bb) = (dot + (double)a[i] * b[i], aa + (double)a[i] * a[i], bb + (double)b[i] * b[i]);
        return dot / Math.Sqrt(aa * bb);
    }
}
