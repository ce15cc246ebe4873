using System.Runtime.InteropServices;
using CudaSae.Backends.Kernels;
using CudaSae.Lab.Verification;
using CudaSae.Numerics;
using static CudaSae.Tests.ScreenProblem;

namespace CudaSae.Tests;

/// <summary>8-bit screening: the code and everything after it equal those without screening. Without the bound's
/// margin, the dither loses entries. The audit counts them, and they show whether the 8-bit shadow is the same when it
/// was made at another time.</summary>
[Collection("emulator")]
[Trait("speed", "slow")]
public class ScreenTests
{
    // A capacity of 64 leaves 128 columns to encode and screens the rest.
    [Theory]
    [InlineData(Shape.Random, 5, 64, 512, 4)]
    [InlineData(Shape.Random, 37, 100, 333, 5)]                 // no size is a multiple of a tile
    [InlineData(Shape.Random, 130, 64, 140, 3)]                 // two tiles of rows
    [InlineData(Shape.Random, 9, 64, 512, 1)]                   // k = 1
    [InlineData(Shape.Random, 4, 64, 512, 32)]                  // k is half of the capacity
    [InlineData(Shape.Gaussian, 12, 128, 512, 8)]
    [InlineData(Shape.AllEqual, 9, 64, 512, 8)]                 // zeros in w: the bound is the bias alone
    [InlineData(Shape.Ascending, 9, 64, 512, 8)]                // every column is a candidate: all rows overflow
    [InlineData(Shape.NanAndInfinity, 9, 64, 512, 8)]
    [InlineData(Shape.TwoNumbers, 9, 64, 512, 8)]
    [InlineData(Shape.SignedZeros, 9, 64, 512, 8)]
    [InlineData(Shape.HugeRow, 9, 64, 512, 8)]                  // and a row of NaN
    public void CodeEqualsThatOfEncodeBitForBit(Shape shape, int rows, int width, int latents, int active)
    {
        var problem = EncodeProblem.Make(shape, rows, width, latents, active);
        foreach (var place in problem.Places(2))
            Equal(problem.Run(64, place == EncodeProblem.Gpu ? place : 1),
                (problem with { Screened = true }).Run(64, place));
    }

    // One dimension is a thousand times the others, and the scales distribute it over the two operands. One row is
    // zero.
    [Fact]
    public void MassiveDimensionsAndZeroRowsChangeNothing()
    {
        var problem = EncodeProblem.Make(Shape.Gaussian, rows: 11, width: 64, latents: 512, active: 8);
        for (var b = 0; b < problem.Rows; b++) problem.X[b * 64 + 17] = b % 2 == 0 ? 1024 : -896;
        Array.Clear(problem.X, 3 * 64, 64);
        foreach (var place in problem.Places(2))
            Equal(problem.Run(64, place == EncodeProblem.Gpu ? place : 1),
                (problem with { Screened = true }).Run(64, place));
    }

    static void Equal(EncodeResult exact, EncodeResult screened)
    {
        Assert.Equal(exact.Index, screened.Index);
        Assert.Equal(exact.Value.Select(BitConverter.SingleToInt32Bits),
            screened.Value.Select(BitConverter.SingleToInt32Bits));
    }

    public static TheoryData<string> Methods => ["topk", "abs", "batch", "annealed", "matryoshka", "lazy"];

    static (SaeSpec Spec, TrainConfig Config) Method(string name) => name switch
    {
        "abs" => (TopK with { Selection = new Selection.AbsTopK(5) }, Screened),
        "batch" => (TopK with { Selection = new Selection.BatchTopK(4) }, Screened),
        "annealed" => (TopK with { Selection = new Selection.TopK(4) { InitialK = 8, AnnealFraction = 1 } }, Screened),
        "matryoshka" => (TopK with { Nested = new Nesting.Prefixes([50, 200]), Aux = null }, Screened),
        "lazy" => (TopK with { Aux = null }, Screened with { Beta1 = 0, Lazy = true }),
        _ => (TopK, Screened),
    };

    /// <summary>Training without screening uses the portable kernels, and with screening Hopper's float products use
    /// mma too. The bits are therefore equal on truncating tensor cores as well.</summary>
    [Theory]
    [MemberData(nameof(Methods))]
    public void TrainingEqualsThatWithoutScreeningBitForBit(string method)
    {
        var (spec, config) = Method(method);
        var exact = Train(spec, config with { Screening = ScreeningKind.None }, 2);
        foreach (var screened in (Trained[])[Train(spec, config, 2, seed: 2),
            Train(spec, config, 2, seed: 3, hopper: true)])
        {
            Assert.True(exact.Weights.AsSpan().SequenceEqual(screened.Weights));
            Assert.Equal((exact.Sums.SquaredError, exact.Sums.Active, exact.Sums.Dead),
                (screened.Sums.SquaredError, screened.Sums.Active, screened.Sums.Dead));
            Assert.Equal((0, 1, 0, 0f),
                (exact.Sums.ScreeningAudits, screened.Sums.ScreeningAudits, screened.Sums.ScreeningMisses,
                    screened.Sums.ScreeningShortfall));
        }
    }

    // Without its margin the screened code lacks entries. The audit counts exactly the entries that the exact code has
    // and the screened code lacks.
    [Fact]
    public void AuditCountsTheMissingEntries()
    {
        var every = Screened with { ScreeningAudit = 1 };
        var (exact, screened) = (Train(TopK, every with { Screening = ScreeningKind.None }, 1, rows: 32),
            Train(TopK, every, 1, margin: -2, rows: 32));
        var (missing, largest) = (0, 0f);
        for (var b = 0; b < 32; b++)
        {
            (int Index, float Value)[] Row(SparseCode code) =>
                [.. Enumerable.Range(b * 5, 5).Select(e => (code.Index[e], code.Value[e]))];
            var (whole, kept) = (Row(exact.Code), Row(screened.Code));
            var lost = whole.ExceptBy(kept.Select(e => e.Index), e => e.Index).ToArray();
            missing += lost.Length;
            if (lost.Length > 0)
                largest = Math.Max(largest,
                    lost.Max(e => e.Value) - kept.ExceptBy(whole.Select(e => e.Index), e => e.Index).Min(e => e.Value));
        }
        Assert.True(missing > 0, "no entry was missed, so the test proves nothing");
        Assert.Equal((1, missing, largest),
            (screened.Sums.ScreeningAudits, screened.Sums.ScreeningMisses, screened.Sums.ScreeningShortfall));
    }

    // With entries lost by the dither, the bits of the shadow matter. All of these lose the same entries: a run that
    // continued on another backend, one that was rolled back, one that makes the whole shadow again in every step
    // (without momentum lazy Adam equals Adam), and one on Hopper.
    [Theory]
    [InlineData("topk")]
    [InlineData("lazy")]
    public void AResumedRunLosesTheEntriesOfTheUninterruptedOne(string method)
    {
        var (spec, config) = Method(method);
        var whole = Train(spec, config, 4, margin: -2);
        Assert.True(whole.Sums.ScreeningMisses > 0, "no entry was missed, so the test proves nothing");
        foreach (var other in (Trained[])[Train(spec, config, 4, margin: -2, seed: 3, moveAfter: 2),
            Train(spec, config, 4, margin: -2, backTo: 2), Train(spec, config with { Lazy = false }, 4, margin: -2),
            Train(spec, config, 4, margin: -2, hopper: true)])
        {
            Assert.True(whole.Weights.AsSpan().SequenceEqual(other.Weights));
            Assert.True(whole.Shadow.AsSpan().SequenceEqual(other.Shadow));
            Assert.Equal((whole.Sums.ScreeningAudits, whole.Sums.ScreeningMisses, whole.Sums.ScreeningShortfall),
                (other.Sums.ScreeningAudits, other.Sums.ScreeningMisses, other.Sums.ScreeningShortfall));
        }
    }

    // The bound requires errors below one step, whose mean is 0 for any number between two steps, and norms that cover
    // the row and its 8-bit form.
    [Fact]
    public void DitheredRowsAreUnbiasedAndTheirNormsCoverThem()
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        var problem = new SmallProblem(TopK, 16, Screened);
        for (var f = 0; f < 300; f++) problem.Parameters.WEnc[f][7] *= 64;
        problem.Parameters.WEnc[5].Clear();
        using var backend = new KernelBackend(Targets.OpenEmulator(), problem.Spec, problem.Config, InputType.Float32,
            ownsDevice: true);
        backend.SetParameters(problem.Parameters);
        MemoryMarshal.AsBytes<float>(problem.Batch()).CopyTo(backend.InputSlot(0));
        new SaeStep(backend).Evaluate(0, problem.Scalars(1));
        backend.ReadSums();
        var (q, rows, scale) =
            (Download(backend.Screen!.Shadow), Download(backend.Screen.ShadowRows), Download(backend.Screen.Scale));

        Assert.Equal((0f, 0f), (rows[5].Step, rows[5].Norm));
        // 8, except for the spread of a batch of 16 and 300 latents, to the power of a quarter
        Assert.InRange(scale[0] / scale[7], 6, 11);
        var (sum, count) = (new double[4], new int[4]);
        for (var f = 0; f < 300; f++)
        {
            double own = 0, kept = 0;
            for (var i = 0; i < 40; i++)
            {
                double v = problem.Parameters.WEnc[f][i] * scale[i], t = rows[f].Step == 0 ? 0 : v / rows[f].Step;
                Assert.True(Math.Abs(q[f * 64 + i] - t) < 1.0001 && Math.Abs((int)q[f * 64 + i]) <= 127);
                (own, kept) = (own + v * v, kept + Math.Pow(q[f * 64 + i] * (double)rows[f].Step, 2));
                var part = (int)(4 * (t - Math.Floor(t)));
                if (t != 0) (sum[part], count[part]) = (sum[part] + q[f * 64 + i] - t, count[part] + 1);
            }
            Assert.InRange(Math.Sqrt(Math.Max(own, kept)), 0, rows[f].Norm);
            Assert.All(Enumerable.Range(40, 24), i => Assert.Equal(0, q[f * 64 + i]));
        }
        for (var part = 0; part < 4; part++)
            Assert.InRange(sum[part] / count[part], -4 * 0.5 / Math.Sqrt(count[part]),
                4 * 0.5 / Math.Sqrt(count[part]));
    }

    [Fact]
    public void ShadowIsInTheMemoryPlan()
    {
        var spec = new SaeSpec { InputWidth = 100, Latents = 5000, Selection = new Selection.TopK(32) };
        long Bytes(TrainConfig config) =>
            KernelBackend.PlanFor(spec, config, InputType.Float32).Parts.Where(p => p.Name == "w_enc, 8-bit shadow")
                .Sum(p => p.Bytes);
        Assert.Equal(0, Bytes(new()));
        Assert.Equal(5000 * 128, Bytes(new() { Screening = ScreeningKind.Int8 }));
    }

    [Fact]
    public void UnsupportedSpecsAreRefusedAndTheCpuIgnoresScreening()
    {
        var config = new TrainConfig { Screening = ScreeningKind.Int8, BatchRows = 4, Vectors = 40 };
        foreach (Selection selection in (Selection[])[new Selection.Relu(), new Selection.JumpRelu(),
            new Selection.Gated(), new Selection.GroupMax(4)])
        {
            var spec = TopK with
            {
                Selection = selection,
                Aux = null,
                Penalty = selection is Selection.GroupMax ? null : new SparsityPenalty.L1 { Coefficient = 1 }
            };
            Assert.Contains("8-bit screening",
                Assert.Throws<SaeException>(() => BackendFactory.Create(BackendKind.Cpu, spec, config,
                    InputType.Float32, static (_, _) => { }, out _)).Message);
        }
        Assert.Contains("ScreeningAudit",
            Assert.Throws<SaeException>(() => (config with { ScreeningAudit = -1 }).Validate()).Message);
        BackendFactory.Create(BackendKind.Cpu, TopK, config, InputType.Float32, static (_, _) => { },
            out var why).Dispose();
        Assert.Contains("the CPU encodes exactly", why);
    }

    [Fact]
    public void ScreensFifteenSixteenthsInDoublingChunks()
    {
        Assert.Equal([1024, 8192, 65536, 131072, 262144, 524288, 1048576],
            ScreenPhase.ChunkEnds(1 << 20, 64, 2048).Ends);
        Assert.Equal(65536, ScreenPhase.ChunkEnds(1 << 20, 64, 2048).Exact);
        Assert.Equal([100], ScreenPhase.ChunkEnds(100, 32, 128).Ends);
        foreach (var columns in new[] { 1, 129, 2048, 2049, 24576, 1 << 26 })
            foreach (var active in new[] { 1, 32, 512 })
            {
                if (columns < active) continue;
                var (ends, exact) =
                    ScreenPhase.ChunkEnds(columns, active, (int)Math.Min(2048, (columns + 127L) / 128 * 128));
                Assert.Equal(columns, ends[^1]);
                Assert.True(ends[0] >= Math.Min(columns, 2 * active) || ends[0] == columns);
                Assert.Contains(exact, ends);
                Assert.All(ends.Zip(ends.Skip(1)), pair => Assert.True(pair.Second > pair.First));
            }
    }
}
