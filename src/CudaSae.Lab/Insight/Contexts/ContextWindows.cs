namespace CudaSae.Lab.Insight.Contexts;

/// <summary>A row on which a latent fires. Rows are counted from the first one looked at.</summary>
/// <param name="Bucket">0 for one of the strongest; 1 to 5 for a random one from that fifth of the latent's
/// range.</param>
readonly record struct Context(int Latent, int Row, float Value, byte Bucket);

/// <summary>The contexts of all latents with the tokens around them, and how strongly the latent fires on each of
/// these: 16 + 2 window + 1 bytes a context
/// (24 MB for 65,536 latents with ten contexts of 21 tokens).</summary>
sealed class ContextWindows
{
    public const int Levels = 127;      // of a latent's largest value

    readonly TokenTexts texts;
    readonly int window;
    readonly List<Context> items = [];
    readonly int[] start;
    readonly sbyte[] level;

    public ContextWindows(ContextCollector collector, TokenTexts texts, int window)
    {
        (this.texts, this.window, start) = (texts, window, new int[collector.Latents + 1]);
        for (var i = 0; i < collector.Latents; i++)
        {
            if (collector.Count(i) > 0) Add(collector, i);
            start[i + 1] = items.Count;
        }
        level = new sbyte[(long)items.Count * (2 * window + 1)];
    }

    void Add(ContextCollector collector, int latent)
    {
        var rows = collector.Top.Rows(latent);
        var values = collector.Top.Values(latent);
        for (var k = 0; k < rows.Length; k++) items.Add(new(latent, rows[k], values[k], 0));
        for (var bucket = ActivationBins.Buckets; bucket > 0; bucket--)
            foreach (var (row, value) in collector.Bins.Sample(latent, bucket - 1)
                .OrderByDescending(s => Math.Abs(s.Value)).ThenBy(s => s.Row))
                if (!rows.Contains(row)) items.Add(new(latent, row, value, (byte)bucket));
    }

    /// <summary>Contexts of a latent: the strongest, then random ones from the highest fifth down.</summary>
    public IEnumerable<int> Of(int latent) => Enumerable.Range(start[latent], start[latent + 1] - start[latent]);

    public Context this[int item] => items[item];
    public int Count => items.Count;

    /// <summary>Rows [first, end) that are shown.</summary>
    public (int First, int End) Window(int item)
    {
        var row = items[item].Row;
        var (first, end) = texts.Sequence(row);
        return (Math.Max(first, row - window), Math.Min(end, row + window + 1));
    }

    /// <summary>Of each shown row the latent's value, in 127ths of its largest; 0 only where it does not
    /// fire.</summary>
    public ReadOnlySpan<sbyte> LevelsOf(int item)
    {
        var (first, end) = Window(item);
        return level.AsSpan(item * (2 * window + 1), end - first);
    }

    /// <summary>Looks the values up.</summary>
    /// <param name="codes">Of all rows that these contexts show.</param>
    public void Fill(ReadOnlySpan<int> contexts, RowCodes codes, ContextCollector collector)
    {
        foreach (var item in contexts)
        {
            var (first, end) = Window(item);
            var (latent, at) = (items[item].Latent, item * (2 * window + 1));
            for (var row = first; row < end; row++)
                if (codes.Value(row, latent) is var value and not 0)
                    level[at + row - first] = LevelOf(value, collector.Max(latent));
        }
    }

    /// <summary>At least ±1, so that a weak firing differs from none.</summary>
    static sbyte LevelOf(float value, float max)
    {
        var magnitude = Math.Clamp((int)Math.Round(Levels * Math.Abs((double)value) / max), 1, Levels);
        return (sbyte)(value < 0 ? -magnitude : magnitude);
    }
}
