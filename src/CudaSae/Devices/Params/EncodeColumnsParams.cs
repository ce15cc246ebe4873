using System.Runtime.InteropServices;

// kernels/params/encode_columns.h, in the same order and types: held against it by LayoutTests.
namespace CudaSae.Devices.Params;

[StructLayout(LayoutKind.Sequential)]
struct EncodeColumnsParams
{
    public ulong XCentered, WEnc, BEnc, Latents, Count, Candidates;
    public int Rows, Depth, Columns, Capacity;
}

[StructLayout(LayoutKind.Sequential)]
struct CollectParams
{
    public LossParams Loss;
    public ulong Latents, Candidates, Count, Index, Value, PreAct, RowCount, Overflows, Scalars;
    public int Active;
}
