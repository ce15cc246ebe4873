using CudaSae.Backends.Kernels;
using Xunit;

namespace CudaSae.Tests;

/// <summary>The encoder's Hopper kernels against sorting, and bit for bit against the portable ones. On the emulator both add products in the order of K, so
/// that even sums that round must agree.</summary>
[Collection("alone")]
public class HopperTests
{
    // A capacity of 64 gives several chunks of columns, and rows without room, at sizes that the emulator runs quickly.
    [Theory]
    [InlineData(Shape.Random, 5, 40, 200, 7, 2048)]             // one chunk, which is kept whole
    [InlineData(Shape.Random, 37, 100, 333, 5, 64)]             // nothing a multiple of anything
    [InlineData(Shape.Random, 131, 64, 333, 3, 64)]             // two blocks share the weights
    [InlineData(Shape.Random, 9, 384, 600, 4, 64)]              // more steps than stages: the ring turns, warpgroups go one behind the other
    [InlineData(Shape.Random, 9, 64, 512, 1, 64)]
    [InlineData(Shape.AllEqual, 9, 64, 512, 8, 64)]
    [InlineData(Shape.Ascending, 9, 64, 700, 8, 64)]            // every column is a candidate
    [InlineData(Shape.NanAndInfinity, 9, 64, 512, 8, 64)]
    [InlineData(Shape.TwoNumbers, 9, 64, 512, 8, 64)]
    [InlineData(Shape.SignedZeros, 9, 64, 512, 8, 64)]
    [InlineData(Shape.HugeRow, 9, 64, 512, 8, 64)]
    [InlineData(Shape.SomeRowsAscending, 131, 64, 512, 8, 64)]
    [InlineData(Shape.Gaussian, 12, 128, 512, 16, 64)]
    [InlineData(Shape.Gaussian, 130, 64, 800, 4, 128)]
    public void SelectsWhatThePortableKernelsSelect(Shape shape, int rows, int width, int latents, int active, int capacity)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built");
        var problem = EncodeProblem.Make(shape, rows, width, latents, active);
        var portable = problem.Run(capacity, seed: 0);
        foreach (var seed in new[] { 0, 1, 9 })
        {
            var result = (problem with { Hopper = true }).Run(capacity, seed);
            if (shape != Shape.Gaussian) problem.AssertExact(result);
            AssertSame(portable, result);
        }
    }

    static void AssertSame(EncodeResult expected, EncodeResult result)
    {
        Assert.Equal(expected.Index, result.Index);
        Assert.Equal(expected.Value.Select(BitConverter.SingleToInt32Bits), result.Value.Select(BitConverter.SingleToInt32Bits));
    }
}
