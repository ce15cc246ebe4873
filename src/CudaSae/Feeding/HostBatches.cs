using System.Runtime.ExceptionServices;
using CudaSae.Activations;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Feeding;

/// <summary>Batches whose rows are gathered from the files into host memory, each by a read of its own.</summary>
sealed class HostBatches : BatchMaker
{
    const int RowsPerPart = 64;     // that a reader takes at a time

    readonly int rowBytes, readers;
    readonly bool fromDisk;         // the rows may not all stay in memory
    readonly long[] numbers;        // [B] rows of a batch
    readonly bool[] finite;         // [B]

    /// <param name="readers">Threads that read a batch's rows.</param>
    public HostBatches(ActivationSource source, long rows, TrainConfig config, RowCursor start, int readers)
        : base(source, rows, config, start)
    {
        (rowBytes, this.readers) = (source.RowBytes, readers);
        (numbers, finite) = (new long[config.BatchRows], new bool[config.BatchRows]);
        fromDisk = (double)rows * rowBytes > GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 2.0;
    }

    public override void Make(Span<byte> slot)
    {
        for (var at = 0; at < numbers.Length;)
        {
            var count = (int)Math.Min(numbers.Length - at, Rows - Cursor.Position);
            var rows = numbers.AsSpan(at, count);
            Order.Fill(Cursor.Position, rows);
            if (fromDisk)
                foreach (var row in rows) Source.Expect(row);
            Read(slot, at, count);
            Advance(count);
            at = Close(slot, at, count);
        }
    }

    /// <summary>Takes out rows that are not finite.</summary>
    /// <returns>Rows that the batch has now.</returns>
    int Close(Span<byte> slot, int at, int count)
    {
        var end = at;
        for (var b = at; b < at + count; b++)
        {
            if (!finite[b])
            {
                Refuse(numbers[b]);
                continue;
            }
            Keep();
            if (end != b) slot.Slice(b * rowBytes, rowBytes).CopyTo(slot[(end * rowBytes)..]);
            end++;
        }
        return end;
    }

    unsafe void Read(Span<byte> slot, int at, int count)
    {
        if (readers == 1 || count <= RowsPerPart)
        {
            ReadPart(slot, at, at + count);
            return;
        }
        fixed (byte* start = slot)
        {
            var (first, length) = ((nint)start, slot.Length);
            try
            {
                Parallel.For(0, (count + RowsPerPart - 1) / RowsPerPart, new() { MaxDegreeOfParallelism = readers },
                    part =>
                        ReadPart(new((byte*)first, length), at + part * RowsPerPart,
                            at + Math.Min(count, (part + 1) * RowsPerPart)));
            }
            catch (AggregateException e) { ExceptionDispatchInfo.Throw(e.InnerExceptions[0]); }
        }
    }

    void ReadPart(Span<byte> slot, int from, int to)
    {
        for (var b = from; b < to; b++)
        {
            var row = slot.Slice(b * rowBytes, rowBytes);
            Source.Read(numbers[b], row);
            finite[b] = Finite.All(row, Source.Type);
        }
    }
}
