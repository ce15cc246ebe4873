using System.Runtime.InteropServices;

// kernels/params/sums.h, in the same order and types: held against it by LayoutTests.
namespace CudaSae.Devices;

[StructLayout(LayoutKind.Sequential)]
struct ColumnSumsParams
{
    public ulong Residual, Weighted, Gate, Y, ResidualParts, WeightedParts, YParts;
    public int Rows, Pitch;
}

[StructLayout(LayoutKind.Sequential)]
struct StepSumsParams
{
    public ulong Scalars, RowError, RowNorm, RowLevelError, RowGateError, RowReconstruction, RowActive, RowNear, RowPenalty;
    public ulong PreActLoss, YParts, Overflows, DeadCount, AuxSums, Ghost, GradientNorm, Threshold, Screening, Parts, Ticket, Sums;
    public int Rows, Pitch, Blocks, Latents, Penalty, Dense;
    public float Target;
}
