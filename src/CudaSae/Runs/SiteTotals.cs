namespace CudaSae.Runs;

/// <summary>Accumulates the sums of each site of a crosscoder, for the FVU of each site.</summary>
/// <param name="widths">Widths of the sites (<see cref="Model.SaeSpec.Sites"/>).</param>
sealed class SiteTotals(int[] widths)
{
    readonly EvaluationTotals[] sites = [.. widths.Select(width => new EvaluationTotals(width, 0))];

    /// <summary>Creates the totals; null for an SAE of one site, whose FVU is that of the site.</summary>
    public static SiteTotals? Of(int[]? widths) => widths is { Length: > 1 } ? new(widths) : null;

    /// <summary>Adds one row.</summary>
    /// <param name="raw">The row, with its sites side by side.</param>
    public void Add(ReadOnlySpan<float> raw, double scale, ReadOnlySpan<float> xhat)
    {
        var at = 0;
        foreach (var (site, width) in sites.Zip(widths))
        {
            site.Add(raw.Slice(at, width), scale, xhat.Slice(at, width));
            at += width;
        }
    }

    /// <summary>Returns the FVU of each site, in the order of the sites.</summary>
    public double?[] Fvu() => [.. sites.Select(site => site.Finish(0).Fvu)];
}
