using System.Runtime.InteropServices;

// kernels/params/latents.h, in the same order and types: held against it by LayoutTests.
namespace CudaSae.Devices.Params;

[StructLayout(LayoutKind.Sequential)]
struct LatentsParams
{
    public ulong Index, Value, RowCount, Scalars, LastFired, Firings, Flag, Ordinal, DeadCount;
    public ulong AuxRows, AuxCount, AuxSlot;
    public int Rows, Active, Latents, Window, Early;
}

[StructLayout(LayoutKind.Sequential)]
struct ScanParams
{
    public ulong Input, TileSums, Ticket, Output;
    public int Length, Tiles;
}
