using CudaSae.Numerics;

namespace CudaSae.Activations;

/// <summary>A seeded permutation of 0 … count − 1 that needs no memory: a four-round Feistel network on the next power
/// of four, applied repeatedly until the result is below count (Black and Rogaway 2002). Any row of any shard can
/// follow any other.</summary>
readonly struct RowPermutation : IRowOrder
{
    readonly ulong count, key0, key1, key2, key3;
    readonly int halfBits;

    public RowPermutation(ulong seed, long epoch, long count)
    {
        this.count = (ulong)count;
        halfBits = 1;
        while (halfBits < 31 && 1UL << 2 * halfBits < this.count) halfBits++;
        var state = seed ^ (ulong)epoch * 0x9e3779b97f4a7c15;
        key0 = Next(ref state);
        key1 = Next(ref state);
        key2 = Next(ref state);
        key3 = Next(ref state);
    }

    static ulong Next(ref ulong state) => SplitMix.Mix(state += 0x9e3779b97f4a7c15);

    /// <summary>The row at <paramref name="position"/>.</summary>
    public long this[long position]
    {
        get
        {
            var at = (ulong)position;
            do at = Round(Round(Round(Round(at, key0), key1), key2), key3);
            while (at >= count);
            return (long)at;
        }
    }

    public void Fill(long position, Span<long> rows)
    {
        for (var i = 0; i < rows.Length; i++) rows[i] = this[position + i];
    }

    /// <summary>Returns the position of <paramref name="row"/>.</summary>
    public long PositionOf(long row)
    {
        var at = (ulong)row;
        do at = Back(Back(Back(Back(at, key3), key2), key1), key0);
        while (at >= count);
        return (long)at;
    }

    ulong Round(ulong at, ulong key)
    {
        ulong mask = (1UL << halfBits) - 1, left = at >> halfBits, right = at & mask;
        return right << halfBits | (left ^ SplitMix.Mix(right + key)) & mask;
    }

    ulong Back(ulong at, ulong key)
    {
        ulong mask = (1UL << halfBits) - 1, right = at >> halfBits;
        return (at ^ SplitMix.Mix(right + key)) << halfBits & mask << halfBits | right;
    }
}
