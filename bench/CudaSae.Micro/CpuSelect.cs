using CudaSae.Backends.Cpu;
using BenchmarkDotNet.Attributes;

namespace CudaSae.Micro;

/// <summary>Compares the encoder's cut of a row's candidates to the k largest with a sort. On the CPU the encoder cuts
/// whenever the candidates are full.</summary>
public unsafe class CpuSelect
{
    ulong[] start = [];
    ulong[] keys = [];
    ulong[] scratch = [];

    [Params(32, 128)]
    public int K { get; set; }

    int Count => K + Math.Max(64, K / 2);

    [GlobalSetup]
    public void Setup()
    {
        var random = new Random(1);
        // The encoder's keys: the number's order in the upper bits, the complement of the latent in the lower.
        start = [.. Enumerable.Range(0, Count)
            .Select(f =>
                (ulong)(BitConverter.SingleToUInt32Bits(1 + 3 * random.NextSingle()) | 0x80000000) << 32 | (uint)~f)];
        (keys, scratch) = (new ulong[Count], new ulong[Count + 16]);
    }

    [Benchmark(Baseline = true)]
    public ulong Cut()
    {
        start.CopyTo(keys, 0);
        fixed (ulong* p = keys, s = scratch) return Largest.Keep(p, Count, K, s);
    }

    [Benchmark]
    public ulong Sort()
    {
        start.CopyTo(keys, 0);
        Array.Sort(keys);
        return keys[Count - K];
    }
}
