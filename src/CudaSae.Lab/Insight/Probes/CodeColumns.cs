namespace CudaSae.Lab.Insight.Probes;

/// <summary>Codes turned round: of each of some latents the rows on which it is active, ascending, and its values
/// there.</summary>
sealed class CodeColumns
{
    readonly long[] start;      // [latents + 1]
    readonly int[] rows;
    readonly float[] values;

    internal CodeColumns(int[] latents, long[] start, int[] rows, float[] values) =>
        (Latents, this.start, this.rows, this.values) = (latents, start, rows, values);

    /// <summary>The latent of each column.</summary>
    public int[] Latents { get; }

    public ReadOnlySpan<int> Rows(int column) =>
        rows.AsSpan((int)start[column], (int)(start[column + 1] - start[column]));

    public ReadOnlySpan<float> Values(int column) =>
        values.AsSpan((int)start[column], (int)(start[column + 1] - start[column]));
}

/// <summary>Fills columns whose lengths are known: 8 bytes an entry and nothing else.</summary>
sealed class ColumnFiller : ICodeVisitor
{
    readonly int[] latents, column, rows;       // column of each latent, −1 for those that are not stored
    readonly long[] start, next;
    readonly float[] values;

    /// <param name="counts">Entries of every latent.</param>
    public ColumnFiller(int[] latents, long[] counts)
    {
        (this.latents, column, start) = (latents, new int[counts.Length], new long[latents.Length + 1]);
        Array.Fill(column, -1);
        for (var c = 0; c < latents.Length; c++)
            (column[latents[c]], start[c + 1]) = (c, start[c] + counts[latents[c]]);
        if (start[^1] > Array.MaxLength)
            throw new SaeException($"{start[^1]} entries of {latents.Length} latents cannot be held at once; probe "
                + "fewer rows with --rows");
        (next, rows, values) = (start[..^1], new int[start[^1]], new float[start[^1]]);
    }

    /// <summary>As where they were counted.</summary>
    public bool NeedsEveryRow => true;

    public void Visit(in CodeBatch batch)
    {
        for (var b = 0; b < batch.Rows; b++)
            Add((int)(batch.FirstRow + b), batch.Codes.Indices(b), batch.Codes.Values(b));
    }

    public void Add(int row, ReadOnlySpan<int> index, ReadOnlySpan<float> value)
    {
        for (var i = 0; i < index.Length; i++)
        {
            if (column[index[i]] is not (>= 0 and var c)) continue;
            var at = next[c]++;
            (rows[at], values[at]) = (row, value[i]);
        }
    }

    public CodeColumns Done() => new(latents, start, rows, values);
}
