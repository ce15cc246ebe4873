namespace CudaSae.Lab.Insight.Contexts;

/// <summary>What latents fire on, in one pass: how often and how strongly, the strongest rows, a sample of rows over
/// the whole range, and the codes themselves as far as they
/// have room. Nothing depends on how the pass is cut into batches; a row that a pass left out is one on which nothing
/// fires. About 600 bytes a latent at the defaults (40 MB for n = 65,536) and what is kept of the codes.</summary>
/// <param name="latents">n.</param>
/// <param name="firstRow">First row of the pass: rows are counted from it.</param>
/// <param name="contexts">Strongest rows kept a latent.</param>
/// <param name="samples">Rows kept of each fifth of a latent's range.</param>
/// <param name="codeBytes">Room for codes; when they need more, those of a random share of the rows are kept.</param>
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

    /// <summary>Row behind the last one that was seen, counted from the first of the pass.</summary>
    public int Rows { get; private set; }

    /// <summary>Rows that were seen: all but those that the pass left out.</summary>
    public int Seen { get; private set; }

    /// <summary>Rows on which a latent fired.</summary>
    public long Count(int latent) => count[latent];

    /// <summary>Largest |value|; 0 where it never fired.</summary>
    public float Max(int latent) => max[latent];

    /// <summary>Mean value over the rows on which it fired; 0 where it never did.</summary>
    public float Mean(int latent) => count[latent] == 0 ? 0 : (float)(sum[latent] / count[latent]);

    public void Visit(in CodeBatch batch)
    {
        if (batch.FirstRow < firstRow + Rows)
            throw new ArgumentException($"row {batch.FirstRow} was given where {firstRow + Rows} follows");
        if (batch.FirstRow - firstRow + batch.Rows > Array.MaxLength)
            throw new SaeException($"more than {Array.MaxLength} rows; look at fewer");
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

    /// <summary>The pass has ended.</summary>
    /// <param name="rows">Rows that it was asked for.</param>
    /// <param name="leftOut">Those of them that it left out.</param>
    /// <exception cref="ArgumentException">It did not look at all others.</exception>
    public void End(long rows, long leftOut)
    {
        if (Seen + leftOut != rows)
            throw new ArgumentException($"the pass saw {Seen} rows and left {leftOut} out, the source has {rows}");
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
