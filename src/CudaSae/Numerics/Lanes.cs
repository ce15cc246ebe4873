using System.Runtime.Intrinsics;

namespace CudaSae.Numerics;

/// <summary>The k largest of sixteen rows of a batch at once, a row a lane: the bound that k numbers reach is found by
/// halving ranges of float32 numbers. Numbers lie as [count, 48], at the first of
/// sixteen columns; NaN is less than all.</summary>
static unsafe class Lanes
{
    const int Pitch = Gemm.TileColumns;
    // by value; what is left after them, of numbers of very different size, by bits, which takes at most 32
    const int EvenHalvings = 16;

    /// <summary>Of each lane a bound that k to k + slack numbers reach; where equal ones make that impossible, the k-th
    /// largest; <paramref name="low"/> where no more than k reach even that.</summary>
    /// <param name="low">The least number that counts.</param>
    /// <param name="reached">How many numbers reach the bound.</param>
    public static Vector512<float> Bound(float* values, int count, int k, int slack, float low,
        out Vector512<int> reached)
    {
        Vector512<int> least =
            Vector512.Create(k), most = Vector512.Create(k + slack), bottom = Ordered(Vector512.Create(low));
        var top = Vector512.Max(bottom, Ordered(Largest(values, count)));
        reached = Reaching(values, count, Number(bottom));
        top = Vector512.ConditionalSelect(Vector512.LessThanOrEqual(reached, most), bottom, top);
        for (var round = 0; Vector512.LessThanAny(bottom, top); round++)
        {
            var middle = round < EvenHalvings ? MiddleValue(bottom, top)
                : top - ((top - bottom).AsUInt32() >>> 1).AsInt32();
            var reach = Reaching(values, count, Number(middle));
            var (open, enough) = (Vector512.LessThan(bottom, top), Vector512.GreaterThanOrEqual(reach, least));
            bottom = Vector512.ConditionalSelect(open & enough, middle, bottom);
            reached = Vector512.ConditionalSelect(open & enough, reach, reached);
            top = Vector512.ConditionalSelect(open & ~enough, middle - Vector512<int>.One, top);
            top = Vector512.ConditionalSelect(Vector512.LessThanOrEqual(reached, most), bottom, top);
        }
        return Number(bottom);
    }

    /// <summary>Half way between two numbers, above the lower and not above the higher. Infinities give an end of the
    /// range.</summary>
    static Vector512<int> MiddleValue(Vector512<int> bottom, Vector512<int> top)
    {
        var half = Ordered(Number(bottom) * 0.5f + Number(top) * 0.5f);
        return Vector512.Min(top, Vector512.Max(bottom + Vector512<int>.One, half));
    }

    /// <summary>Numbers of each lane that are at least its bound.</summary>
    static Vector512<int> Reaching(float* values, int count, Vector512<float> bound)
    {
        Vector512<int> even = Vector512<int>.Zero, odd = even;
        var i = 0;
        for (; i + 2 <= count; i += 2, values += 2 * Pitch)
        {
            even -= Vector512.GreaterThanOrEqual(Vector512.Load(values), bound).AsInt32();
            odd -= Vector512.GreaterThanOrEqual(Vector512.Load(values + Pitch), bound).AsInt32();
        }
        if (i < count) even -= Vector512.GreaterThanOrEqual(Vector512.Load(values), bound).AsInt32();
        return even + odd;
    }

    /// <summary>Numbers of each lane that exceed its bound.</summary>
    public static Vector512<int> Exceeding(float* values, int count, Vector512<float> bound)
    {
        var sum = Vector512<int>.Zero;
        for (var i = 0; i < count; i++, values += Pitch)
            sum -= Vector512.GreaterThan(Vector512.Load(values), bound).AsInt32();
        return sum;
    }

    static Vector512<float> Largest(float* values, int count)
    {
        var largest = Vector512.Create(float.NegativeInfinity);
        for (var i = 0; i < count; i++, values += Pitch)
        {
            var value = Vector512.Load(values);
            largest = Vector512.ConditionalSelect(Vector512.GreaterThan(value, largest), value, largest);
        }
        return largest;
    }

    /// <summary>Integers in the order of the numbers, and back.</summary>
    static Vector512<int> Ordered(Vector512<float> x) => Flipped(x.AsInt32());

    static Vector512<float> Number(Vector512<int> ordered) => Flipped(ordered).AsSingle();

    // Below zero a larger magnitude is a smaller number.
    static Vector512<int> Flipped(Vector512<int> bits) => bits ^ (bits >> 31 & Vector512.Create(int.MaxValue));
}
