namespace CudaSae.Lab.Insight.Probes;

/// <summary>All codes by latent, as far as a budget of memory goes: 16 bytes an entry at most while they are turned
/// round, 8 afterwards. Where all do not fit, they come in ranges of latents, each with a pass of its own; what
/// is computed of a latent does not depend on it.</summary>
sealed class CodeStore
{
    const int BytesAnEntry = sizeof(int) + sizeof(float);

    readonly long[] counts;             // entries of each latent
    readonly Action<ICodeVisitor> pass;
    readonly CodeColumns? whole;        // null where they did not fit
    readonly long budget;

    /// <param name="latents">n.</param>
    /// <param name="budget">Bytes that codes may take.</param>
    /// <param name="pass">Encodes all rows, from 0; called once, or once more for each range.</param>
    public CodeStore(int latents, long budget, Action<ICodeVisitor> pass)
    {
        (this.budget, this.pass) = (budget, pass);
        var log = new CodeLog(latents, budget / (2 * BytesAnEntry));
        pass(log);
        (counts, Passes) = (log.Counts, 1);
        if (log.Parts is not { } parts) return;
        var filler = new ColumnFiller([.. Enumerable.Range(0, latents)], counts);
        foreach (var part in parts) part.CopyTo(filler);
        whole = filler.Done();
    }

    /// <summary>How often the rows were encoded so far.</summary>
    public int Passes { get; private set; }

    /// <summary>Entries of each latent, [n]: the rows on which it is active.</summary>
    public IReadOnlyList<long> Counts => counts;

    /// <summary>All latents, ascending, in as many ranges as the budget asks for.</summary>
    public IEnumerable<CodeColumns> Ranges()
    {
        if (whole is not null) yield return whole;
        else
            for (int first = 0, last; first < counts.Length; first = last)
            {
                long entries = counts[first];
                for (last = first + 1; last < counts.Length && (entries + counts[last]) * BytesAnEntry <= budget
                    && entries + counts[last] <= Array.MaxLength; last++)
                    entries += counts[last];
                yield return Fill([.. Enumerable.Range(first, last - first)]);
            }
    }

    /// <summary>Some latents' columns, in this order.</summary>
    public CodeColumns Columns(int[] latents)
    {
        if (whole is null) return Fill(latents);
        var filler = new ColumnFiller(latents, counts);
        foreach (var latent in latents)
            for (var i = 0; i < counts[latent]; i++)
                filler.Add(whole.Rows(latent)[i], whole.Latents.AsSpan(latent, 1), whole.Values(latent).Slice(i, 1));
        return filler.Done();
    }

    CodeColumns Fill(int[] latents)
    {
        var filler = new ColumnFiller(latents, counts);
        pass(filler);
        Passes++;
        return filler.Done();
    }
}

/// <summary>Codes as they come, while there is room, and always their number a latent.</summary>
sealed class CodeLog(int latents, long room) : ICodeVisitor
{
    long entries;

    public long[] Counts { get; } = new long[latents];

    /// <summary>All that came; null when it was more than there was room for.</summary>
    public List<Part>? Parts { get; private set; } = [];

    /// <summary>A batch's codes, as CSR has them.</summary>
    public sealed record Part(int FirstRow, int[] Start, int[] Index, float[] Value)
    {
        public void CopyTo(ColumnFiller filler)
        {
            for (var b = 0; b + 1 < Start.Length; b++)
                filler.Add(FirstRow + b, Index.AsSpan(Start[b]..Start[b + 1]), Value.AsSpan(Start[b]..Start[b + 1]));
        }
    }

    /// <summary>Labels are of all rows.</summary>
    public bool NeedsEveryRow => true;

    public void Visit(in CodeBatch batch)
    {
        foreach (var latent in batch.Codes.AllIndices) Counts[latent]++;
        if ((entries += batch.Codes.Count) > Math.Min(room, Array.MaxLength)) Parts = null;
        Parts?.Add(new((int)batch.FirstRow, batch.Codes.RowStarts.ToArray(), batch.Codes.AllIndices.ToArray(),
            batch.Codes.AllValues.ToArray()));
    }
}
