using CudaSae.Activations;
using CudaSae.Distributed;
using CudaSae.Numerics;

namespace CudaSae.Feeding;

/// <summary>The training rows that hold NaN or infinity, on every rank. Each rank reads its share of the rows once, in
/// the order of the files.</summary>
sealed class NonFiniteScan
{
    const int PieceBytes = 1 << 20, WordRows = 64;

    readonly ulong[] found;         // one bit for each row

    /// <summary>Reads the rows. All ranks call it, from the thread that trains.</summary>
    /// <param name="rows">Number of training rows, the first of the source.</param>
    /// <param name="readers">Number of threads that read.</param>
    /// <exception cref="SaeException">A row cannot be read.</exception>
    public NonFiniteScan(ActivationSource source, long rows, ICollective ranks, int readers)
    {
        found = new ulong[(rows + WordRows - 1) / WordRows];
        var starts = Enumerable.Range(0, ranks.Size + 1)
            .Select(rank => (long)((Int128)found.Length * rank / ranks.Size)).ToArray();
        var words = Math.Max(1, PieceBytes / ((long)WordRows * source.RowBytes));
        var (first, end) = (starts[ranks.Rank], starts[ranks.Rank + 1]);
        RankAgreement.Do(ranks, () => RowReader.ForParts(first, end, words, readers,
            (from, to) => Read(source, rows, from, to)));
        ranks.AllGather(found.AsSpan(), starts);
    }

    /// <summary>Returns whether a row holds NaN or infinity.</summary>
    public bool Has(long row) => (found[row / WordRows] >> (int)(row % WordRows) & 1) != 0;

    /// <summary>Reads the rows of some words of <see cref="found"/>.</summary>
    void Read(ActivationSource source, long rows, long word, long end)
    {
        var first = word * WordRows;
        var bytes = new byte[(Math.Min(rows, end * WordRows) - first) * source.RowBytes];
        source.ReadRows(first, bytes);
        if (Finite.All(bytes, source.Type)) return;
        for (var i = 0; i * source.RowBytes < bytes.Length; i++)
            if (!Finite.All(bytes.AsSpan(i * source.RowBytes, source.RowBytes), source.Type))
                found[word + i / WordRows] |= 1UL << (i % WordRows);
    }
}
