using System.Globalization;

namespace CudaSae.Lab.Report;

/// <summary>What sentences say of a curve. NaN and infinities are left out.</summary>
/// <param name="End">Mean of the last tenth of the points, at least one.</param>
readonly record struct Trend(double First, long FirstStep, double Last, double End, double Min, long MinStep,
    double Max, long MaxStep, double Median)
{
    /// <summary>Null when no point is finite.</summary>
    public static Trend? Of(float[] x, float[] y)
    {
        var points = x.Zip(y).Where(p => float.IsFinite(p.Second)).ToArray();
        if (points.Length == 0) return null;
        var (low, high) = (points.MinBy(p => p.Second), points.MaxBy(p => p.Second));
        var sorted = points.Select(p => (double)p.Second).Order().ToArray();
        var end = points[^Math.Max(1, points.Length / 10)..].Average(p => (double)p.Second);
        return new(points[0].Second, (long)points[0].First, points[^1].Second, end, low.Second, (long)low.First,
            high.Second, (long)high.First,
            (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2);
    }
}

/// <summary>Numbers as the sentences of a report have them.</summary>
static class Words
{
    /// <summary>Four significant digits; powers of ten where zeros would be many.</summary>
    public static string Number(double value) => !double.IsFinite(value) ? "no finite number" : value == 0 ? "0"
        : Math.Abs(value) is < 1e-3 or >= 1e7
        ? value.ToString("0.###e+0", CultureInfo.InvariantCulture).Replace("e+", "e")
        : Math.Abs(value) >= 1000 ? value.ToString("#,0", CultureInfo.InvariantCulture)
        : value.ToString("G4", CultureInfo.InvariantCulture);

    public static string Ratio(double value) => value.ToString(value < 10 ? "0.00" : "0", CultureInfo.InvariantCulture);
    public static string Percent(double share) =>
        (100 * share).ToString(Math.Abs(share) < 0.1 ? "0.##" : "0.#", CultureInfo.InvariantCulture) + " %";
    public static string Times(int count) => count == 1 ? "once" : $"{count} times";

    /// <summary>A sentence on rows that were not looked at, behind others; nothing where there were none.</summary>
    public static string LeftOut(long rows) =>
        rows == 0 ? ""
            : $" {rows} {(rows == 1 ? "row with NaN or infinity was" : "rows with NaN or infinity were")} left out.";

    public static string Counted(int count, string thing) => $"{count} {thing}{(count == 1 ? "" : "s")}";
}
