using System.Runtime.InteropServices;

// kernels/params/index.h, in the same order and types: held against it by LayoutTests.
namespace CudaSae.Devices.Params;

[StructLayout(LayoutKind.Sequential)]
struct IndexParams
{
    public ulong Index, Value, RowCount, AuxSlot, Scalars, Count, TileSums, ClassSums, ClassStart, Ticket, Start, Order, Unsorted, Entry;
    public int Rows, Active, Latents, Tiles;
}
