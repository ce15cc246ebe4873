using CudaSae.Distributed;

namespace CudaSae.Tests;

/// <summary>The ranges of latents that ranks hold.</summary>
public class LatentCutTests
{
    static SaeSpec Spec(Selection selection, int latents) =>
        new() { InputWidth = 16, Latents = latents, Selection = selection };

    static int[] Starts(SaeSpec spec, int ranks)
    {
        var cut = LatentCut.For(spec, ranks);
        return [.. Enumerable.Range(0, ranks + 1).Select(cut.First)];
    }

    [Theory]
    [InlineData(640, 1, new[] { 0, 640 })]
    [InlineData(640, 3, new[] { 0, 210, 420, 640 })]        // 21, 21 and 22 parts of 10 latents
    [InlineData(100, 2, new[] { 0, 50, 100 })]
    [InlineData(40, 3, new[] { 0, 13, 26, 40 })]            // some parts are empty
    public void ARangeHasWholeParts(int latents, int ranks, int[] starts) =>
        Assert.Equal(starts, Starts(Spec(new Selection.TopK(4), latents), ranks));

    [Fact]
    public void EveryLatentHasOneRankAndNoRankIsEmpty()
    {
        for (var latents = 8; latents < 400; latents += 7)
            for (var ranks = 1; ranks <= Math.Min(latents, LatentCut.Parts); ranks++)
            {
                var starts = Starts(Spec(new Selection.TopK(4), latents), ranks);
                Assert.Equal((0, latents), (starts[0], starts[^1]));
                Assert.All(starts.Skip(1).Zip(starts), pair => Assert.True(pair.First > pair.Second));
            }
    }

    [Fact]
    public void GroupMaxKeepsGroupsTogether() =>
        Assert.Equal([0, 96, 192], Starts(Spec(new Selection.GroupMax(8), 192), 2));

    /// <summary>A chunk of the dense path has 16 parts of 32 latents.</summary>
    [Fact]
    public void ThresholdedSelectionsKeepChunksOfTheDensePathTogether() =>
        Assert.Equal([0, 512, 1024, 2048], Starts(Spec(new Selection.Relu(), 2048), 3));

    [Theory]
    [InlineData(1000, 3, "3 ranks.*a rank of Relu holds whole chunks.*start 2 ranks or fewer")]
    [InlineData(300, 2, "2 ranks.*start one process")]
    public void MoreRanksThanChunksAreRefused(int latents, int ranks, string message) => Assert.Matches(message,
        Assert.Throws<SaeException>(() => LatentCut.For(Spec(new Selection.Relu(), latents), ranks)).Message);

    [Theory]
    [InlineData(128, 65)]
    [InlineData(8, 9)]
    public void MoreRanksThanPartsAreRefused(int latents, int ranks) => Assert.Contains("a rank holds whole parts",
        Assert.Throws<SaeException>(() => LatentCut.For(Spec(new Selection.TopK(4), latents), ranks)).Message);

    [Fact]
    public void ARankOfALatentIsTheOneThatHoldsIt()
    {
        var cut = LatentCut.For(Spec(new Selection.TopK(4), 640), 3);
        Assert.Equal([0, 0, 1, 1, 2, 2], new[] { 0, 209, 210, 419, 420, 639 }.Select(cut.RankOf));
    }
}
