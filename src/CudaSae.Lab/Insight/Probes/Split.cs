using CudaSae.Numerics;

namespace CudaSae.Lab.Insight.Probes;

/// <summary>Rows that choose and rows that measure: whole blocks of neighbours, so that tokens of one sentence, or
/// positions of one game, are rarely on both sides.</summary>
static class Split
{
    const ulong Stream = 0x5b;

    /// <summary>Which rows choose (true): half of the blocks, the larger half where their number is odd; drawn by
    /// seed.</summary>
    /// <param name="blockRows">Rows of a block; the last may be shorter.</param>
    /// <exception cref="SaeException">There are fewer than two blocks.</exception>
    public static bool[] Half(int rows, int blockRows, ulong seed)
    {
        if (blockRows < 1) throw new SaeException($"blocks of {blockRows} rows cannot be; choose 1 or more");
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
