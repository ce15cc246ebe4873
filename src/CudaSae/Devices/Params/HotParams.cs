using System.Runtime.InteropServices;

// kernels/params/hot.h, in the same order and types: held against it by LayoutTests.
namespace CudaSae.Devices.Params;

[StructLayout(LayoutKind.Sequential)]
struct HotParams
{
    public ulong Index, Value, Scalars, Firings, Hot, HotCount, Slot, Code, ColdIndex, ColdValue;
    public ulong ColdCount, RowHot, RowActive, Scale;
    public int Rows, Active, Latents, Window, Most;
    public float Density;
}
