using System.Runtime.ExceptionServices;
using CudaSae.Activations;
using CudaSae.Numerics;

namespace CudaSae.Feeding;

/// <summary>Reads single rows of a batch into host memory, on several threads, and checks them for NaN and
/// infinity.</summary>
/// <param name="rows">Number of training rows.</param>
/// <param name="readers">Number of threads.</param>
sealed class RowReader(ActivationSource source, long rows, int readers)
{
    const int RowsPerPart = 64;     // rows that a reader takes at a time

    readonly bool fromDisk = source.ExceedsMemory(rows);

    /// <summary>Reads the rows from <paramref name="from"/> to <paramref name="to"/> of a batch.</summary>
    /// <param name="numbers">[B] rows of the batch.</param>
    /// <param name="finite">[B] receives whether a row that was read is finite.</param>
    /// <param name="batch">[B, row] receives the rows.</param>
    /// <exception cref="SaeException">A row cannot be read.</exception>
    public unsafe void Read(long[] numbers, bool[] finite, int from, int to, Span<byte> batch)
    {
        if (fromDisk)
            for (var b = from; b < to; b++) source.Expect(numbers[b]);
        if (readers == 1 || to - from <= RowsPerPart)
        {
            ReadPart(numbers, finite, from, to, batch);
            return;
        }
        fixed (byte* start = batch)
        {
            var (first, length) = ((nint)start, batch.Length);
            ForParts(from, to, RowsPerPart, readers, (begin, end) =>
                ReadPart(numbers, finite, (int)begin, (int)end, new((byte*)first, length)));
        }
    }

    /// <summary>Divides a range into parts for several threads. The first error of a part is thrown as it is.</summary>
    /// <param name="size">Length of a part.</param>
    /// <param name="readers">Number of threads.</param>
    /// <param name="read">Receives the first index of a part and its end.</param>
    public static void ForParts(long from, long to, long size, int readers, Action<long, long> read)
    {
        try
        {
            Parallel.For(0, (to - from + size - 1) / size, new() { MaxDegreeOfParallelism = readers },
                part => read(from + part * size, Math.Min(to, from + (part + 1) * size)));
        }
        catch (AggregateException e) { ExceptionDispatchInfo.Throw(e.InnerExceptions[0]); }
    }

    void ReadPart(long[] numbers, bool[] finite, int from, int to, Span<byte> batch)
    {
        for (var b = from; b < to; b++)
        {
            var row = batch.Slice(b * source.RowBytes, source.RowBytes);
            source.Read(numbers[b], row);
            finite[b] = Finite.All(row, source.Type);
        }
    }
}
