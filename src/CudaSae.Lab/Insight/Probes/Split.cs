using CudaSae.Numerics;

namespace CudaSae.Lab.Insight.Probes;

/// <summary>Splits rows into selection rows and test rows, in whole blocks of neighbours, so that tokens of one
/// sentence, or positions of one game, are rarely on both sides.</summary>
static class Split
{
    const ulong Stream = 0x5b;

    /// <summary>Draws the selection rows (true) by the seed: half of the blocks, or the larger half if their number is
    /// odd.</summary>
    /// <param name="blockRows">Rows of a block; the last may be shorter.</param>
    /// <exception cref="SaeException">There are fewer than two blocks.</exception>
    public static bool[] Half(int rows, int blockRows, ulong seed)
    {
        if (blockRows < 1) throw new SaeException($"blocks of {blockRows} rows are not possible; choose 1 or more");
        var blocks = (rows + blockRows - 1) / blockRows;
        if (blocks < 2)
            throw new SaeException($"{rows} rows are {blocks} block of {blockRows}, which cannot be halved; give more "
                + "rows, or a smaller --block");
        int[] order = [.. Enumerable.Range(0, blocks)];
        Array.Sort([.. order.Select(b => CounterRandom.Of(seed, Stream, (ulong)b, 0))], order);
        var chooses = new bool[rows];
        foreach (var block in order.AsSpan(0, (blocks + 1) / 2))
            chooses.AsSpan(block * blockRows, Math.Min(blockRows, rows - block * blockRows)).Fill(true);
        return chooses;
    }
}
