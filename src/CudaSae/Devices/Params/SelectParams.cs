using System.Runtime.InteropServices;

// kernels/params/select.h, in the same order and types: held against it by LayoutTests.
namespace CudaSae.Devices.Params;

[StructLayout(LayoutKind.Sequential)]
struct SelectThresholdParams
{
    public ulong Candidates, Count, Limit, ColumnCount, Buckets;
    public int Pitch, Capacity, Active, Offset, Begin, End;
}

[StructLayout(LayoutKind.Sequential)]
struct SelectFinalParams
{
    public ulong Candidates, Count, ColumnCount, Scalars, Redo, Overflows, Index, Value;
    public int Pitch, Capacity, Active, Offset, Begin, End, Relu, Again;
}

[StructLayout(LayoutKind.Sequential)]
struct BatchParams
{
    public ulong Scalars, Value, Histogram, Bound, Left, Smallest, Threshold, Overflows, Sums;
    public int Rows, Active, Want, Shift, Bits, Whole;
    public float Decay;
}

[StructLayout(LayoutKind.Sequential)]
struct GroupsParams
{
    public ulong Candidates, Best, Index, Value;
    public int Pitch, Begin, End, Size, Active;
}

[StructLayout(LayoutKind.Sequential)]
unsafe struct LevelsParams
{
    public ulong Index, Value, Scalars, Level;
    public int Active, Levels, ByRank;
    public fixed int Budgets[64];
}
