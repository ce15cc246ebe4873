namespace CudaSae;

/// <summary>A batch of sparse codes: the active latents of each row, ascending, with their values. It grows as needed
/// and can be reused, so that a loop allocates nothing. It is not thread-safe.</summary>
public sealed class SparseRows
{
    int[] start = new int[65], index = new int[1024];
    float[] value = new float[1024];
    (float Scale, float Shift)[] undo = new (float, float)[64];

    /// <summary>Number of rows.</summary>
    public int Rows { get; private set; }

    /// <summary>Number of entries of all rows.</summary>
    public int Count => start[Rows];

    /// <summary>Returns the latents of a row, ascending. The span is valid until the next change.</summary>
    /// <param name="row">0 to <see cref="Rows"/> − 1.</param>
    public ReadOnlySpan<int> Indices(int row) => index.AsSpan(First(row), start[row + 1] - start[row]);

    /// <summary>Returns the nonzero values of a row, in the order of <see cref="Indices"/>. The span is valid until the
    /// next change.</summary>
    /// <param name="row">0 to <see cref="Rows"/> − 1.</param>
    public ReadOnlySpan<float> Values(int row) => value.AsSpan(First(row), start[row + 1] - start[row]);

    /// <summary>Start of each row in <see cref="AllIndices"/>, followed by the number of entries: [Rows + 1], as in
    /// CSR.</summary>
    public ReadOnlySpan<int> RowStarts => start.AsSpan(0, Rows + 1);

    /// <summary>Latents of all rows, [Count].</summary>
    public ReadOnlySpan<int> AllIndices => index.AsSpan(0, Count);

    /// <summary>Values of all rows, [Count].</summary>
    public ReadOnlySpan<float> AllValues => value.AsSpan(0, Count);

    /// <summary>Returns the scale and the shift that convert a normalized row to the units of the input; 1 and 0
    /// without normalization.</summary>
    internal (float Scale, float Shift) Undo(int row) => undo[row];

    /// <summary>Removes all rows; the memory is kept.</summary>
    public void Clear() => Rows = 0;

    /// <summary>Appends a row.</summary>
    /// <param name="indices">Latents, ascending.</param>
    /// <param name="values">One value for each latent.</param>
    /// <exception cref="ArgumentException">The spans differ in length, or the indices do not ascend.</exception>
    public void Add(ReadOnlySpan<int> indices, ReadOnlySpan<float> values)
    {
        if (indices.Length != values.Length)
            throw new ArgumentException($"{indices.Length} indices for {values.Length} values");
        for (var i = 1; i < indices.Length; i++)
            if (indices[i] <= indices[i - 1])
                throw new ArgumentException($"index {indices[i]} follows {indices[i - 1]}; they must ascend");
        BeginRow(1, 0);
        for (var i = 0; i < indices.Length; i++) Add(indices[i], values[i]);
    }

    internal void BeginRow(float scale, float shift)
    {
        if (Rows == undo.Length)
        {
            Array.Resize(ref undo, 2 * Rows);
            Array.Resize(ref start, undo.Length + 1);
        }
        undo[Rows] = (scale, shift);
        start[Rows + 1] = start[Rows];
        Rows++;
    }

    internal void Add(int latent, float number)
    {
        var at = start[Rows]++;
        if (at == index.Length)
        {
            if (at == Array.MaxLength)
                throw new SaeException($"codes of {Rows} rows have more than {at} entries; encode fewer rows at once");
            var room = (int)Math.Min(2L * at, Array.MaxLength);
            Array.Resize(ref index, room);
            Array.Resize(ref value, room);
        }
        (index[at], value[at]) = (latent, number);
    }

    int First(int row)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)row, (uint)Rows, nameof(row));
        return start[row];
    }
}
