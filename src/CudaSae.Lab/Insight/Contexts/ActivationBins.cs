using CudaSae.Numerics;

namespace CudaSae.Lab.Insight.Contexts;

/// <summary>Per latent a histogram of |value| and, from each bin, the rows with the smallest random numbers: a uniform
/// sample. In one pass although the range is known
/// only at its end: bins are 2^e wide with 8 · 2^e ≤ max &lt; 16 · 2^e, so that a larger maximum merges neighbours
/// exactly, and what remains depends on no order.
/// n · 16 · (4 + 16 · samples) bytes: 38 MB for n = 65,536 and 2 samples.</summary>
/// <param name="latents">n.</param>
/// <param name="samples">Rows kept a bin.</param>
sealed class ActivationBins(int latents, int samples)
{
    public const int Bins = 16, Buckets = 5;
    const int None = int.MinValue;
    const ulong Seed = 0x6c6174656e7473;

    readonly int[] counts = new int[latents * Bins], row = new int[latents * Bins * samples];
    readonly float[] value = new float[latents * Bins * samples];
    readonly ulong[] key = Filled(new ulong[latents * Bins * samples], ulong.MaxValue); // MaxValue is an empty place
    readonly int[] exponent = Filled(new int[latents], None);

    static T[] Filled<T>(T[] array, T with)
    {
        Array.Fill(array, with);
        return array;
    }

    /// <summary>Counts of bins [b · width, (b + 1) · width).</summary>
    public ReadOnlySpan<int> Counts(int latent) => counts.AsSpan(latent * Bins, Bins);

    /// <summary>Width of a bin; 0 for a latent that never fired.</summary>
    public double Width(int latent) => exponent[latent] == None ? 0 : Math.ScaleB(1, exponent[latent]);

    /// <summary>e, where 8 · 2^e ≤ |value| &lt; 16 · 2^e.</summary>
    public static int ExponentOf(float number) => Math.ILogB((double)number) - 3;

    public void Offer(int latent, int at, float number)
    {
        Widen(latent, ExponentOf(number));
        var bin = (int)Math.ScaleB(Math.Abs((double)number), -exponent[latent]);
        counts[latent * Bins + bin]++;
        Keep(latent * Bins + bin, Random(at, latent), at, number);
    }

    /// <summary>What decides between rows: the smaller one stays.</summary>
    public static ulong Random(int row, int latent) => CounterRandom.Of(Seed, 0, (ulong)row, (ulong)latent);

    void Keep(int bin, ulong random, int at, float number)
    {
        var place = (bin + 1) * samples;
        while (place > bin * samples && random < key[place - 1])
        {
            place--;
            if (place + 1 < (bin + 1) * samples)
                (key[place + 1], row[place + 1], value[place + 1]) = (key[place], row[place], value[place]);
        }
        if (place < (bin + 1) * samples) (key[place], row[place], value[place]) = (random, at, number);
    }

    void Widen(int latent, int wanted)
    {
        var old = exponent[latent];
        if (wanted <= old) return;
        exponent[latent] = wanted;
        if (old == None) return;
        var shift = (int)Math.Min(31L, (long)wanted - old);
        for (var b = 1; b < Bins; b++) Merge(latent * Bins + b, latent * Bins + (b >> shift));
    }

    void Merge(int from, int into)
    {
        if (from == into) return;
        counts[into] += counts[from];
        counts[from] = 0;
        for (var s = from * samples; s < (from + 1) * samples; s++)
        {
            if (key[s] == ulong.MaxValue) break;
            Keep(into, key[s], row[s], value[s]);
            key[s] = ulong.MaxValue;
        }
    }

    /// <summary>The sampled rows of fifth q of the range: of the bins b with ⌊5 b / used⌋ = q, where used bins reach up
    /// to the maximum, those with the smallest random numbers.</summary>
    /// <param name="bucket">q, 0 to 4.</param>
    public IEnumerable<(int Row, float Value)> Sample(int latent, int bucket)
    {
        var used = Bins;
        while (used > 0 && counts[latent * Bins + used - 1] == 0) used--;
        return Enumerable.Range(0, used).Where(b => Buckets * b / used == bucket)
            .SelectMany(b => Enumerable.Range((latent * Bins + b) * samples, samples))
            .Where(place => key[place] != ulong.MaxValue)
            .OrderBy(place => key[place]).Take(samples).Select(place => (row[place], value[place]));
    }
}
