using CudaSae.Activations;
using CudaSae.Distributed;
using CudaSae.Model;

namespace CudaSae.Feeding;

/// <summary>Batches of which each rank reads its share of the rows (<see cref="ShardPlan.RowStarts"/>). The ranks
/// exchange the rows at the start of the step. Batches and cursors are those of <see cref="HostBatches"/>.</summary>
sealed class SharedBatches : BatchMaker
{
    readonly RowReader reader;
    readonly NonFiniteScan? scan;   // with NonFinite = Skip
    readonly long[] numbers;        // [B] rows of a batch
    readonly bool[] finite;         // [B]
    readonly int first, end;        // this rank's rows of a batch

    /// <summary>Prepares the first batch. All ranks call it. If rows that are not finite are skipped, the ranks first
    /// find them, because the share of a rank depends on the rows that its batch has.</summary>
    /// <param name="readers">Number of threads that read rows.</param>
    /// <exception cref="SaeException">A row cannot be read.</exception>
    public SharedBatches(ActivationSource source, long rows, TrainConfig config, RowCursor start, int readers,
        ShardPlan shard) : base(source, rows, config, start)
    {
        reader = new(source, rows, readers);
        (numbers, finite) = (new long[config.BatchRows], new bool[config.BatchRows]);
        var starts = shard.RowStarts(config.BatchRows);
        (first, end) = ((int)starts[shard.Rank], (int)starts[shard.Rank + 1]);
        if (config.NonFinite == NonFiniteRows.Skip) scan = new(source, rows, shard.Collective, readers);
    }

    public override void Make(Span<byte> slot)
    {
        for (var at = 0; at < numbers.Length;)
        {
            var count = (int)Math.Min(numbers.Length - at, Rows - Cursor.Position);
            var part = numbers.AsSpan(at, count);
            Order.Fill(Cursor.Position, part);
            Advance(count);
            at += Choose(part);
        }
        reader.Read(numbers, finite, first, end, slot);
        for (var b = first; b < end; b++)
            if (!finite[b]) RefuseRead(numbers[b]);
    }

    /// <summary>Refuses a row that the scan has not found; without a scan, NonFinite is Stop.</summary>
    void RefuseRead(long row)
    {
        if (scan is null) Refuse(row);
        else
            throw new SaeException($"{Source.Locate(row)} holds NaN or infinity, and was finite before the first step; "
                + "leave the data of a run unchanged");
    }

    /// <summary>Removes the rows that are known not to be finite; returns the number that remain.</summary>
    int Choose(Span<long> part)
    {
        if (scan is null) return part.Length;
        var kept = 0;
        foreach (var row in part)
        {
            if (scan.Has(row))
            {
                Refuse(row);
                continue;
            }
            Keep();
            part[kept++] = row;
        }
        return kept;
    }
}
