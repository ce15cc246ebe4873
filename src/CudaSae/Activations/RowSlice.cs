namespace CudaSae.Activations;

/// <summary>Consecutive rows of a source.</summary>
/// <param name="Source">The source; the slice does not own it.</param>
/// <param name="First">The first row of the slice.</param>
/// <param name="Count">The number of rows.</param>
readonly record struct RowSlice(ActivationSource Source, long First, long Count)
{
    /// <summary>All rows of a source.</summary>
    public static RowSlice All(ActivationSource source) => new(source, 0, source.Rows);

    /// <summary>The first rows of the slice, at most <paramref name="limit"/>.</summary>
    public RowSlice AtMost(long limit) => this with { Count = Math.Min(Count, limit) };

    /// <summary>The first row behind the slice.</summary>
    public long End => First + Count;
}
