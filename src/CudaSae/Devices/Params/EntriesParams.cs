using System.Runtime.InteropServices;

// kernels/params/entries.h, in the same order and types: held against it by LayoutTests.
namespace CudaSae.Devices.Params;

[StructLayout(LayoutKind.Sequential)]
unsafe struct LatentScalarsParams
{
    public LossParams Loss;
    public ulong Scalars, WDecHi, WDecLo, BEnc, Threshold, BMag, RMag, LastFired, SpreadZ;
    public ulong SpreadMean, SpreadVariance, Latents;
    public int Count, Pitch, SpreadRows, Sites;
    public fixed int SiteWidth[8];
}

[StructLayout(LayoutKind.Sequential)]
struct EntriesParams
{
    public LossParams Loss;
    public ulong Scalars, Latents, Index, RowCount, Value, PreAct, GateGrad, StepPenalty, ValueGrad;
    public ulong Gradient, RowPenalty;
    public int Rows, Active;
}

[StructLayout(LayoutKind.Sequential)]
struct StepPenaltyParams
{
    public LossParams Loss;
    public ulong Scalars, RowActive, StepPenalty;
    public int Rows;
}

[StructLayout(LayoutKind.Sequential)]
struct LatentSumsParams
{
    public LossParams Loss;
    public ulong Scalars, Latents, Start, Entry, Gradient, PreAct, InputSum, WEnc, BEnc;
    public ulong Above, AboveGap, Sums, PreActLoss;
    public int Count, Rows, Pitch;
}

[StructLayout(LayoutKind.Sequential)]
struct InputSumParams
{
    public ulong XCentered, InputSum;
    public int Rows, Pitch;
}
