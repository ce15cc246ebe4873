using CudaSae.Numerics;

namespace CudaSae.Activations.Stores;

/// <summary>Rows of one file of a store, read in place: all of one width and element type, each contiguous, with their
/// token ids where the store has them.</summary>
interface IShard : IDisposable
{
    string Path { get; }
    long Rows { get; }
    int Width { get; }              // d
    InputType Type { get; }
    bool HasTokens { get; }

    /// <summary>Where in which network the rows were taken, for people; null where the store does not say.</summary>
    string? Site => null;

    /// <summary>How many rows can be read at once from row <paramref name="i"/> on: they lie one after another as they
    /// are wanted.</summary>
    long Run(long i) => 1;

    /// <summary>Copies the raw bytes of row <paramref name="i"/> and of those after it.</summary>
    /// <param name="into">As long as one row, or several of <see cref="Run"/>.</param>
    void Read(long i, Span<byte> into);

    /// <summary>Says that row <paramref name="i"/>, and <paramref name="count"/> of <see cref="Run"/> in all, are read
    /// soon.</summary>
    void Expect(long i, int count) { }

    /// <summary>The token id at row <paramref name="i"/>.</summary>
    int Token(long i);

    /// <summary>Where row <paramref name="i"/> stands, for messages.</summary>
    string Locate(long i) => $"{Path}, row {i}";
}

/// <summary>Copies bytes from an offset on, as many as there is room for.</summary>
delegate void ReadAt(long offset, Span<byte> into);

/// <summary>What the layouts share.</summary>
static class Shards
{
    /// <summary>[…, width] as [rows, width]: contexts and positions are flattened in their order.</summary>
    /// <exception cref="SaeException">It is no matrix, or its width is impossible.</exception>
    public static (long Rows, int Width) Flatten(string path, long[] shape)
    {
        if (shape.Length < 2)
            throw new SaeException($"{path} has shape [{string.Join(", ", shape)}]; activations are a matrix [rows, "
                + "width] or [contexts, positions, width]");
        if (shape[^1] is < 1 or > 16384) throw new SaeException($"{path} is {shape[^1]} wide; 1 to 16384 is possible");
        return (Count(shape.AsSpan(..^1)), (int)shape[^1]);
    }

    /// <summary>The product of extents.</summary>
    public static long Count(ReadOnlySpan<long> extents)
    {
        var count = 1L;
        foreach (var extent in extents) count = checked(count * extent);
        return count;
    }

    /// <summary>The last of these ascending starts at or before <paramref name="i"/>: where some intervals are empty,
    /// the one that holds it.</summary>
    public static int Find(List<long> starts, long i)
    {
        int low = 0, high = starts.Count - 1;
        while (low < high)
        {
            var middle = (low + high + 1) / 2;
            if (starts[middle] <= i) low = middle;
            else high = middle - 1;
        }
        return low;
    }
}
