using CudaSae.Backends.Kernels;

namespace CudaSae.Tests;

/// <summary>Selections other than the k largest, on every target, compared with sorting in double. Operands are small
/// dyadic numbers, so that float32 sums are exact in any order: ties are frequent, and codes must agree entry for
/// entry.</summary>
[Collection("emulator")]
public class SelectTests
{
    static void AssertCode(string target, (int, double)[][] expected, (int, double)[][] code)
    {
        for (var b = 0; b < expected.Length; b++)
            Assert.True(expected[b].SequenceEqual(code[b]),
                $"{target}, row {b}: expected {string.Join(" ", expected[b])}, got {string.Join(" ", code[b])}");
    }

    static SaeSpec Spec(Selection selection, int latents, Nesting? nested = null) =>
        new() { InputWidth = 16, Latents = latents, Selection = selection, Nested = nested };

    static IEnumerable<int> Best(double[] z, int k, Func<double, double> by) =>
        Enumerable.Range(0, z.Length).OrderByDescending(f => by(z[f])).ThenBy(f => z[f] < 0).ThenBy(f => f).Take(k);

    static (int, double)[] Kept(double[] z, IEnumerable<int> latents) =>
        [.. latents.Order().Select(f => (f, z[f])).Where(e => e.Item2 != 0)];

    static (int, double)[] Positive(double[] z, IEnumerable<int> latents) =>
        [.. Kept(z, latents).Where(e => e.Item2 > 0)];

    [Theory]
    [InlineData(150, 30, false)]    // ties of both signs
    [InlineData(300, 7, false)]
    [InlineData(300, 7, true)]
    [InlineData(300, 1, true)]
    [InlineData(64, 64, false)]     // k = n
    public void AbsTopKMatchesSorting(int n, int k, bool distinct)
    {
        using var problem = new SelectProblem(Spec(new Selection.AbsTopK(k), n), rows: 20, distinct: distinct);
        var expected = Enumerable.Range(0, 20).Select(problem.Row).Select(z => Kept(z, Best(z, k, Math.Abs))).ToArray();
        Assert.Contains(expected, row => row.Any(e => e.Item2 < 0));
        foreach (var target in Targets.Names)
        {
            // The CPU's limit excludes every later equal |z| of either sign, once a row's candidates have been cut.
            if (!distinct && n > 3 * k + 64 && target.StartsWith("cpu", StringComparison.Ordinal)) continue;
            using var backend = problem.Start(target, default);
            AssertCode(target, expected, problem.Code(backend));
        }
    }

    [Theory]
    [InlineData(300)]
    [InlineData(80)]
    public void AbsTopKPrefersThePositiveOfEqualMagnitudes(int n)
    {
        const int k = 7;
        using var problem = new SelectProblem(Spec(new Selection.AbsTopK(k), n), rows: 3);
        for (var f = 0; f < n; f++)
        {
            problem.Parameters.WEnc[f].Clear();
            problem.Parameters.BEnc[f] = f < n - 10 ? -1 : 1;       // in the last chunk of columns
        }
        var expected = Enumerable.Range(n - 10, k).Select(f => (f, 1.0)).ToArray();
        foreach (var target in Targets.Names)
        {
            // for the reason in AbsTopKMatchesSorting
            if (n > 3 * k + 64 && target.StartsWith("cpu", StringComparison.Ordinal)) continue;
            using var backend = problem.Start(target, default);
            AssertCode(target, [expected, expected, expected], problem.Code(backend));
        }
    }

    [Theory]
    [InlineData(12)]
    [InlineData(9)]
    [InlineData(4)]
    [InlineData(1)]
    public void AnnealedKMatchesSorting(int now)
    {
        foreach (var (n, bias) in new[] { (300, 0f), (40, -6f) })
        {
            using var problem = new SelectProblem(Spec(new Selection.TopK(4, InitialK: 12), n), rows: 20, bias);
            var expected = Enumerable.Range(0, 20).Select(problem.Row).Select(z => Positive(z, Best(z, now, v => v)))
                .ToArray();
            foreach (var target in Targets.Names)
            {
                using var backend = problem.Start(target, new() { K = (uint)now });
                AssertCode(target, expected, problem.Code(backend));
            }
        }
    }

    // Bias −17: fewer positive values than B k. Bias 40: every candidate is positive, and every row exceeds its
    // capacity.
    [Theory]
    [InlineData(300, 2, 0f)]
    [InlineData(300, 2, -17f)]
    [InlineData(300, 2, 40f)]
    [InlineData(300, 1, 0f)]
    [InlineData(24, 20, 0f)]        // the capacity holds a whole row
    [InlineData(300, 2, -100f)]     // no positive value
    public void BatchTopKMatchesSorting(int n, int k, float bias)
    {
        const int B = 20;
        using var problem = new SelectProblem(Spec(new Selection.BatchTopK(k), n), B, bias);
        var room = problem.Spec.Active;
        var rows = Enumerable.Range(0, B).Select(problem.Row).ToArray();
        var candidates =
            rows.SelectMany((z, b) => Best(z, room, v => v).Where(f => z[f] > 0).Select(f => (Row: b, Latent: f)))
            .ToArray();
        var kept = candidates.OrderByDescending(c => rows[c.Row][c.Latent]).ThenBy(c => c.Row).ThenBy(c => c.Latent)
            .Take(B * k).ToLookup(c => c.Row, c => c.Latent);
        var full = rows.Count(z => room < n && z.Count(v => v > 0) >= room);
        if (bias == -17) Assert.InRange(candidates.Length, 1, B * k - 1);
        foreach (var target in Targets.Names)
        {
            using var backend = problem.Start(target, default);
            AssertCode(target, [.. rows.Select((z, b) => Kept(z, kept[b]))], problem.Code(backend));
            if (target.Contains("64 candidates")) continue;     // there the fallback counts too
            backend.EndStep();
            Assert.Equal((target, full), (target, (int)backend.ReadSums().Overflows));
        }
    }

    [Fact]
    public void BatchTopKBreaksTiesByRow()
    {
        const int B = 8, n = 40, k = 3;
        using var problem = new SelectProblem(Spec(new Selection.BatchTopK(k), n), B);
        for (var f = 0; f < n; f++)
        {
            problem.Parameters.WEnc[f].Clear();
            problem.Parameters.BEnc[f] = 1;
        }
        var room = problem.Spec.Active;     // 24: all 24 kept entries come from one row
        foreach (var target in Targets.Names)
        {
            using var backend = problem.Start(target, default);
            AssertCode(target,
                [.. Enumerable.Range(0, B)
                    .Select(b => b == 0 ? Enumerable.Range(0, room).Select(f => (f, 1.0)).ToArray() : [])],
                problem.Code(backend));
        }
    }

    [Fact]
    public void BatchTopKInfersByItsThreshold()
    {
        const int B = 20, n = 300;
        using var problem = new SelectProblem(Spec(new Selection.BatchTopK(4), n), B);
        var rows = Enumerable.Range(0, B).Select(problem.Row).ToArray();
        var threshold = rows[3].OrderDescending().ElementAt(5);     // a value that occurs and is not kept
        problem.Parameters.BatchThreshold = (float)threshold;
        foreach (var target in Targets.Names)
        {
            using var backend = problem.Start(target, new() { Inference = 1 });
            AssertCode(target,
                [.. rows.Select(z => Kept(z, Best(z, problem.Spec.Active, v => v).Where(f => z[f] > threshold)))],
                problem.Code(backend));
            backend.TrackLatents();
            using var after = new SaeParameters(problem.Spec);
            backend.GetParameters(after);
            Assert.Equal((float)threshold, after.BatchThreshold);
        }
    }

    [Theory]
    [InlineData(0f, 0f)]
    [InlineData(1f, 0f)]
    [InlineData(1f, -100f)]     // no positive value: the threshold stays
    public void BatchTopKMovesItsThreshold(float before, float bias)
    {
        const int B = 20, n = 100, k = 3;
        using var problem = new SelectProblem(Spec(new Selection.BatchTopK(k, ThresholdDecay: 0.75f), n), B, bias);
        problem.Parameters.BatchThreshold = before;
        var room = problem.Spec.Active;
        var smallest = Enumerable.Range(0, B).SelectMany(b => problem.Row(b).OrderDescending().Take(room))
            .OrderDescending().ElementAt(B * k - 1);
        var expected = bias < 0 ? before : before == 0 ? smallest : 0.75 * before + 0.25 * smallest;
        foreach (var target in Targets.Names)
        {
            using var backend = problem.Start(target, default);
            backend.TrackLatents();
            backend.EndStep();
            Assert.Equal((target, (float)expected), (target, backend.ReadSums().Threshold));
            using var after = new SaeParameters(problem.Spec);
            backend.GetParameters(after);
            Assert.Equal((target, (float)expected), (target, after.BatchThreshold));
            Assert.Equal((float)expected, States.Numbers<float>(backend, "batch_threshold")[0]);
        }
    }

    [Theory]
    [InlineData(300, 1)]        // one group, larger than a chunk of the target with few candidates
    [InlineData(300, 2)]
    [InlineData(300, 3)]
    [InlineData(300, 20)]
    [InlineData(300, 150)]
    [InlineData(300, 300)]
    public void GroupMaxMatchesSorting(int n, int k)
    {
        foreach (var bias in new[] { 0f, -12f })        // groups without a positive number
        {
            using var problem = new SelectProblem(Spec(new Selection.GroupMax(k), n), rows: 20, bias);
            var expected = Enumerable.Range(0, 20).Select(problem.Row)
                .Select(z => Positive(z,
                    Enumerable.Range(0, k).Select(g => Enumerable.Range(g * (n / k), n / k)
                        .OrderByDescending(f => z[f]).ThenBy(f => f).First()))).ToArray();
            foreach (var target in Targets.Names)
            {
                using var backend = problem.Start(target, default);
                AssertCode(target, expected, problem.Code(backend));
            }
        }
    }

    [Fact]
    public void GroupMaxBreaksTiesByLatent()
    {
        using var problem = new SelectProblem(Spec(new Selection.GroupMax(2), 300), rows: 3);
        for (var f = 0; f < 300; f++)
        {
            problem.Parameters.WEnc[f].Clear();
            problem.Parameters.BEnc[f] = f % 150 is 17 or 140 ? 2 : float.NaN;
        }
        foreach (var target in Targets.Names)
        {
            using var backend = problem.Start(target, default);
            AssertCode(target, [.. Enumerable.Repeat(((int, double)[])[(17, 2), (167, 2)], 3)], problem.Code(backend));
        }
    }

    [Fact]
    public void BudgetLevelsFollowTheRank()
    {
        var budgets = new Nesting.Budgets([1, 4, 5, 16], [1, 1, 1, 1]);
        foreach (var bias in new[] { 0f, -14f })
        {
            using var problem = new SelectProblem(Spec(new Selection.TopK(8), 120, budgets), rows: 20, bias);
            AssertLevels(problem, default,
                (z, f) => Array.FindIndex(budgets.Ks, k => Best(z, 16, v => v).ToList().IndexOf(f) < k));
        }
    }

    [Fact]
    public void PrefixLevelsFollowTheLatent()
    {
        var prefixes = new StepScalars { PrefixCount = 4 };
        (prefixes.Prefix[0], prefixes.Prefix[1], prefixes.Prefix[2], prefixes.Prefix[3]) = (7, 31, 200, 300);
        var nested = new Nesting.Prefixes([10, 20, 30]);        // the step's widths count, not these
        foreach (var selection in new Selection[] { new Selection.TopK(12), new Selection.BatchTopK(3),
            new Selection.AbsTopK(12), new Selection.GroupMax(12) })
        {
            using var problem = new SelectProblem(Spec(selection, 300, nested), rows: 20);
            AssertLevels(problem, prefixes, (z, f) => f < 7 ? 0 : f < 31 ? 1 : f < 200 ? 2 : 3);
        }
    }

    static void AssertLevels(SelectProblem problem, StepScalars scalars, Func<double[], int, int> level)
    {
        var rows = Enumerable.Range(0, problem.Rows).Select(problem.Row).ToArray();
        var code = new SparseCode(problem.Rows, problem.Spec.Active);
        foreach (var target in Targets.Names)
        {
            using var backend = problem.Start(target, scalars);
            if (backend is not KernelBackend kernels) continue;
            backend.ReadCode(code);
            var levels = kernels.ReadLevels();
            for (var e = 0; e < levels.Length; e++)
                if (code.Value[e] != 0)
                    Assert.Equal((target, e, level(rows[e / problem.Spec.Active], code.Index[e])),
                        (target, e, levels[e]));
        }
    }
}
