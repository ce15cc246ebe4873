using System.Runtime.InteropServices;

// kernels/params/sums.h, in the same order and types: held against it by LayoutTests.
namespace CudaSae.Devices.Params;

[StructLayout(LayoutKind.Sequential)]
struct ColumnSumsParams
{
    public ulong Residual, Weighted, Gate, ResidualParts, WeightedParts;
    public int Rows, Pitch;
}

[StructLayout(LayoutKind.Sequential)]
struct ColumnSpreadParams
{
    public ulong Values, Means, Spreads;
    public int Rows, Pitch;
}

[StructLayout(LayoutKind.Sequential)]
struct StepSumsParams
{
    public ulong Scalars, RowError, RowNorm, RowLevelError, RowGateError, RowReconstruction, RowActive, RowNear, RowPenalty;
    public ulong PreActLoss, Means, Spreads, Overflows, DeadCount, AuxSums, Ghost, GradientNorm, Threshold, Screening,
        Parts, Ticket, Sums;
    public int Rows, Pitch, Latents, Penalty, Dense;
    public float Target;
}
