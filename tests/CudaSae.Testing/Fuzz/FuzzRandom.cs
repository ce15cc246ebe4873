namespace CudaSae.Testing.Fuzz;

/// <summary>SplitMix64 (Steele, Lea and Flood 2014): the random stream of one input. Parser, seed and number determine
/// it, so that any input can be made again without its predecessors.</summary>
sealed class FuzzRandom
{
    ulong state;

    public FuzzRandom(string parser, long seed, long number)
    {
        state = 0xCBF29CE484222325;
        foreach (var c in parser) state = (state ^ c) * 0x100000001B3;
        state = Bits() ^ (ulong)seed;
        state = Bits() ^ (ulong)number;
    }

    public ulong Bits()
    {
        var z = state += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }

    /// <summary>Returns a number from 0 to below <paramref name="limit"/>; 0 for a limit of 0.</summary>
    public int Next(int limit) => (int)(((UInt128)Bits() * (ulong)limit) >> 64);

    public bool OneIn(int n) => Next(n) == 0;

    public T Of<T>(IReadOnlyList<T> items) => items[Next(items.Count)];
}
