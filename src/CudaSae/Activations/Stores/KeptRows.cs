namespace CudaSae.Activations.Stores;

/// <summary>The rows a mask keeps, as runs: padding stands at the ends of contexts, so this takes two numbers a context
/// and not one a row.</summary>
sealed class KeptRows
{
    readonly List<long> kept = [], row = [];    // each run's first row, counted among those kept and in the file

    KeptRows() { }

    public long Count { get; private set; }

    /// <summary>Reads a mask of <paramref name="rows"/> elements, each zero or not.</summary>
    /// <param name="read">Reads it, from a byte on.</param>
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

    /// <summary>The row in the file of the i-th that is kept.</summary>
    public long this[long i]
    {
        get
        {
            var run = Shards.Find(kept, i);
            return row[run] + i - kept[run];
        }
    }

    /// <summary>How many from the i-th on stand one after another in the file.</summary>
    public long Run(long i)
    {
        var run = Shards.Find(kept, i);
        return (run + 1 < kept.Count ? kept[run + 1] : Count) - i;
    }
}
