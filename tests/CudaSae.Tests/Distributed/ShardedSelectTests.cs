using System.Runtime.InteropServices;

namespace CudaSae.Tests;

/// <summary>The selections of the kernels over the latents of several ranks, compared with sorting in double. Operands
/// are small dyadic numbers, so that float32 sums are exact in any order: ties are frequent, and codes must agree entry
/// for entry.</summary>
[Collection("emulator")]
public class ShardedSelectTests
{
    static SaeSpec Spec(Selection selection, int latents) =>
        new() { InputWidth = 16, Latents = latents, Selection = selection };

    /// <summary>Requires that all ranks read the same code, and that it is the expected one.</summary>
    static void RequireCode(SelectProblem problem, int ranks, Func<double[], (int, double)[]> expected)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        foreach (var code in EmulatorRanks.Run(ranks, (8, 0), 3, rank => Code(problem, rank)))
            for (var b = 0; b < problem.Rows; b++)
                Assert.Equal(expected(problem.Row(b)), code[b]);
    }

    static (int, double)[][] Code(SelectProblem problem, EmulatedRank rank)
    {
        var config = new TrainConfig { BatchRows = problem.Rows, Vectors = 100L * problem.Rows };
        using var backend = EmulatedBackends.Create(rank, problem.Spec, config);
        using var own = OwnLatents.Rows(problem.Parameters, backend.Shard!);
        backend.SetParameters(own);
        MemoryMarshal.AsBytes<float>(problem.Batch).CopyTo(backend.InputSlot(0));
        StepScalars scalars = new()
        {
            Step = 1, InputScale = 1, TargetScale = 1, LossScale = 1, Correction1 = 1, Correction2 = 1,
            DeadAfterSteps = 100,
        };
        backend.BeginStep(0, scalars);
        backend.Prepare();
        backend.EncodeSelect();
        var code = new SparseCode(problem.Rows, problem.Spec.Active);
        backend.ReadCode(code);
        return [.. Enumerable.Range(0, problem.Rows).Select(b => Enumerable.Range(b * code.Active, code.Active)
            .Where(e => code.Value[e] != 0).Select(e => (code.Index[e], (double)code.Value[e])).ToArray())];
    }

    static (int, double)[] Kept(double[] z, int k, Func<double, double> by) =>
        [.. Enumerable.Range(0, z.Length).OrderByDescending(f => by(z[f])).ThenBy(f => z[f] < 0).ThenBy(f => f).Take(k)
            .Order().Select(f => (f, z[f])).Where(e => e.Item2 != 0)];

    [Theory]
    [InlineData(300, 7, 2)]
    [InlineData(300, 7, 4)]
    [InlineData(200, 30, 3)]
    [InlineData(64, 40, 4)]         // more entries of a row than a rank has latents
    [InlineData(130, 33, 8)]
    public void TopKMatchesSorting(int latents, int k, int ranks)
    {
        using var problem = new SelectProblem(Spec(new Selection.TopK(k), latents), rows: 21);
        RequireCode(problem, ranks, z => [.. Kept(z, k, v => v).Where(e => e.Item2 > 0)]);
    }

    [Theory]
    [InlineData(150, 30, 2)]        // ties of both signs
    [InlineData(300, 7, 3)]
    public void AbsTopKMatchesSorting(int latents, int k, int ranks)
    {
        using var problem = new SelectProblem(Spec(new Selection.AbsTopK(k), latents), rows: 20);
        RequireCode(problem, ranks, z => Kept(z, k, Math.Abs));
    }

    [Fact]
    public void EqualPreActivationsGoToTheLowestLatentsOfAllRanks()
    {
        using var problem = new SelectProblem(Spec(new Selection.TopK(40), 96), rows: 5);
        for (var f = 0; f < 96; f++)
        {
            problem.Parameters.WEnc[f].Clear();
            problem.Parameters.BEnc[f] = f == 90 ? 2 : 1;
        }
        RequireCode(problem, 3, z => [.. Enumerable.Range(0, 39).Append(90).Select(f => (f, z[f]))]);
    }

    [Fact]
    public void ABatchMayHaveFewerRowsThanRanks()
    {
        using var problem = new SelectProblem(Spec(new Selection.TopK(6), 128), rows: 3);
        RequireCode(problem, 8, z => [.. Kept(z, 6, v => v).Where(e => e.Item2 > 0)]);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(4)]
    public void BatchTopKKeepsTheLargestOfTheBatchAndOfEqualOnesTheFirst(int ranks)
    {
        const int k = 5, rows = 20;
        using var problem = new SelectProblem(Spec(new Selection.BatchTopK(k), 160), rows);
        var kept = Enumerable.Range(0, rows).SelectMany(b => problem.Row(b).Select((z, f) => (b, f, z)))
            .Where(e => e.z > 0).OrderByDescending(e => e.z).ThenBy(e => e.b).ThenBy(e => e.f).Take(k * rows)
            .ToLookup(e => e.b);
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        foreach (var code in EmulatorRanks.Run(ranks, (9, 0), 1, rank => Code(problem, rank)))
            for (var row = 0; row < rows; row++)
                Assert.Equal(kept[row].OrderBy(e => e.f).Select(e => (e.f, e.z)), code[row]);
    }

    /// <summary>All pre-activations are equal, so the batch keeps whole rows, and the first latents of the last
    /// one.</summary>
    [Fact]
    public void EqualEntriesOfTheBatchAreKeptByRowThenByLatent()
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        const int k = 5, rows = 7, latents = 96;
        using var problem = new SelectProblem(Spec(new Selection.BatchTopK(k), latents), rows);
        for (var f = 0; f < latents; f++)
        {
            problem.Parameters.WEnc[f].Clear();
            problem.Parameters.BEnc[f] = 1;
        }
        var (room, left) = (problem.Spec.Active, k * rows);
        Assert.True(room > latents / 3, "the entries of a row lie on one rank, so the test proves nothing");
        var expected = Enumerable.Range(0, rows).Select(b =>
        {
            var kept = Math.Min(room, left);
            left -= kept;
            return Enumerable.Range(0, kept).Select(f => (f, 1.0)).ToArray();
        }).ToArray();
        foreach (var code in EmulatorRanks.Run(3, (8, 0), 1, rank => Code(problem, rank)))
            Assert.Equal(expected, code);
    }
}
