using System.Runtime.InteropServices;

// kernels/params/prepare.h, in the same order and types: held against it by LayoutTests.
namespace CudaSae.Devices;

[StructLayout(LayoutKind.Sequential)]
struct PrepareParams
{
    public ulong Raw, List, Scalars, BDec, X, XCentered, Y;
    public int Rows, Width, Pitch, OutWidth, OutPitch, Type;
}
