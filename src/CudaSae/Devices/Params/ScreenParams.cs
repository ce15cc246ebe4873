using System.Runtime.InteropServices;

// kernels/params/screen.h, in the same order and types: held against it by LayoutTests.
namespace CudaSae.Devices.Params;

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
