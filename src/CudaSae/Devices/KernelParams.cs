using System.Runtime.InteropServices;

// The C# mirror of kernels/params.h: same order, same types, checked field by field by LayoutTests.
#pragma warning disable CS0649
namespace CudaSae.Devices;

// ---- prepare.cu

[StructLayout(LayoutKind.Sequential)]
struct PrepareParams
{
    public ulong Raw, List, Scalars, BDec, X, XCentered, Y;
    public int Rows, Width, Pitch, OutWidth, OutPitch, Type;
}

// ---- activation.cuh

[StructLayout(LayoutKind.Sequential)]
struct LossParams
{
    public int Selection, Kernel, Form, InputGradient, Penalty, Weight, Rescale, LiveGate, PreAct;
    public int Adaptive;
    public float TanhScale, Target, Bandwidth, Reach;
}

// ---- latent_scalars.cu

[StructLayout(LayoutKind.Sequential)]
unsafe struct LatentScalarsParams
{
    public LossParams Loss;
    public ulong Scalars, WDecHi, WDecLo, BEnc, Threshold, BMag, RMag, LastFired, SpreadZ;
    public ulong SpreadMean, SpreadSquare, Latents;
    public int Count, Pitch, SpreadRows, Sites;
    public fixed int SiteWidth[8];
}

// ---- entries.cu

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

// ---- dense.cu

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

// ---- encode.cu, encode_f32.cu, select.cu

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
unsafe struct EncodeSm90Params
{
    public TensorMap XMap, WMap;
    public EncodeParams Encode;
    public ulong Buckets, Again;
    public int Repeat, Active, Cluster, Skew;
    public fixed int Reserved[14];
}

[StructLayout(LayoutKind.Sequential)]
struct EncodeAgainParams
{
    public ulong Buckets, Limit, Count, Again;
    public int Rows, Capacity, Active;
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

// ---- quantize.cu, screen.cu, rescore.cu

[StructLayout(LayoutKind.Sequential)]
struct ScreenRow
{
    public float Step, Norm;
}

[StructLayout(LayoutKind.Sequential)]
struct ScreenAudit
{
    public int Audits, Misses;
    public uint Shortfall, Step;
}

[StructLayout(LayoutKind.Sequential)]
struct ScreenScalesParams
{
    public ulong XCentered, WEnc, Scalars, Scale;
    public int Rows, Latents, Pitch, Sample, Every;
}

[StructLayout(LayoutKind.Sequential)]
struct QuantizeParams
{
    public ulong From, Scale, Scalars, LastTouched, QuantizedAt, To, Row;
    public int Rows, Pitch, Every, Weights;
}

[StructLayout(LayoutKind.Sequential)]
struct ScreenParams
{
    public ulong X, W, XRow, WRow, BEnc, Limit, Count, Candidates;
    public int Rows, Depth, Begin, End, Pitch, Capacity, Magnitude;
    public float Margin, Rounding;
}

[StructLayout(LayoutKind.Sequential)]
struct RescoreParams
{
    public ulong XCentered, WEnc, BEnc, Count, Candidates;
    public int Depth, First, Pitch, Capacity, Magnitude;
}

[StructLayout(LayoutKind.Sequential)]
struct ScreenAuditParams
{
    public ulong Index, Value, ExactIndex, ExactValue, XRow, WRow, BEnc, Scalars, Audit;
    public int Active;
    public float Rounding;
}

[StructLayout(LayoutKind.Sequential)]
struct EncodeColumnsParams
{
    public ulong XCentered, WEnc, BEnc, Latents, Count, Candidates;
    public int Rows, Depth, Columns, Capacity;
}

[StructLayout(LayoutKind.Sequential)]
unsafe struct EncodeColumnsSm90Params
{
    public TensorMap XMap, WMap;
    public EncodeColumnsParams Columns;
    public int Cluster, Skew;
    public fixed int Reserved[14];
}

[StructLayout(LayoutKind.Sequential)]
struct CollectParams
{
    public LossParams Loss;
    public ulong Latents, Candidates, Count, Index, Value, PreAct, RowCount, Overflows;
    public int Active;
}

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

// ---- batch.cu

[StructLayout(LayoutKind.Sequential)]
struct BatchParams
{
    public ulong Scalars, Value, Histogram, Bound, Left, Smallest, Threshold, Overflows, Sums;
    public int Rows, Active, Want, Shift, Bits, Whole;
    public float Decay;
}

// ---- groups.cu

[StructLayout(LayoutKind.Sequential)]
struct GroupsParams
{
    public ulong Candidates, Best, Index, Value;
    public int Pitch, Begin, End, Size, Active;
}

// ---- levels.cu

[StructLayout(LayoutKind.Sequential)]
unsafe struct LevelsParams
{
    public ulong Index, Value, Scalars, Level;
    public int Active, Levels, ByRank;
    public fixed int Budgets[64];
}

// ---- decode.cu

[StructLayout(LayoutKind.Sequential)]
unsafe struct DecodeParams
{
    public ulong WDec, BDec, Baseline, Y, Index, Value, Gate, RowCount, Level;
    public ulong Scalars, Residual, ResidualBf16, Weighted, GateResidual, GateResidualBf16, ValueGrad, GateGrad, RowError;
    public ulong RowNorm, RowLevelError, RowGateError, RowReconstruction, RowActive;
    public int Rows, Pitch, Active, Slice, Room, Levels, Report, Paired;
    public fixed float LevelWeight[64];
}

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

// ---- scan.cu

[StructLayout(LayoutKind.Sequential)]
struct ScanParams
{
    public ulong Input, BlockSums, Output;
    public int Length, Blocks;
}

// ---- index.cu

[StructLayout(LayoutKind.Sequential)]
struct IndexParams
{
    public ulong Index, Value, RowCount, AuxSlot, Scalars, Count, TileSums, ClassSums, ClassStart, Ticket, Start, Order, Unsorted, Entry;
    public int Rows, Active, Latents, Tiles;
}

// ---- update.cu, bias.cu

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

// ---- skip.cu

[StructLayout(LayoutKind.Sequential)]
struct SkipParams
{
    public ulong Scalars, ClipFactor, Gradient, WSkip;
    public MomentsParams Moments;
    public ulong NormParts, Norm;
    public int Rows, Pitch, Optimizer, ClipRows;
}

// ---- latents.cu

[StructLayout(LayoutKind.Sequential)]
struct LatentsParams
{
    public ulong Index, Value, RowCount, Scalars, LastFired, Firings, Flag, Ordinal, DeadCount;
    public ulong AuxRows, AuxCount, AuxSlot;
    public int Rows, Active, Latents, Window, Early;
}

// ---- product.cu

[StructLayout(LayoutKind.Sequential)]
struct ProductParams
{
    public ulong A, B, BRows, Add, Mask, Scale, C, MCount, NCount;
    public ulong KCount;
    public long AM, AK, BK, BN;
    public int M, N, K, CPitch, ABf16, BBf16, BGather, MaskFactor;
}

// ---- hot.cu

[StructLayout(LayoutKind.Sequential)]
struct HotParams
{
    public ulong Index, Value, Scalars, Firings, Hot, HotCount, Slot, Code, ColdIndex, ColdValue;
    public ulong ColdCount, RowHot, RowActive, Scale;
    public int Rows, Active, Latents, Window, Most;
    public float Density;
}

// ---- aux.cu

[StructLayout(LayoutKind.Sequential)]
struct AuxParams
{
    public ulong Index, Value, Code, CodeGrad, Residual, Error, RowError, ResidualParts, BEnc;
    public ulong AuxRows, Scalars, DeadCount, AuxCount, RowAuxError, Scale, Sums, BiasGrad;
    public int Rows, Pitch, RowBlocks, Active, Window, K;
}

// ---- ladder/*.cu

[StructLayout(LayoutKind.Sequential)]
struct LadderParams
{
    public ulong X, W, Bias, C;
    public int Rows, Columns, Depth;
}
