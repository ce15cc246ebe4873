using CudaSae.Backends.Kernels;
using CudaSae.Lab.Verification;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>The encoder's Hopper kernels compared with sorting and with the portable kernels. Exact sums, those of
/// dyadic operands, have the portable kernels' bits in every place. Sums that round have them where
/// <see cref="Targets.TensorCoresAgree"/>; elsewhere, on truncating tensor cores and on a GPU, they are within rounding
/// of the exact sums.</summary>
[Collection("emulator")]
[Trait("speed", "slow")]
public class HopperTests
{
    // A capacity of 64 gives several chunks of columns, and overfull rows, at sizes that the emulator runs quickly.
    [Theory]
    [InlineData(Shape.Random, 5, 40, 200, 7, 2048)]             // one chunk, which is kept whole
    [InlineData(Shape.Random, 37, 100, 333, 5, 64)]             // no size is a multiple of a tile
    [InlineData(Shape.Random, 131, 330, 333, 3, 64)]            // two blocks share the weights
    // more steps than stages: the ring wraps, and warpgroups follow each other
    [InlineData(Shape.Random, 9, 384, 600, 4, 64)]
    [InlineData(Shape.Random, 9, 64, 512, 1, 64)]
    [InlineData(Shape.Random, 4, 64, 600, 32, 64)]              // k is half of the capacity: many sweeps
    [InlineData(Shape.Peak, 3, 64, 1200, 32, 64)] // rows that an early sweep drops, and whose best latents are there
    [InlineData(Shape.AllEqual, 9, 64, 512, 8, 64)]
    [InlineData(Shape.Ascending, 9, 64, 700, 8, 64)]            // every column is a candidate
    [InlineData(Shape.NanAndInfinity, 9, 64, 512, 8, 64)]
    [InlineData(Shape.TwoNumbers, 9, 64, 512, 8, 64)]
    [InlineData(Shape.SignedZeros, 9, 64, 512, 8, 64)]
    [InlineData(Shape.HugeRow, 9, 64, 512, 8, 64)]
    [InlineData(Shape.SomeRowsAscending, 131, 64, 512, 8, 64)]
    [InlineData(Shape.Gaussian, 12, 128, 512, 16, 64)]
    [InlineData(Shape.Gaussian, 130, 64, 800, 4, 128)]
    public void SelectionMatchesThePortableKernels(Shape shape, int rows, int width, int latents, int active,
        int capacity)
    {
        var problem = EncodeProblem.Make(shape, rows, width, latents, active);
        var hopper = problem with { Hopper = true };
        var places = hopper.Places(shape is Shape.Random or Shape.Gaussian ? [1, 9] : [4]);
        var portable = Portable(problem, capacity);
        foreach (var place in places)
        {
            var result = hopper.Run(capacity, place);
            if (shape != Shape.Gaussian) problem.AssertExact(result);
            if (shape != Shape.Gaussian || Targets.TensorCoresAgree(place)) AssertSame(portable, result);
            else AssertWithinRounding(problem, result);
        }
    }

    [Fact]
    public void OneSweepSufficesUnlessKIsLarge()
    {
        Assert.Equal([24576], EncodePhase.SweepEnds(24576, 32, 1024, 2048));
        Assert.Equal([1 << 24], EncodePhase.SweepEnds(1 << 24, 64, 1024, 2048));
        foreach (var (columns, active) in new[] { (131072, 512), (131072, 300), (1500, 512), (2049, 1) })
        {
            var ends = EncodePhase.SweepEnds(columns, active, 1024, 2048);
            Assert.Equal(columns, ends[^1]);
            for (var i = 0; i < ends.Length; i++)
            {
                var before = i == 0 ? 1024 : ends[i - 1];
                Assert.True(ends[i] > before && (i == ends.Length - 1 || (ends[i] - 1024) % 256 == 0));
                Assert.True(active * (1 + 1.35 * Math.Log(ends[i] / (double)before)) < 0.8 * 2048,
                    "the expected candidates fit the capacity");
            }
        }
    }

    /// <summary>With the first chunk's limit alone, rows would have k times 4096 / 64 candidates, which is twice their
    /// capacity.</summary>
    [Fact]
    public void LimitsRiseDuringTheSweep()
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built");
        var problem = EncodeProblem.Make(Shape.Gaussian, rows: 6, width: 64, latents: 4096, active: 4);
        var result = (problem with { Hopper = true }).Run(capacity: 128, seed: 0);
        Assert.Equal((0, 0), (result.Repeated, result.Overflows));
        AssertWithinRounding(problem, result);
    }

    /// <summary>The first sweep finds far more candidates than the capacity, and its counts determine the limits of the
    /// second sweep.</summary>
    [Fact]
    public void OverfullRowsAreSweptAgain()
    {
        var problem = EncodeProblem.Make(Shape.Gaussian, rows: 130, width: 64, latents: 1024, active: 12);
        var hopper = problem with { Hopper = true };
        foreach (var place in hopper.Places(2))
        {
            var result = hopper.Run(capacity: 64, place);
            Assert.True(result is { Repeated: > 0, Overflows: 0 },
                $"{result.Repeated} tiles again, {result.Overflows} rows by the exact fallback");
            if (Targets.TensorCoresAgree(place)) AssertSame(problem.Run(capacity: 64, place), result);
            else AssertWithinRounding(problem, result);
        }
    }

    [Theory]
    [InlineData("clusters")]
    [InlineData("skew, clusters")]
    public void TheCodeIsTheSameWithoutEachFeature(string left)
    {
        var problem = EncodeProblem.Make(Shape.Random, rows: 131, width: 330, latents: 333, active: 3);
        var without = problem with { Hopper = true, Without = LeftOut.Parse(left) };
        foreach (var place in without.Places(8)) problem.AssertExact(without.Run(64, place));
    }

    [Fact]
    public void EveryOptionalFeatureHasAName()
    {
        Assert.Equal(new(Programmatic: true, Hopper: true, Clusters: false, Skew: false, Graphs: false),
            LeftOut.Parse("hopper,programmatic"));
        Assert.Equal(default, LeftOut.Parse(""));
        Assert.Contains("CUDASAE_WITHOUT names warps",
            Assert.Throws<SaeException>(() => LeftOut.Parse("skew,warps")).Message);
    }

    /// <summary>All sums are exact, so that the bits are equal in every place.</summary>
    [Theory]
    [InlineData(Shape.Random, 9, 64, 512, 8)]
    [InlineData(Shape.SignedZeros, 9, 64, 512, 8)]
    [InlineData(Shape.NanAndInfinity, 9, 64, 512, 8)]
    [InlineData(Shape.Ascending, 9, 64, 700, 8)]                // from −100 up: large values of both signs
    public void SelectionByMagnitudeMatchesThePortableKernels(Shape shape, int rows, int width, int latents, int active)
    {
        var problem = EncodeProblem.Make(shape, rows, width, latents, active) with { ByMagnitude = true, Relu = false };
        var hopper = problem with { Hopper = true };
        foreach (var place in hopper.Places(3)) AssertSame(Portable(problem, 64), hopper.Run(64, place));
    }

    /// <summary>Whole steps: selections with separate limits, and selections whose candidates other kernels read. The
    /// steps are within rounding of the reference. Where the tensor cores agree, two steps leave the portable kernels'
    /// bits in every weight. Where they do not, no useful bound between the two kernels' weights exists: a latent
    /// within rounding of its threshold fires in one of them alone, and Adam scales a gradient of any size to the
    /// learning rate. There the test compares with the reference, and requires that the weights' bits equal those of
    /// the same kernels under another schedule.</summary>
    [Theory]
    [InlineData("adam", 64)]
    [InlineData("batch top-k", 64)]
    [InlineData("group max", 2048)]
    [InlineData("relu, odd shapes", 2048)]
    [InlineData("jumprelu, target L0, θ itself", 2048)]
    [InlineData("gated, live decoder, L1 by norm", 2048)]
    public void StepsMatchThePortableKernels(string name, int capacity)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built");
        var c = VerifyCase.All.Single(c => c.Name == name);
        foreach (var result in new Verifier((spec, config, type) =>
            Backend(spec, config, type, capacity, portable: false, seed: 5),
            Rounding.BFloat16)
            .Run(c))
            Assert.True(result.Passed, result.ToString());
        var expected = Train(c, capacity, portable: Targets.TensorCoresAgree(place: 6), seed: 0);
        Assert.Equal(expected, Train(c, capacity, portable: false, seed: 6));
    }

    static KernelBackend Backend(SaeSpec spec, TrainConfig config, InputType type, int capacity, bool portable,
        int seed)
    {
        Targets.Emulator.SetSeed((ulong)seed);
        return new(Targets.OpenEmulator((9, 0)), spec, config, type, ownsDevice: true,
            new KernelVariant { EncodeCapacity = capacity, Portable = portable });
    }

    /// <summary>Returns weights and biases after two steps.</summary>
    static float[] Train(VerifyCase c, int capacity, bool portable, int seed)
    {
        var problem = c.Problem();
        using var backend = Backend(problem.Spec, problem.Config, InputType.Float32, capacity, portable, seed);
        backend.Dense = c.Dense;
        backend.SetParameters(problem.Parameters);
        var step = new SaeStep(backend);
        for (uint t = 1; t <= 2; t++)
        {
            var slot = (int)(t & 1);
            SmallProblem.Feed(backend, slot, problem.Batch());
            step.Run(slot, problem.Scalars(t, deadAfterSteps: 1));
        }
        var p = problem.Parameters;
        backend.GetParameters(p);
        return [.. Enumerable.Range(0, p.BEnc.Length).SelectMany(f => p.WEnc[f].ToArray().Concat(p.WDec[f].ToArray())),
            .. p.BEnc, .. p.BDec];
    }

    static EncodeResult Portable(EncodeProblem problem, int capacity) =>
        problem.Run(capacity, Targets.HasEmulator ? 0 : EncodeProblem.Gpu);

    /// <summary>Compares sums that round. In units of 2⁻²³ · (Σ|x||w| + |b|), adding in order is wrong by at most 1/2
    /// for each of d + 1 terms. A truncating instruction truncates each of its terms, 16 products and the previous sum,
    /// to 24 bits below the leading bit of the largest: by at most 1/2. It truncates its result by at most 1. The total
    /// with the bias is d/2 + 3/2 ⌈d/16⌉ + 1, which is at most d + 1 from d = 3 on.</summary>
    static void AssertWithinRounding(EncodeProblem problem, EncodeResult result) =>
        problem.AssertWithin(result, (problem.Width + 1) * Math.Pow(2, -23));

    static void AssertSame(EncodeResult expected, EncodeResult result)
    {
        Assert.Equal(expected.Index, result.Index);
        Assert.Equal(expected.Value.Select(BitConverter.SingleToInt32Bits),
            result.Value.Select(BitConverter.SingleToInt32Bits));
    }
}
