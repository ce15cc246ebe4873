using System.Runtime.InteropServices;

// kernels/params/decode.h, in the same order and types: held against it by LayoutTests.
namespace CudaSae.Devices.Params;

[StructLayout(LayoutKind.Sequential)]
unsafe struct DecodeParams
{
    public ulong WDec, BDec, Baseline, Y, Index, Value, Gate, RowCount, Level;
    public ulong Scalars, Residual, ResidualBf16, Weighted, GateResidual, GateResidualBf16, ValueGrad, GateGrad, RowError;
    public ulong RowNorm, RowLevelError, RowGateError, RowReconstruction, RowActive;
    public int Rows, Pitch, Active, Slice, Room, Levels, Report, Paired;
    public fixed float LevelWeight[64];
}
