using System.Runtime.InteropServices;

// kernels/params/prepare.h, in the same order and types: held against it by LayoutTests.
namespace CudaSae.Devices.Params;

[StructLayout(LayoutKind.Sequential)]
unsafe struct PrepareParams
{
    public fixed ulong Batch[2];
    public ulong Pool, Lists, Scalars, BDec, X, XCentered, Y;
    public int Rows, Width, Pitch, OutWidth, OutPitch, Type;
}
