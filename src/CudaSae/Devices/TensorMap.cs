using System.Runtime.InteropServices;

namespace CudaSae.Devices;

/// <summary>A CUtensorMap of cuda.h, as the driver made it: how TMA finds a box of a matrix. Part of a kernel's
/// parameters (kernels/params/sm90.h).</summary>
[StructLayout(LayoutKind.Sequential)]
unsafe struct TensorMap
{
    public fixed ulong Opaque[16];
}

/// <summary>The numbers of a matrix that TMA loads; the values are CUtensorMapDataType's.</summary>
enum TensorNumber
{
    /// <summary>One byte, whatever its sign: TMA only moves it.</summary>
    Byte = 0,
    BFloat16 = 9,
}
