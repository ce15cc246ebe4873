using CudaSae.Numerics;

namespace CudaSae.Lab.Insight.Contexts;

/// <summary>Codes of rows, as CSR, within a budget. When it is exceeded, half of the rows are dropped by a random
/// number of their own, again and again: what is left is a uniform
/// sample that depends on nothing but the rows.</summary>
/// <param name="budget">Entries there is room for.</param>
sealed class RowCodes(long budget)
{
    public const int BytesAnEntry = sizeof(int) + sizeof(float);
    const ulong Seed = 0x726f7773;

    readonly int capacity = (int)Math.Min(budget, Array.MaxLength);
    int[] rows = new int[1024], start = new int[1025], index = new int[4096];
    float[] value = new float[4096];

    /// <summary>A row is kept with probability 2^−level.</summary>
    public int Level { get; private set; }
    public bool IsComplete => Level == 0;
    public int Count { get; private set; }
    public int Entries => start[Count];

    /// <summary>Which row stands at a place; ascending.</summary>
    public int Row(int place) => rows[place];
    public ReadOnlySpan<int> Indices(int place) => index.AsSpan(start[place], start[place + 1] - start[place]);
    public ReadOnlySpan<float> Values(int place) => value.AsSpan(start[place], start[place + 1] - start[place]);

    /// <param name="row">Higher than every one before.</param>
    public void Add(int row, ReadOnlySpan<int> indices, ReadOnlySpan<float> values)
    {
        if (!IsKept(row, Level)) return;
        while ((long)Entries + indices.Length > capacity && Level < 64)
        {
            Thin(Level + 1);
            if (!IsKept(row, Level)) return;
        }
        if (Count == rows.Length)
        {
            Array.Resize(ref rows, 2 * Count);
            Array.Resize(ref start, 2 * Count + 1);
        }
        var (first, end) = (Entries, Entries + indices.Length);
        if (end > index.Length)
        {
            var room = (int)Math.Max(end, Math.Min(2L * index.Length, capacity));
            Array.Resize(ref index, room);
            Array.Resize(ref value, room);
        }
        indices.CopyTo(index.AsSpan(first));
        values.CopyTo(value.AsSpan(first));
        rows[Count++] = row;
        start[Count] = end;
    }

    static bool IsKept(int row, int level) =>
        level == 0 || (level < 64 && CounterRandom.Of(Seed, 0, (ulong)row, 0) >> 64 - level == 0);

    /// <summary>Drops rows until the level is reached.</summary>
    public void Thin(int level)
    {
        var kept = 0;
        for (var place = 0; place < Count; place++)
        {
            if (!IsKept(rows[place], level)) continue;
            var (from, length, to) = (start[place], start[place + 1] - start[place], start[kept]);
            Array.Copy(index, from, index, to, length);
            Array.Copy(value, from, value, to, length);
            rows[kept++] = rows[place];
            start[kept] = to + length;
        }
        (Count, Level) = (kept, level);
    }

    /// <summary>A latent's value on a row that is kept; 0 where it does not fire, or the row is not here.</summary>
    public float Value(int row, int latent)
    {
        var place = Count > row && rows[row] == row ? row : Array.BinarySearch(rows, 0, Count, row);
        if (place < 0) return 0;
        var at = Indices(place).BinarySearch(latent);
        return at < 0 ? 0 : value[start[place] + at];
    }

    /// <summary>Σ over rows of L0²: what counting pairs costs.</summary>
    public long Pairs
    {
        get
        {
            var sum = 0L;
            for (var place = 0; place < Count; place++)
                sum += (long)(start[place + 1] - start[place]) * (start[place + 1] - start[place]);
            return sum;
        }
    }
}
