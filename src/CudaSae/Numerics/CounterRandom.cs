namespace CudaSae.Numerics;

/// <summary>Random bits as a function of (seed, step, row, column), never of threads: kernels/common.cuh's
/// counter_random.</summary>
static class CounterRandom
{
    public static ulong Of(ulong seed, ulong step, ulong row, ulong column)
    {
        var z = SplitMix.Mix(seed + 0x9e3779b97f4a7c15 * (step + 1));
        z = SplitMix.Mix(z ^ row + 0x9e3779b97f4a7c15);
        return SplitMix.Mix(z + 0x9e3779b97f4a7c15 * (column + 1));
    }

    /// <summary>32 bits for an element of a row, from a key drawn for the row: two multiplications (Wellons 2018,
    /// lowbias32).</summary>
    public static uint Of(uint key, uint column)
    {
        var x = key + column * 0x9e3779b9;
        x = (x ^ x >> 16) * 0x7feb352d;
        x = (x ^ x >> 15) * 0x846ca68b;
        return x ^ x >> 16;
    }

    /// <summary>Uniform in [0, 1).</summary>
    public static double Uniform(ulong seed, ulong step, ulong row, ulong column) =>
        (Of(seed, step, row, column) >> 11) * (1.0 / (1UL << 53));
}
