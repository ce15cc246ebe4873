using System.Runtime.InteropServices;

// kernels/params/dense.h, in the same order and types: held against it by LayoutTests.
namespace CudaSae.Devices.Params;

[StructLayout(LayoutKind.Sequential)]
struct DenseCodeParams
{
    public LossParams Loss;
    public ulong Scalars, Latents, BEnc, Z, Code, Gate, RowActive, RowNear, RowPenalty;
    public ulong Firings;
    public int Rows, Width, Pitch;
}

[StructLayout(LayoutKind.Sequential)]
unsafe struct DenseResidualParams
{
    public ulong Xhat, BDec, Y, Residual, ResidualBf16, Weighted, RowError, RowLevelError, RowNorm, RowReconstruction;
    public int Rows, Pitch, Levels;
    public fixed float LevelWeight[16];
}

[StructLayout(LayoutKind.Sequential)]
struct DenseGradientParams
{
    public LossParams Loss;
    public ulong Scalars, Latents, BEnc, StepPenalty, Z, Grad, Gate, Sums, Above;
    public ulong AboveGap;
    public int Rows, Width, Pitch;
}
