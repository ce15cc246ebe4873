using CudaSae.Backends.Cpu;
using BenchmarkDotNet.Attributes;

namespace CudaSae.Micro;

/// <summary>The cut of a row's candidates back to the k largest, as the encoder does it on the CPU whenever they are
/// full, beside sorting them.</summary>
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
        // Keys as the encoder makes them: the number's order above, the complement of the latent below.
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
