using CudaSae.Backends.Kernels;

namespace CudaSae.Tests;

/// <summary>The encode phase on kernels compared with sorting all pre-activations. Operands are small dyadic numbers,
/// so that float32 sums are exact in any order and the selection must agree entry for entry.</summary>
[Collection("emulator")]
[Trait("speed", "slow")]
public class EncodeTests
{
    // A capacity of 64 gives several chunks of columns, and overflows, at sizes that the emulator runs quickly.
    [Theory]
    [InlineData(Shape.Random, 5, 40, 200, 7, 2048)]             // one chunk
    [InlineData(Shape.Random, 5, 64, 512, 4, 64)]               // several chunks
    [InlineData(Shape.Random, 37, 100, 333, 5, 64)]             // no size is a multiple of a tile
    [InlineData(Shape.Random, 131, 64, 200, 3, 64)]             // two tiles of rows
    [InlineData(Shape.Random, 9, 64, 512, 1, 64)]               // k = 1
    [InlineData(Shape.Random, 4, 64, 512, 32, 64)]              // k is half of the capacity
    [InlineData(Shape.Random, 9, 64, 100, 100, 2048)]           // k = n
    [InlineData(Shape.Random, 3, 64, 512, 512, 2048)]           // the largest k
    [InlineData(Shape.AllEqual, 9, 64, 512, 8, 64)]
    [InlineData(Shape.AllEqual, 9, 64, 512, 8, 2048)]
    [InlineData(Shape.Ascending, 9, 64, 512, 8, 64)]            // every column is a candidate: all rows overflow
    [InlineData(Shape.Ascending, 2, 64, 1500, 100, 256)]        // the fallback tightens in several parts
    [InlineData(Shape.NanAndInfinity, 9, 64, 512, 8, 64)]
    // fewer than k numbers in a row: the lowest NaN columns complete the selection
    [InlineData(Shape.TwoNumbers, 9, 64, 512, 8, 64)]
    [InlineData(Shape.SignedZeros, 9, 64, 512, 8, 64)]
    [InlineData(Shape.HugeRow, 9, 64, 512, 8, 64)]
    [InlineData(Shape.SomeRowsAscending, 131, 64, 512, 8, 64)]  // overflow in some rows of both tiles
    public void SelectionMatchesSorting(Shape shape, int rows, int width, int latents, int active, int capacity)
    {
        var problem = EncodeProblem.Make(shape, rows, width, latents, active);
        EncodeResult? first = null;
        foreach (var place in problem.Places(1, 2))
        {
            var result = problem.Run(capacity, place);
            problem.AssertExact(result);
            if (shape == Shape.Ascending) Assert.Equal(rows, result.Overflows);
            if (shape == Shape.SomeRowsAscending) Assert.Equal((rows + 4) / 5, result.Overflows);
            if (shape is Shape.AllEqual or Shape.SignedZeros) Assert.Equal(0, result.Overflows);
            first ??= result;
            Assert.Equal(first.Value.Select(BitConverter.SingleToInt32Bits),
                result.Value.Select(BitConverter.SingleToInt32Bits));
        }
    }

    // In the auxiliary loss, columns are slots of a list of latents whose length only the device has.
    [Theory]
    [InlineData(128, 128, 100, 2048, true)]
    [InlineData(128, 90, 100, 2048, false)]     // fewer columns than k
    [InlineData(128, 0, 100, 2048, true)]       // no columns
    [InlineData(512, 512, 8, 64, false)]
    [InlineData(512, 300, 8, 64, true)]
    [InlineData(512, 5, 8, 64, true)]           // fewer than k columns, and empty chunks after them
    public void SelectionAmongListedLatentsMatchesSorting(int columns, int count, int active, int capacity, bool relu)
    {
        var problem = EncodeProblem.Make(Shape.Random, rows: 9, width: 64, latents: 2 * columns, active) with
        {
            Columns = [.. Enumerable.Range(0, columns).Select(slot => (2 * slot + 7) % (2 * columns))],
            Count = count,
            Relu = relu,
        };
        foreach (var place in problem.Places(3)) problem.AssertExact(problem.Run(capacity, place));
    }

    [Theory]
    [InlineData(Shape.Random, 35, 100, 333, 5)]
    [InlineData(Shape.NanAndInfinity, 35, 64, 700, 5)]
    [InlineData(Shape.Ascending, 3, 64, 700, 60)]
    public void TheFloat32ReferenceMatchesSorting(Shape shape, int rows, int width, int latents, int active)
    {
        var problem = EncodeProblem.Make(shape, rows, width, latents, active);
        foreach (var place in problem.Places(4))
            problem.AssertExact(problem.Run(capacity: 128, place, reference: true));
    }

    // bfloat16 operands are exact, so only the d + 1 float32 additions round.
    [Fact]
    public void TheLargestAreKeptWithinRounding()
    {
        var problem = EncodeProblem.Make(Shape.Gaussian, rows: 12, width: 128, latents: 512, active: 16);
        foreach (var place in problem.Places(5))
        {
            problem.AssertWithin(problem.Run(capacity: 64, place), relative: 129 * Math.Pow(2, -23));
            problem.AssertWithin(problem.Run(capacity: 2048, place), relative: 129 * Math.Pow(2, -23));
            problem.AssertWithin(problem.Run(capacity: 256, place, reference: true), relative: 129 * Math.Pow(2, -23));
        }
    }

    [Fact]
    public void ChunksGrowFromTheCapacityToAllColumns()
    {
        foreach (var columns in new[] { 1, 100, 2048, 2049, 2500, 24576, 131072, 1 << 26 })
            foreach (var active in new[] { 1, 32, 64, 500, 512 })
                foreach (var capacity in new[] { 1024, 2048 })
                {
                    if (columns > capacity && 2 * active > capacity) continue;
                    var ends = EncodePhase.ChunkEnds(columns, active, capacity);
                    Assert.Equal(columns, ends[^1]);
                    Assert.True(ends[0] <= capacity && ends[0] >= Math.Min(active, columns),
                        "the first chunk is kept whole and holds k");
                    for (var i = 1; i < ends.Length; i++)
                    {
                        Assert.True(ends[i] > ends[i - 1]);
                        Assert.True(active * (double)ends[i] / ends[i - 1] <= 0.75 * capacity
                            || ends[i] <= 1.3 * ends[i - 1],
                            "the expected candidates fit the capacity");
                    }
                }
        Assert.Equal([1024, 5120, 24576], EncodePhase.ChunkEnds(24576, 32, 2048));
    }

    [Fact]
    public void ACapacityThatKFillsIsRefused() =>
        Assert.Throws<ArgumentOutOfRangeException>(() =>
            EncodeProblem.Make(Shape.Random, 4, 64, 512, 33).Run(capacity: 64, seed: 1));
}
