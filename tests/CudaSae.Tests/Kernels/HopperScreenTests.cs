using CudaSae.Backends.Kernels;

namespace CudaSae.Tests;

/// <summary>8-bit screening by Hopper's kernel. Its sums are exact and its bound equals the portable kernel's, so that
/// the same columns survive. With screening all float products use mma, on Hopper too. Therefore the code has the
/// portable kernels' bits in every place: on the emulator, on truncating tensor cores and on a GPU. ScreenTests covers
/// whole steps.</summary>
[Collection("emulator")]
[Trait("speed", "slow")]
public class HopperScreenTests
{
    // TMA loads 128 numbers of a row at a time. All rows have one limit, which some columns exceed; most columns are
    // ruled out 16 at a time.
    [Theory]
    [InlineData(Shape.Gaussian, 37, 100, 333, 64, 333, 15, 1)]      // no size is a multiple of a tile
    [InlineData(Shape.Gaussian, 9, 64, 512, 0, 512, 12, 1)]         // half a line
    // one and a half lines; two blocks share the weights
    [InlineData(Shape.Gaussian, 131, 192, 300, 100, 300, 20, 1)]
    [InlineData(Shape.Gaussian, 131, 64, 1300, 20, 1300, 12, 1)]    // more tiles than blocks
    // more lines than stages: the ring wraps, and warpgroups follow each other
    [InlineData(Shape.Gaussian, 9, 640, 600, 128, 600, 40, 1)]
    [InlineData(Shape.Gaussian, 9, 64, 256, 0, 129, 9, 1)]          // the tile ends within 64 columns
    // a margin below zero, with which the bound falls where constants rise
    [InlineData(Shape.Gaussian, 9, 128, 256, 0, 256, -12, -20)]
    [InlineData(Shape.Random, 9, 64, 512, 0, 512, 6, 1)]            // many columns, and a row whose products overflow
    [InlineData(Shape.HugeRow, 9, 64, 512, 0, 512, 12, 1)]          // and a row of NaN
    [InlineData(Shape.NanAndInfinity, 9, 64, 512, 0, 512, 12, 1)]
    [InlineData(Shape.Ascending, 9, 64, 700, 0, 700, 240, 1)]       // columns of zeros: the bound is the bias alone
    // and below zero, where only the bias's size can reach the limit
    [InlineData(Shape.Ascending, 9, 64, 400, 0, 400, 90, 1)]
    public void TheSameColumnsSurvive(Shape shape, int rows, int width, int latents, int begin, int end, float limit,
        float margin)
    {
        foreach (var byMagnitude in new[] { false, true })
        {
            var problem = EncodeProblem.Make(shape, rows, width, latents, 4) with { ByMagnitude = byMagnitude };
            Bend(problem, shape, margin);
            foreach (var place in (problem with { Hopper = true }).Places(byMagnitude ? 7 : 0))
                AssertSame(problem, begin, limit, place, end: end, margin: margin);
        }
    }

    /// <summary>Compares the survivors of columns [begin, end) from both kernels, and requires that some columns
    /// survive and some do not.</summary>
    /// <param name="limit">Limit of most rows; some rows have no limit, and the limit of others excludes every
    /// column.</param>
    /// <param name="library">The emulator for Hopper's kernel, where it is not the default one.</param>
    internal static void AssertSame(EncodeProblem problem, int begin, float limit, int seed, string? library = null,
        int? end = null, float margin = 1)
    {
        problem = problem with { Screened = true };
        var last = end ?? problem.Latents;
        var limits = Enumerable.Range(0, problem.Rows)
            .Select(b => b % 8 == 5 ? uint.MaxValue : b % 8 == 6 ? 1u : OrderKey(limit)).ToArray();
        var portable = problem.Survivors(seed, begin, last, limits, margin);
        var some = portable.Where((_, b) => b % 8 < 5).ToArray();
        Assert.InRange(some.Sum(row => row.Length), 1, some.Length * (last - begin) - 1);
        Assert.Equal(portable,
            (problem with { Hopper = true, Library = library }).Survivors(seed, begin, last, limits, margin));
    }

    static void Bend(EncodeProblem p, Shape shape, float margin)
    {
        var d = p.Width;
        for (var f = 0; f < p.Latents; f++)
        {
            var w = p.W.AsSpan(f * d, d);
            // in every third group of 64 columns, the largest norm is far above the others
            var factor = shape == Shape.Random && f % 5 == 0 ? 4096 : f % 7 == 0 && f / 64 % 3 == 0 ? 8 : 1;
            for (var i = 0; i < d; i++) w[i] *= factor;
            if (margin >= 0) continue;
            w[0] = 4;       // the same step for all columns, and two kinds of norms
            if (f % 2 == 0) w[4..].Clear();
        }
        if (shape == Shape.Random) Array.Fill(p.X, MathF.ScaleB(1, 127), 5 * d, d); // infinities of both signs meet
    }

    static uint OrderKey(float value)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);
        return value < 0 ? ~bits : bits | 0x80000000u;
    }

    // A capacity of 64 leaves 128 columns to encode and screens the rest.
    [Theory]
    [InlineData(Shape.Random, 37, 100, 333, 5)]
    [InlineData(Shape.Random, 130, 64, 140, 3)]
    [InlineData(Shape.Random, 4, 64, 512, 32)]                  // k is half of the capacity
    [InlineData(Shape.Gaussian, 12, 192, 512, 8)]
    [InlineData(Shape.AllEqual, 9, 64, 512, 8)]
    [InlineData(Shape.Ascending, 9, 64, 512, 8)]                // every column is a candidate: all rows overflow
    [InlineData(Shape.NanAndInfinity, 9, 64, 512, 8)]
    [InlineData(Shape.TwoNumbers, 9, 64, 512, 8)]
    [InlineData(Shape.SignedZeros, 9, 64, 512, 8)]
    [InlineData(Shape.HugeRow, 9, 64, 512, 8)]
    public void CodeEqualsThatOfThePortableKernelsBitForBit(Shape shape, int rows, int width, int latents, int active)
    {
        var problem = EncodeProblem.Make(shape, rows, width, latents, active);
        var hopper = problem with { Screened = true, Hopper = true };
        foreach (var place in hopper.Places(4))
        {
            Same(problem.Run(64, place), hopper.Run(64, place));
            var bySize = problem with { Screened = true, ByMagnitude = true, Relu = false };
            Same(bySize.Run(64, place), (bySize with { Hopper = true }).Run(64, place));
        }
    }

    [Theory]
    [InlineData("clusters")]
    [InlineData("skew, clusters")]
    public void TheCodeIsTheSameWithoutEachFeature(string left)
    {
        var problem = EncodeProblem.Make(Shape.Gaussian, rows: 131, width: 600, latents: 333, active: 3);
        var without = problem with { Screened = true, Hopper = true, Without = LeftOut.Parse(left) };
        foreach (var place in without.Places(8)) Same(problem.Run(64, place), without.Run(64, place));
    }

    static void Same(EncodeResult expected, EncodeResult result)
    {
        Assert.Equal(expected.Index, result.Index);
        Assert.Equal(expected.Value.Select(BitConverter.SingleToInt32Bits),
            result.Value.Select(BitConverter.SingleToInt32Bits));
    }
}
