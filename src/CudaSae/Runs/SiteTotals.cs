namespace CudaSae.Runs;

/// <summary>Sums of each of a crosscoder's sites, for their FVU.</summary>
/// <param name="widths">As in <see cref="Model.SaeSpec.Sites"/>.</param>
sealed class SiteTotals(int[] widths)
{
    readonly EvaluationTotals[] sites = [.. widths.Select(width => new EvaluationTotals(width, 0))];

    /// <summary>Null for an SAE of one site, whose FVU says the same.</summary>
    public static SiteTotals? Of(int[]? widths) => widths is { Length: > 1 } ? new(widths) : null;

    /// <param name="raw">A row, sites side by side.</param>
    public void Add(ReadOnlySpan<float> raw, double scale, ReadOnlySpan<float> xhat)
    {
        var at = 0;
        foreach (var (site, width) in sites.Zip(widths))
        {
            site.Add(raw.Slice(at, width), scale, xhat.Slice(at, width));
            at += width;
        }
    }

    /// <summary>In the sites' order.</summary>
    public double?[] Fvu() => [.. sites.Select(site => site.Finish(0).Fvu)];
}
