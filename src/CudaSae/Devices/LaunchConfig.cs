using System.Runtime.InteropServices;

namespace CudaSae.Devices;

/// <summary>CUlaunchConfig of cuda.h: a launch with attributes.</summary>
[StructLayout(LayoutKind.Sequential)]
unsafe struct LaunchConfig
{
    public uint GridX, GridY, GridZ, BlockX, BlockY, BlockZ, SharedBytes;
    public nint Stream;
    public LaunchAttribute* Attributes;
    public uint Count;
}

/// <summary>CUlaunchAttribute: a number that says which, and 64 bytes of value.</summary>
[StructLayout(LayoutKind.Explicit, Size = 72)]
struct LaunchAttribute
{
    const uint ClusterDimension = 4, ProgrammaticStreamSerialization = 6;

    [FieldOffset(0)] public uint Id;
    [FieldOffset(8)] public uint X;
    [FieldOffset(12)] public uint Y;
    [FieldOffset(16)] public uint Z;

    public static LaunchAttribute Cluster(int blocks) =>
        new() { Id = ClusterDimension, X = (uint)blocks, Y = 1, Z = 1 };

    public static LaunchAttribute Programmatic => new() { Id = ProgrammaticStreamSerialization, X = 1 };
}
