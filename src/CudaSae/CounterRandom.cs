namespace CudaSae;

/// <summary>Random bits as a function of (seed, step, row, column), never of threads: kernels/common.cuh's counter_random.</summary>
static class CounterRandom
{
    public static ulong Of(ulong seed, ulong step, ulong row, ulong column)
    {
        var z = SplitMix.Mix(seed + 0x9e3779b97f4a7c15 * (step + 1));
        z = SplitMix.Mix(z ^ row + 0x9e3779b97f4a7c15);
        return SplitMix.Mix(z + 0x9e3779b97f4a7c15 * (column + 1));
    }

    /// <summary>Uniform in [0, 1).</summary>
    public static double Uniform(ulong seed, ulong step, ulong row, ulong column) => (Of(seed, step, row, column) >> 11) * (1.0 / (1UL << 53));
}
