using System.Numerics;
using System.Runtime.Intrinsics;

namespace CudaSae.Backends.Cpu;

/// <summary>The k largest of a list of distinct keys.</summary>
static unsafe class Largest
{
    /// <summary>Moves the k largest keys to the front, in their order. Returns the least of them.</summary>
    /// <param name="keys">[count] distinct keys.</param>
    /// <param name="scratch">Room for count keys and one vector.</param>
    public static ulong Keep(ulong* keys, int count, int k, ulong* scratch)
    {
        if (count <= k) return Least(keys, count);
        if (!TryBound(keys, count, k, (uint*)scratch, out var bound))
        {
            new ReadOnlySpan<ulong>(keys, count).CopyTo(new(scratch, count));
            bound = Quickselect(scratch, count, count - k);
        }
        var kept = 0;
        for (var i = 0; i < count; i++)
        {
            var key = keys[i];
            keys[kept] = key;
            kept += key >= bound ? 1 : 0;
        }
        return Least(keys, kept);
    }

    static ulong Least(ulong* keys, int count)
    {
        var least = ulong.MaxValue;
        for (var i = 0; i < count; i++) least = Math.Min(least, keys[i]);
        return least;
    }

    /// <summary>Finds the bound that exactly k keys reach by halving the range of their upper halves; counting all keys
    /// takes a few vectors. Returns false where the k-th and the next key have equal upper halves.</summary>
    static bool TryBound(ulong* keys, int count, int k, uint* upper, out ulong bound)
    {
        uint low = uint.MaxValue, high = 0;
        for (var i = 0; i < count; i++)
        {
            upper[i] = (uint)(keys[i] >> 32);
            (low, high) = (Math.Min(low, upper[i]), Math.Max(high, upper[i]));
        }
        var padded = (count + 15) & ~15;
        for (var i = count; i < padded; i++) upper[i] = 0;      // reaches no bound above 0
        while (low < high)
        {
            var middle = high - (high - low) / 2;
            var limit = Vector512.Create(middle);
            var reach = 0;
            for (var i = 0; i < padded; i += 16)
                reach += BitOperations.PopCount(Vector512.GreaterThanOrEqual(Vector512.Load(upper + i), limit)
                    .ExtractMostSignificantBits());
            if (reach == k)
            {
                bound = (ulong)middle << 32;
                return true;
            }
            if (reach > k) low = middle;
            else high = middle - 1;
        }
        bound = 0;
        return false;
    }

    /// <summary>The key at <paramref name="rank"/> in ascending order (Hoare 1961, median of three). It reorders
    /// the keys.</summary>
    public static ulong Quickselect(ulong* v, int count, int rank)
    {
        int low = 0, high = count - 1;
        while (low < high)
        {
            ulong a = v[low], b = v[(low + high) / 2], c = v[high];
            var pivot = Math.Max(Math.Min(a, b), Math.Min(Math.Max(a, b), c));
            int i = low - 1, j = high + 1;
            while (true)
            {
                while (v[++i] < pivot) { }
                while (v[--j] > pivot) { }
                if (i >= j) break;
                (v[i], v[j]) = (v[j], v[i]);
            }
            if (rank <= j) high = j;
            else low = j + 1;
        }
        return v[rank];
    }
}
