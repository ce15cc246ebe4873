using System.Runtime.InteropServices;

namespace CudaSae.Devices;

/// <summary>A CUtensorMap of cuda.h, as the driver made it: how TMA finds a box of a matrix. Part of a kernel's parameters (kernels/params/sm90.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct TensorMap
{
    public fixed ulong Opaque[16];
}
