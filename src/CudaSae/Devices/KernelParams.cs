using System.Runtime.InteropServices;

// The C# mirror of kernels/params.h: same order, same types, checked field by field by LayoutTests.
#pragma warning disable CS0649
namespace CudaSae.Devices;

// ---- prepare.cu

[StructLayout(LayoutKind.Sequential)]
struct PrepareParams
{
    public ulong Raw, Scalars, BDec, X, XCentered;
    public int Rows, Width, Pitch, Type;
}

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

// ---- decode.cu, sums.cu

[StructLayout(LayoutKind.Sequential)]
struct DecodeParams
{
    public ulong WDec, BDec, X, Index, Value, Scalars, Residual, ResidualBf16;
    public ulong ValueGrad, RowError, RowNorm, RowActive;
    public int Rows, Pitch, Active, Slice;
}

[StructLayout(LayoutKind.Sequential)]
struct ColumnSumsParams
{
    public ulong Residual, X, ResidualParts, XParts;
    public int Rows, Pitch;
}

[StructLayout(LayoutKind.Sequential)]
struct StepSumsParams
{
    public ulong Scalars, RowError, RowNorm, RowActive, XParts, Overflows, DeadCount, AuxSums;
    public ulong GradientNorm, Sums;
    public int Rows, Pitch, Blocks;
}

// ---- scan.cu, index.cu

[StructLayout(LayoutKind.Sequential)]
struct ScanParams
{
    public ulong Input, BlockSums, Output;
    public int Length, Blocks;
}

[StructLayout(LayoutKind.Sequential)]
struct IndexParams
{
    public ulong Index, Value, Count, Start, Cursor, Unsorted, Entry;
    public int Rows, Active, Latents;
}

// ---- update.cu, bias.cu

[StructLayout(LayoutKind.Sequential)]
struct UpdateParams
{
    public ulong Start, Entry, Value, ValueGrad, Residual, XCentered, AuxSlot, AuxEncGrad;
    public ulong AuxDecGrad, AuxBiasGrad, Scalars, ClipFactor, Parts, PartsBias, WEncHi, WEncLo;
    public ulong WDecHi, WDecLo, BEnc, MEnc, VEnc, MDec, VDec, MBEnc;
    public ulong VBEnc, EmaEnc, EmaDec, EmaBEnc, LastTouched, BiasParts, NormParts;
    public int Latents, Pitch, Active, Unit, Adam, ClipRows, Measure;
}

[StructLayout(LayoutKind.Sequential)]
struct BiasParams
{
    public ulong Scalars, ResidualParts, BiasParts, NormParts, Gradient, Norm, ClipFactor, BDec;
    public ulong M, V, Ema;
    public int RowBlocks, Blocks, Pitch, Adam, ClipRows, Clip;
}

// ---- latents.cu

[StructLayout(LayoutKind.Sequential)]
struct LatentsParams
{
    public ulong Index, Value, Scalars, LastFired, Flag, Ordinal, DeadCount, AuxRows;
    public ulong AuxCount, AuxSlot;
    public int Entries, Latents, Window;
}

// ---- aux.cu

[StructLayout(LayoutKind.Sequential)]
struct AuxProductParams
{
    public ulong A, B, BRows, Add, Mask, Scale, C, MCount;
    public ulong NCount, KCount;
    public long AM, AK, BK, BN;
    public int M, N, K, CPitch, ABf16, BBf16, BGather;
}

[StructLayout(LayoutKind.Sequential)]
struct AuxParams
{
    public ulong Index, Value, Code, CodeGrad, Residual, RowError, ResidualParts, Scalars;
    public ulong DeadCount, AuxCount, RowAuxError, Scale, Sums, BiasGrad;
    public int Rows, Pitch, RowBlocks, Active, Window;
}
