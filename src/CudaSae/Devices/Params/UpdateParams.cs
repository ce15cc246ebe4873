using System.Runtime.InteropServices;

// kernels/params/update.h, in the same order and types: held against it by LayoutTests.
namespace CudaSae.Devices.Params;

[StructLayout(LayoutKind.Sequential)]
struct MomentsParams
{
    public ulong M, V, MScale, VScale, Id;
    public int Storage, Reserved;
}

[StructLayout(LayoutKind.Sequential)]
struct LatentVectorParams
{
    public ulong Weights, M, V, Average;
}

[StructLayout(LayoutKind.Sequential)]
unsafe struct UpdateParams
{
    public ulong Start, Entry, Order, ClassStart, Value, Gate, ValueGrad, Level, Residual, GateResidual, XCentered;
    public ulong Sums, InputSum, DenseEnc, DenseDec, AuxSlot, AuxEncGrad, AuxDecGrad, AuxBiasGrad, Scalars;
    public ulong ClipFactor, Parts, PartsBias, WEncHi, WEncLo, WDecHi, WDecLo;
    public MomentsParams MEnc, MDec;
    public LatentVectorParams BEnc, Threshold, BMag, RMag, TieScale;
    public ulong EmaEnc, EmaDec, LastTouched, BiasParts, NormParts;
    public int Rows, Pitch, OutPitch, Active, First, Count, Latents, DecoderNorm, Optimizer;
    public int ClipRows, Measure, Accumulate, Tied, Direct, Rescale, Sites;
    public fixed int SiteWidth[8];
}

[StructLayout(LayoutKind.Sequential)]
struct BiasParams
{
    public ulong Scalars, ResidualParts, BiasParts, NormParts, SkipNorm, Gradient, Norm, ClipFactor, BDec;
    public ulong M, V, Ema;
    public int RowBlocks, Blocks, Pitch, Optimizer, ClipRows, Measured;
}

[StructLayout(LayoutKind.Sequential)]
struct SkipParams
{
    public ulong Scalars, ClipFactor, Gradient, WSkip;
    public MomentsParams Moments;
    public ulong NormParts, Norm;
    public int Rows, Pitch, Optimizer, ClipRows;
}
