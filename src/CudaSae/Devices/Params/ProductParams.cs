using System.Runtime.InteropServices;

// kernels/params/product.h, in the same order and types: held against it by LayoutTests.
namespace CudaSae.Devices.Params;

[StructLayout(LayoutKind.Sequential)]
struct ProductParams
{
    public ulong A, B, BRows, Add, Mask, Scale, C, MCount, NCount;
    public ulong KCount;
    public long AM, AK, BK, BN;
    public int M, N, K, CPitch, ABf16, BBf16, BGather, MaskFactor;
}
