using System.Runtime.InteropServices;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>Named, 64-byte aligned, zeroed native memory. A counting arena returns null and only adds up sizes, so that
/// the code that takes the memory also computes the plan.</summary>
sealed unsafe class HostArena(bool counting) : IDisposable
{
    readonly List<nint> pieces = [];

    public MemoryPlan Plan { get; } = new();

    /// <summary>Returns memory for <paramref name="length"/> elements and a few vectors more, so that whole-vector
    /// reads stay inside; null for a length of 0.</summary>
    public T* Take<T>(string name, long length) where T : unmanaged
    {
        if (length == 0) return null;
        var bytes = (length * sizeof(T) + 255 & ~63L) + 192;
        Plan.Add(name, bytes);
        if (counting) return null;
        // Large pieces come from the system as zero pages that take no memory until they are touched.
        var piece = NativeMemory.AllocZeroed((nuint)bytes + 64);
        pieces.Add((nint)piece);
        return (T*)(((nint)piece + 63) & ~63);
    }

    public void Dispose()
    {
        foreach (var piece in pieces) NativeMemory.Free((void*)piece);
        pieces.Clear();
        GC.SuppressFinalize(this);
    }

    ~HostArena() => Dispose();
}
