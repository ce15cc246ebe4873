using System.Runtime.InteropServices;

namespace CudaSae.Devices;

/// <summary>A CUtensorMap of cuda.h that the driver made. It describes to TMA how to load a box of a matrix, and is
/// part of a kernel's parameters (kernels/params/sm90.h).</summary>
[StructLayout(LayoutKind.Sequential)]
unsafe struct TensorMap
{
    public fixed ulong Opaque[16];
}

/// <summary>The element type of a matrix that TMA loads; the values are those of CUtensorMapDataType.</summary>
enum TensorNumber
{
    /// <summary>One byte, signed or unsigned, because TMA only copies it.</summary>
    Byte = 0,
    /// <summary>bfloat16.</summary>
    BFloat16 = 9,
}
