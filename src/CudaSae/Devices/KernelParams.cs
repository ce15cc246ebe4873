using System.Runtime.InteropServices;

// The C# mirror of kernels/params.h: same order, same types, checked field by field by LayoutTests.
#pragma warning disable CS0649
namespace CudaSae.Devices;

// ---- prepare.cu

// ---- encode.cu, encode_f32.cu, select.cu

[StructLayout(LayoutKind.Sequential)]
struct EncodeParams
{
    public ulong XCentered, WEnc, BEnc, ColumnRows, ColumnCount, Limit, Count, Candidates, Overflows;
    public int Rows, Depth, Begin, End, Pitch, Capacity, Dense;
}

[StructLayout(LayoutKind.Sequential)]
struct EncodeExactParams
{
    public ulong XCentered, WEnc, BEnc, ColumnRows, ColumnCount, Redo, Overflows, Candidates;
    public int Depth, Columns, Pitch, Segments, Active;
}

[StructLayout(LayoutKind.Sequential)]
struct EncodeF32Params
{
    public ulong X, BDec, WEncHi, WEncLo, BEnc, ColumnRows, ColumnCount, Candidates, Overflows;
    public int Rows, Depth, Begin, End, Pitch, Offset;
}

[StructLayout(LayoutKind.Sequential)]
struct SelectThresholdParams
{
    public ulong Candidates, Count, Limit, ColumnCount;
    public int Pitch, Capacity, Active, Offset, Begin, End;
}

[StructLayout(LayoutKind.Sequential)]
struct SelectFinalParams
{
    public ulong Candidates, Count, ColumnCount, Redo, Overflows, Index, Value;
    public int Pitch, Capacity, Active, Offset, Begin, End, Relu, Again;
}

// ---- decode.cu

// ---- index.cu

// ---- update.cu, bias.cu

// ---- latents.cu

// ---- aux.cu

// ---- dense.cu
