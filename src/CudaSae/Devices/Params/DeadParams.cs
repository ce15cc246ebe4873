using System.Runtime.InteropServices;

// kernels/params/dead.h, in the same order and types: held against it by LayoutTests.
namespace CudaSae.Devices.Params;

[StructLayout(LayoutKind.Sequential)]
struct AuxParams
{
    public ulong Index, Value, Code, CodeGrad, Residual, Error, RowError, ResidualParts, Means, Spreads, BEnc;
    public ulong AuxRows, Scalars, DeadCount, AuxCount, RowAuxError, Scale, Sums, Parts, Ticket, BiasGrad;
    public int Rows, Pitch, RowBlocks, Active, Window, K;
}
