using CudaSae.Numerics;

namespace CudaSae.Lab.Synthetic;

/// <summary>Random numbers that are functions of (seed, stream, row, column): any one can be had alone, in any
/// order.</summary>
readonly struct Counter(ulong seed, ulong stream)
{
    const ulong Golden = 0x9e3779b97f4a7c15;

    readonly ulong key = SplitMix.Mix(SplitMix.Mix(seed + Golden) + (stream + 1) * Golden);

    ulong Bits(long row, long column) =>
        SplitMix.Mix(SplitMix.Mix(key ^ SplitMix.Mix((ulong)row + Golden)) + ((ulong)column + 1) * Golden);

    /// <summary>In [0, 1), on a grid of 2⁻⁵³.</summary>
    public double Uniform(long row, long column) => (Bits(row, column) >> 11) * Unit;

    /// <summary>Mean 0, variance 1 (Box and Muller).</summary>
    public double Normal(long row, long column)
    {
        var bits = Bits(row, column);
        var radius = Math.Sqrt(-2 * Math.Log(((bits >> 11) + 1) * Unit));
        return radius * Math.Cos(2 * Math.PI * ((SplitMix.Mix(bits + Golden) >> 11) * Unit));
    }

    const double Unit = 1.0 / (1UL << 53);
}
