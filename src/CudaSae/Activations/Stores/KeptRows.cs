namespace CudaSae.Activations.Stores;

/// <summary>The rows that a mask keeps, as runs. Padding is at the ends of contexts, so this takes two numbers per
/// context rather than one per row.</summary>
sealed class KeptRows
{
    readonly List<long> kept = [], row = [];    // each run's first row, as a kept row and as a row of the file

    KeptRows() { }

    public long Count { get; private set; }

    /// <summary>Reads a mask of <paramref name="rows"/> elements; nonzero elements are kept.</summary>
    /// <param name="read">Reads the mask, from a byte on.</param>
    public static KeptRows Of(long rows, int elementBytes, ReadAt read)
    {
        var all = new KeptRows();
        var inside = false;
        const int Block = 1 << 16;
        var buffer = new byte[Math.Min(Block, rows) * elementBytes];
        for (long start = 0; start < rows; start += Block)
        {
            var part = buffer.AsSpan(0, (int)Math.Min(Block, rows - start) * elementBytes);
            read(start * elementBytes, part);
            for (var i = 0; i < part.Length / elementBytes; i++)
            {
                var keep = part.Slice(i * elementBytes, elementBytes).ContainsAnyExcept((byte)0);
                if (keep && !inside)
                {
                    all.kept.Add(all.Count);
                    all.row.Add(start + i);
                }
                if (keep) all.Count++;
                inside = keep;
            }
        }
        return all;
    }

    /// <summary>The row in the file of the i-th kept row.</summary>
    public long this[long i]
    {
        get
        {
            var run = Shards.Find(kept, i);
            return row[run] + i - kept[run];
        }
    }

    /// <summary>Returns the number of kept rows from the i-th on that are contiguous in the file.</summary>
    public long Run(long i)
    {
        var run = Shards.Find(kept, i);
        return (run + 1 < kept.Count ? kept[run + 1] : Count) - i;
    }
}
