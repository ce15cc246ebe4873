using CudaSae.Numerics;

namespace CudaSae.Bench.Ladder;

/// <summary>What a rung left, held against the double reference of some rows.</summary>
/// <param name="MaxError">Largest difference, in shares of what rounding allows; 1 and more is wrong.</param>
/// <param name="Checksum">Of all bits of the result, whatever order they were written in.</param>
/// <param name="Fault">Empty, or what is wrong beyond rounding.</param>
readonly record struct LadderCheck(double MaxError, ulong Checksum, string Fault)
{
    public bool Passed => MaxError <= 1 && Fault.Length == 0;

    /// <summary>The part of a checksum that an element adds; sums of these do not depend on the order.</summary>
    public static ulong Part(long place, ulong bits) =>
        SplitMix.Mix(SplitMix.Mix((ulong)place + 0x9e3779b97f4a7c15) ^ bits);

    /// <summary>One row of C [n] against the reference: the largest difference in shares of what is allowed.</summary>
    public static double Compare(ReadOnlySpan<float> c, double[] value, double[] allowed)
    {
        double largest = 0;
        for (var f = 0; f < c.Length; f++)
        {
            var share = Math.Abs(c[f] - value[f]) / allowed[f];
            if (!(share <= largest)) largest = double.IsNaN(share) ? double.PositiveInfinity : share;
        }
        return largest;
    }

    /// <summary>One row's candidates (kernels/select.cuh: order_key(value) « 32 | ~column) against the reference: each
    /// column once, none below the limit, none missing.</summary>
    public static double CompareCandidates(int row, ReadOnlySpan<ulong> candidates, double[] value, double[] allowed,
        ref string fault)
    {
        double largest = 0;
        var seen = new HashSet<int>();
        foreach (var key in candidates)
        {
            var column = (int)(~(uint)key & 0x7fffffff);
            if (column >= value.Length || !seen.Add(column))
            {
                fault = $"row {row} has column {column} {(column < value.Length ? "twice" : "that does not exist")}";
                return double.PositiveInfinity;
            }
            var z = ValueOf((uint)(key >> 32));
            if (!(z > LadderProblem.Limit)) fault = $"row {row} kept {z}, the limit is {LadderProblem.Limit}";
            largest = Math.Max(largest, Math.Abs(z - value[column]) / allowed[column]);
        }
        for (var f = 0; f < value.Length; f++)
            if (value[f] > LadderProblem.Limit + allowed[f] && !seen.Contains(f))
                fault = $"row {row} is without column {f}, whose value is {value[f]}";
        return largest;
    }

    /// <summary>kernels/common.cuh's order_key of a positive number is its bits with the highest set.</summary>
    public static uint KeyAbove(float limit) => (BitConverter.SingleToUInt32Bits(limit) | 0x80000000) + 1;

    static float ValueOf(uint key) =>
        BitConverter.UInt32BitsToSingle((key & 0x80000000) != 0 ? key ^ 0x80000000 : ~key);
}
