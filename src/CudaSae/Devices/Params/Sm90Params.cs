using System.Runtime.InteropServices;

// kernels/params/sm90.h, in the same order and types: held against it by LayoutTests.
namespace CudaSae.Devices.Params;

[StructLayout(LayoutKind.Sequential)]
unsafe struct EncodeSm90Params
{
    public TensorMap XMap, WMap;
    public EncodeParams Encode;
    public ulong Buckets, Again;
    public int Repeat, Active, Cluster, Skew;
    public fixed int Reserved[30];
}

[StructLayout(LayoutKind.Sequential)]
struct EncodeAgainParams
{
    public ulong Buckets, Limit, Count, Again;
    public int Rows, Capacity, Active;
}

[StructLayout(LayoutKind.Sequential)]
unsafe struct EncodeColumnsSm90Params
{
    public TensorMap XMap, WMap;
    public EncodeColumnsParams Columns;
    public int Cluster, Skew;
    public fixed int Reserved[14];
}

[StructLayout(LayoutKind.Sequential)]
unsafe struct ScreenSm90Params
{
    public TensorMap XMap, WMap;
    public ScreenParams Screen;
    public int Cluster, Skew;
    public fixed int Reserved[4];
}
