using CudaSae.Activations;
using CudaSae.Model;

namespace CudaSae.Feeding;

/// <summary>Batches whose rows are gathered from the files into host memory, with one read per row.</summary>
sealed class HostBatches : BatchMaker
{
    readonly int rowBytes;
    readonly RowReader reader;
    readonly long[] numbers;        // [B] rows of a batch
    readonly bool[] finite;         // [B]

    /// <summary>Prepares the first batch.</summary>
    /// <param name="readers">Number of threads that read a batch's rows.</param>
    public HostBatches(ActivationSource source, long rows, TrainConfig config, RowCursor start, int readers)
        : base(source, rows, config, start)
    {
        (rowBytes, reader) = (source.RowBytes, new(source, rows, readers));
        (numbers, finite) = (new long[config.BatchRows], new bool[config.BatchRows]);
    }

    public override void Make(Span<byte> slot)
    {
        for (var at = 0; at < numbers.Length;)
        {
            var count = (int)Math.Min(numbers.Length - at, Rows - Cursor.Position);
            Order.Fill(Cursor.Position, numbers.AsSpan(at, count));
            reader.Read(numbers, finite, at, at + count, slot);
            Advance(count);
            at = Close(slot, at, count);
        }
    }

    /// <summary>Removes rows that are not finite.</summary>
    /// <returns>The number of rows in the batch afterwards.</returns>
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
}
