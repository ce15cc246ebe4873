using System.Runtime.InteropServices;
using CudaSae.Backends;
using CudaSae.Model;

namespace CudaSae.Cli;

/// <summary>FNV-1a (Fowler, Noll, Vo) over 64-bit words in order. Equal bits give equal hashes.</summary>
struct OutputHash()
{
    const int Band = 1 << 24;

    public ulong Value { get; private set; } = 0xcbf29ce484222325;

    public void Add(ReadOnlySpan<byte> bytes)
    {
        var words = MemoryMarshal.Cast<byte, ulong>(bytes);
        var sum = Value;
        foreach (var word in words) sum = (sum ^ word) * 0x100000001b3;
        foreach (var rest in bytes[(words.Length * 8)..]) sum = (sum ^ rest) * 0x100000001b3;
        Value = sum;
    }

    /// <summary>Hashes everything that a phase wrote, in bands through host memory.</summary>
    public static ulong Of(IPhases phases, StepPhase phase)
    {
        var hash = new OutputHash();
        var band = Array.Empty<byte>();
        foreach (var output in phases.Outputs(phase))
            for (long at = 0; at < output.Array.Bytes; at += Band)
            {
                var length = (int)Math.Min(Band, output.Array.Bytes - at);
                if (band.Length < length) band = new byte[length];
                phases.ReadOutput(output, at, band.AsSpan(0, length));
                hash.Add(band.AsSpan(0, length));
            }
        return hash.Value;
    }
}
