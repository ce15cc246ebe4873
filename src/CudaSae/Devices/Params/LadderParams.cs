using System.Runtime.InteropServices;

// kernels/params/ladder.h, in the same order and types: held against it by LayoutTests.
namespace CudaSae.Devices.Params;

[StructLayout(LayoutKind.Sequential)]
struct LadderParams
{
    public ulong X, W, Bias, C;
    public int Rows, Columns, Depth;
}
