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

    // the rows may not all stay in memory
    readonly bool fromDisk = (double)rows * source.RowBytes > GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 2.0;

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
            try
            {
                Parallel.For(0, (to - from + RowsPerPart - 1) / RowsPerPart, new() { MaxDegreeOfParallelism = readers },
                    part => ReadPart(numbers, finite, from + part * RowsPerPart,
                        Math.Min(to, from + (part + 1) * RowsPerPart), new((byte*)first, length)));
            }
            catch (AggregateException e) { ExceptionDispatchInfo.Throw(e.InnerExceptions[0]); }
        }
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
