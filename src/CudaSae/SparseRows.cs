namespace CudaSae;

/// <summary>A batch of sparse codes: of each row its active latents, ascending, with their values. Grows as needed and
/// is used again, so that a loop allocates nothing.
/// Not thread-safe; the caller owns it.</summary>
public sealed class SparseRows
{
    int[] start = new int[65], index = new int[1024];
    float[] value = new float[1024];
    (float Scale, float Shift)[] undo = new (float, float)[64];

    public int Rows { get; private set; }

    /// <summary>Entries of all rows together.</summary>
    public int Count => start[Rows];

    /// <summary>Latents of a row, ascending.</summary>
    public ReadOnlySpan<int> Indices(int row) => index.AsSpan(First(row), start[row + 1] - start[row]);

    /// <summary>Values of a row, none of them 0, in the order of <see cref="Indices"/>.</summary>
    public ReadOnlySpan<float> Values(int row) => value.AsSpan(First(row), start[row + 1] - start[row]);

    /// <summary>Where each row starts in <see cref="AllIndices"/>, and behind the last one their number: [Rows + 1], as
    /// CSR has it.</summary>
    public ReadOnlySpan<int> RowStarts => start.AsSpan(0, Rows + 1);
    public ReadOnlySpan<int> AllIndices => index.AsSpan(0, Count);
    public ReadOnlySpan<float> AllValues => value.AsSpan(0, Count);

    /// <summary>What a normalized row is multiplied by, and what is then added, to be in the units of the input again;
    /// 1 and 0 without normalization.</summary>
    internal (float Scale, float Shift) Undo(int row) => undo[row];

    public void Clear() => Rows = 0;

    /// <summary>Appends a row.</summary>
    /// <param name="indices">Latents, ascending.</param>
    /// <param name="values">One each.</param>
    /// <exception cref="ArgumentException">The two differ in length, or indices do not ascend.</exception>
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
