using System.Runtime.InteropServices;

// kernels/params/encode.h, in the same order and types: held against it by LayoutTests.
namespace CudaSae.Devices.Params;

[StructLayout(LayoutKind.Sequential)]
struct EncodeParams
{
    public ulong XCentered, WEnc, BEnc, ColumnRows, ColumnCount, Limit, Count, Candidates, Overflows;
    public int Rows, Depth, Begin, End, Pitch, Capacity, Dense, Magnitude;
}

[StructLayout(LayoutKind.Sequential)]
unsafe struct RowBuckets
{
    public float Low, Scale;
    public fixed uint Reserved[2];
    public fixed int Count[128];
}

[StructLayout(LayoutKind.Sequential)]
struct EncodeExactParams
{
    public ulong XCentered, WEnc, BEnc, ColumnRows, ColumnCount, Redo, Overflows, Candidates;
    public int Depth, Columns, Pitch, Segments, Active, Magnitude;
}

[StructLayout(LayoutKind.Sequential)]
struct EncodeF32Params
{
    public ulong X, BDec, WEncHi, WEncLo, BEnc, ColumnRows, ColumnCount, Candidates, Overflows;
    public int Rows, Depth, Begin, End, Pitch, Offset, Magnitude;
}
