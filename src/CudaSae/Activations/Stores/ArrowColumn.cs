using System.Runtime.InteropServices;
using CudaSae.Files;
using CudaSae.Files.Arrow;

namespace CudaSae.Activations.Stores;

/// <summary>Numbers of a column in one batch: where they start in the file, and their shape [records, …]. All lists of
/// a level must be of one length, so that they form an array.</summary>
readonly record struct ArrowColumn(long Offset, long[] Shape)
{
    /// <exception cref="SaeException">There are nulls, the lists differ in length, or the buffers are shorter than they
    /// claim.</exception>
    public static ArrowColumn Of(ArrowStream stream, ArrowBatch batch, ArrowField column)
    {
        var shape = new List<long> { batch.Length };
        long first = 0, count = batch.Length;           // of the elements of this level
        for (var field = column; ; field = field.Inner)
        {
            if (field.Node >= batch.Nodes.Length || field.Buffer + 1 >= batch.Buffers.Length)
                throw stream.Bad($"a batch lacks buffers of column {column.Name}");
            var (length, nulls) = batch.Nodes[field.Node];
            if (nulls != 0) throw stream.Bad($"column {column.Name} holds nulls");
            if (count < 0 || first + count > length)
                throw stream.Bad($"column {column.Name} claims {length} elements where {first + count} are needed");
            if (field.Inner is null)
            {
                var bytes = TensorFile.WidthOf(field.Element!);
                var (offset, there) = batch.Buffers[field.Buffer + 1];
                if ((Int128)(first + count) * bytes > there)
                    throw stream.Bad($"column {column.Name} claims {first + count} numbers in a buffer of {there} "
                        + "bytes");
                return new(offset + first * bytes, [.. shape]);
            }
            var extent = (long)field.ListSize;
            if (field.Offsets == 0) first = Times(stream, first, extent);
            else
                (first, extent) =
                    Regular(stream, column.Name, batch.Buffers[field.Buffer + 1], field.Offsets, first, count);
            shape.Add(extent);
            count = Times(stream, count, extent);
        }
    }

    static long Times(ArrowStream stream, long count, long extent) =>
        (Int128)count * extent <= 1L << 60 ? count * extent : throw stream.Bad($"it claims {count} lists of {extent}");

    /// <summary>Lists [first, first + count): where the first one's elements start, and how many each has.</summary>
    static (long First, long Extent) Regular(ArrowStream stream, string name, (long Offset, long Length) buffer,
        int width, long first, long count)
    {
        if (count == 0) return (0, 0);
        if ((Int128)(first + count + 1) * width > buffer.Length)
            throw stream.Bad($"column {name} claims {first + count} lists with {buffer.Length} bytes of offsets");
        long At(long i) =>
            width == 4 ? MemoryMarshal.Read<int>(stream.Slice(buffer.Offset + i * 4, 4))
                : MemoryMarshal.Read<long>(stream.Slice(buffer.Offset + i * 8, 8));
        var start = At(first);
        var extent = At(first + 1) - start;
        if (start is < 0 or > 1L << 60 || extent < 0 || (Int128)extent * count > 1L << 60)
            throw stream.Bad($"column {name} has offsets that point nowhere");
        for (long i = 1; i <= count; i++)
            if (At(first + i) != start + i * extent)
                throw stream.Bad($"column {name} has lists of {extent} and of {At(first + i) - At(first + i - 1)}; all "
                    + "must be of one length");
        return (start, extent);
    }
}
