using CudaSae.Numerics;

namespace CudaSae.Activations.Stores;

/// <summary>The rows of one file of a store, read in place. All rows have the same width and element type, each row is
/// contiguous, and rows have token ids if the store has them.</summary>
interface IShard : IDisposable
{
    string Path { get; }
    long Rows { get; }
    int Width { get; }              // d
    InputType Type { get; }
    bool HasTokens { get; }

    /// <summary>The site in the network from which the rows were taken, as text; null if the store does not record
    /// it.</summary>
    string? Site => null;

    /// <summary>Returns the number of rows from row <paramref name="i"/> on that are contiguous in the file and can be
    /// read at once.</summary>
    long Run(long i) => 1;

    /// <summary>Copies the raw bytes of consecutive rows, starting at row <paramref name="i"/>.</summary>
    /// <param name="into">Receives one row, or several rows within <see cref="Run"/>.</param>
    void Read(long i, Span<byte> into);

    /// <summary>Announces that <paramref name="count"/> rows from row <paramref name="i"/> on, within
    /// <see cref="Run"/>, will be read soon.</summary>
    void Expect(long i, int count) { }

    /// <summary>Returns the token id of row <paramref name="i"/>.</summary>
    int Token(long i);

    /// <summary>Returns the place of row <paramref name="i"/>, for messages.</summary>
    string Locate(long i) => $"{Path}, row {i}";
}

/// <summary>Copies bytes from an offset on and fills the span.</summary>
delegate void ReadAt(long offset, Span<byte> into);

/// <summary>Functions that all layouts use.</summary>
static class Shards
{
    /// <summary>Flattens a shape […, width] to [rows, width]; contexts and positions keep their order.</summary>
    /// <exception cref="SaeException">The shape is not a matrix, or its width is out of range.</exception>
    public static (long Rows, int Width) Flatten(string path, long[] shape)
    {
        if (shape.Length < 2)
            throw new SaeException($"{path} has shape [{string.Join(", ", shape)}]; activations are a matrix [rows, "
                + "width] or [contexts, positions, width]");
        if (shape[^1] is < 1 or > 16384) throw new SaeException($"{path} is {shape[^1]} wide; 1 to 16384 is possible");
        return (Count(shape.AsSpan(..^1)), (int)shape[^1]);
    }

    /// <summary>Returns the product of extents.</summary>
    public static long Count(ReadOnlySpan<long> extents)
    {
        var count = 1L;
        foreach (var extent in extents) count = checked(count * extent);
        return count;
    }

    /// <summary>Returns the index of the last of these ascending starts that is at most <paramref name="i"/>. Empty
    /// intervals are skipped, so the interval contains i.</summary>
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
