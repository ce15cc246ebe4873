using CudaSae.Devices;

namespace CudaSae.Backends.Kernels;

sealed partial class EncodePhase
{
    /// <summary>[1] tiles of 128 rows that the last run swept again, on Hopper, because rows of theirs found no room.</summary>
    internal DeviceArray<int> Repeated => again with { Length = 1 };

    // The first chunk kept whole, every other column in one launch, whose limits rise on the way; and again where rows found no room (kernels/sm90/encode_sm90.cu).
    void RunSweep(HopperOperands hopper)
    {
        var first = chunkEnds[0];
        Sweep(hopper, 0, first, dense: true);
        if (chunkEnds.Length == 1)
        {
            SelectFinal(offset: 0, begin: 0, first, capacity);
            return;
        }
        SelectThreshold(offset: 0, begin: 0, first, capacity, buckets.Pointer);
        Sweep(hopper, first, target.Columns);
        context.Launch("encode_again", new(HopperOperands.RowTiles(context.Rows), HopperOperands.TileRows, sizeof(int)), new EncodeAgainParams
        {
            Buckets = buckets.Pointer, Limit = limit.Pointer, Count = count.Pointer, Again = again.Pointer, Rows = context.Rows, Capacity = capacity, Active = target.Active,
        });
        Sweep(hopper, first, target.Columns, repeat: true);
        SelectFinal(offset: 0, begin: 0, end: 0, capacity);
        EncodeExact();
        SelectFinal(offset: 0, begin: 0, end: 0, pitch, again: true);
    }

    void Sweep(HopperOperands hopper, int begin, int end, bool dense = false, bool repeat = false) =>
        context.Launch("encode_sm90", hopper.Shape(end - begin), new EncodeSm90Params
        {
            XMap = hopper.XMap, WMap = hopper.WMap, Encode = Parameters(begin, end, dense), Buckets = dense || repeat ? 0 : buckets.Pointer, Again = again.Pointer,
            Repeat = repeat ? 1 : 0, Active = target.Active, Cluster = hopper.Cluster, Skew = hopper.Skew,
        });
}
