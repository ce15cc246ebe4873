using CudaSae.Devices;
using CudaSae.Devices.Params;

namespace CudaSae.Backends.Kernels;

sealed partial class EncodePhase
{
    /// <summary>[1] number of tiles of 128 rows that the last run on Hopper swept again, counted over all sweeps,
    /// because rows exceeded the capacity.</summary>
    internal DeviceArray<int> Repeated => retry with { Length = 1 };

    /// <summary>Returns the ends of the sweeps after the first chunk; the last is <paramref name="columns"/>. There is
    /// usually one sweep. When the columns grow by a factor g, a row is expected to find 1.35 k ln g candidates besides
    /// its k (simulated for tails from normal to log-normal: 1.05 to 1.46). g is chosen so that this stays below seven
    /// tenths of the capacity.</summary>
    public static int[] SweepEnds(int columns, int active, int first, int capacity)
    {
        var most = Math.Max(0.25, (0.7 * capacity / active - 1) / 1.35);        // ln g
        var all = Math.Log(columns / (double)first);
        var sweeps = Math.Max(1, (int)Math.Ceiling(all / most - 1e-9));
        List<int> ends = [];
        for (var sweep = 1; sweep < sweeps; ++sweep)
        {
            var end = first
                + RoundUp((int)(first * Math.Exp(all * sweep / sweeps)) - first, HopperOperands.TileColumns);
            if (end < columns && (ends.Count == 0 || end > ends[^1])) ends.Add(end);
        }
        ends.Add(columns);
        return [.. ends];
    }

    // The first chunk is kept whole. Sweeps with rising limits follow; each is repeated for tiles whose rows exceeded
    // the capacity (kernels/sm90/encode_sm90.cu).
    void RunSweeps(HopperOperands hopper)
    {
        var begin = chunkEnds[0];
        Sweep(hopper, 0, begin, keepAll: true);
        if (chunkEnds.Length == 1)
        {
            SelectFinal(carried: 0, begin: 0, begin, capacity);
            return;
        }
        SelectThreshold(carried: 0, begin: 0, begin, capacity, buckets.Pointer);
        foreach (var end in sweepEnds)
        {
            Sweep(hopper, begin, end);
            var tiles = HopperOperands.RowTiles(rows.Count);
            var shape = new Launch(tiles, HopperOperands.TileRows, SharedMemory.EncodeRetry);
            context.Launch("encode_retry", shape, new EncodeRetryParams
            {
                Buckets = buckets.Pointer, Limit = limit.Pointer, Count = count.Pointer, Retry = retry.Pointer,
                Rows = rows.Count, Capacity = capacity, Active = target.Active,
            });
            Sweep(hopper, begin, end, secondSweep: true);
            if (end < target.Columns) SelectThreshold(carried: 0, begin: 0, end: 0, capacity, buckets.Pointer);
            begin = end;
        }
        SelectFinal(carried: 0, begin: 0, end: 0, capacity);
        EncodeExact();
        SelectFinal(carried: 0, begin: 0, end: 0, stride, exact: true);
    }

    void Sweep(HopperOperands hopper, int begin, int end, bool keepAll = false, bool secondSweep = false) =>
        context.Launch("encode_sm90", hopper.Shape(end - begin), new EncodeSm90Params
        {
            XMap = hopper.XMap, WMap = hopper.WMap, Encode = Parameters(begin, end, keepAll),
            Buckets = keepAll || secondSweep ? 0 : buckets.Pointer, Retry = retry.Pointer,
            SecondSweep = secondSweep ? 1 : 0, Active = target.Active, Cluster = hopper.Cluster, Skew = hopper.Skew,
        });
}
