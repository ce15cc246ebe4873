namespace CudaSae.Lab.Insight.Contexts;

/// <summary>Collects in one pass what latents fire on: how often and how strongly, the strongest rows, a sample of rows
/// over the whole range, and the codes, as far as they fit. The result does not depend on how the pass is cut into
/// batches. No latent fires on a row that the pass leaves out. It takes about 600 bytes a latent at the defaults (40 MB
/// for n = 65,536) and the memory of the kept codes.</summary>
/// <param name="latents">n.</param>
/// <param name="firstRow">First row of the pass, from which rows are counted.</param>
/// <param name="contexts">Strongest rows kept for each latent.</param>
/// <param name="samples">Rows kept of each fifth of a latent's range.</param>
/// <param name="codeBytes">Memory for codes. If they need more, the codes of a random share of the rows are
/// kept.</param>
sealed class ContextCollector(int latents, long firstRow, int contexts = 8, int samples = 2, long codeBytes = 256 << 20)
    : ICodeVisitor
{
    readonly long[] count = new long[latents];
    readonly double[] sum = new double[latents];
    readonly float[] max = new float[latents];
    internal readonly TopRows Top = new(latents, contexts);
    internal readonly ActivationBins Bins = new(latents, samples);
    internal readonly RowCodes Codes = new(codeBytes / RowCodes.BytesAnEntry);

    public int Latents => latents;
    public long FirstRow => firstRow;

    /// <summary>The row after the last visited one, counted from the first row of the pass.</summary>
    public int Rows { get; private set; }

    /// <summary>The number of visited rows: all but those that the pass left out.</summary>
    public int Seen { get; private set; }

    /// <summary>Rows on which a latent fired.</summary>
    public long Count(int latent) => count[latent];

    /// <summary>Largest |value|; 0 if the latent never fired.</summary>
    public float Max(int latent) => max[latent];

    /// <summary>Mean value over the rows on which the latent fired; 0 if it never fired.</summary>
    public float Mean(int latent) => count[latent] == 0 ? 0 : (float)(sum[latent] / count[latent]);

    public void Visit(in CodeBatch batch)
    {
        if (batch.FirstRow < firstRow + Rows)
            throw new ArgumentException($"row {batch.FirstRow} was given where {firstRow + Rows} follows");
        if (batch.FirstRow - firstRow + batch.Rows > Array.MaxLength)
            throw new SaeException($"more than {Array.MaxLength} rows; take fewer rows");
        Rows = (int)(batch.FirstRow - firstRow);
        Seen += batch.Rows;
        for (var b = 0; b < batch.Rows; b++, Rows++)
        {
            ReadOnlySpan<int> index = batch.Codes.Indices(b);
            ReadOnlySpan<float> value = batch.Codes.Values(b);
            for (var j = 0; j < index.Length; j++) Count(index[j], value[j]);
            Codes.Add(Rows, index, value);
        }
    }

    /// <summary>Ends the collection after the pass.</summary>
    /// <param name="rows">Rows of the source.</param>
    /// <param name="leftOut">Rows that the pass left out.</param>
    /// <exception cref="ArgumentException">The pass did not visit all other rows.</exception>
    public void End(long rows, long leftOut)
    {
        if (Seen + leftOut != rows)
            throw new ArgumentException($"the pass visited {Seen} rows and left {leftOut} out, but the source has "
                + $"{rows}");
        Rows = (int)rows;
    }

    void Count(int latent, float value)
    {
        count[latent]++;
        sum[latent] += value;
        max[latent] = Math.Max(max[latent], Math.Abs(value));
        Top.Offer(latent, Rows, value);
        Bins.Offer(latent, Rows, value);
    }
}
