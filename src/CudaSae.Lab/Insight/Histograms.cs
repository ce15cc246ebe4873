using CudaSae.Lab.Report;

namespace CudaSae.Lab.Insight;

/// <summary>Bins of figures, and numbers as their sentences say them.</summary>
static class Histograms
{
    /// <summary>Edges at equal distances.</summary>
    public static float[] Linear(double from, double to, int bins) =>
        [.. Enumerable.Range(0, bins + 1).Select(i => (float)(from + (to - from) * i / bins))];

    /// <summary>Edges at powers of 10^(1 / perDecade) that enclose all values above 0; of none, one decade around
    /// 1.</summary>
    public static float[] Logarithmic(IEnumerable<double> values, int perDecade)
    {
        double[] positive = [.. values.Where(v => v > 0 && double.IsFinite(v))];
        if (positive.Length == 0) positive = [1];
        var first = (int)Math.Floor(Math.Log10(positive.Min()) * perDecade);
        var last = Math.Max(first + 1, (int)Math.Ceiling(Math.Log10(positive.Max()) * perDecade));
        return [.. Enumerable.Range(first, last - first + 1).Select(i => (float)Math.Pow(10, (double)i / perDecade))];
    }

    /// <summary>Edges of densities: 1, 2, 4, … firings, so that every bin has room for a count however few there
    /// are.</summary>
    public static float[] Octaves(long rows)
    {
        var edges = new List<float> { 1f / rows };
        for (long firings = 2; edges[^1] <= 1; firings *= 2) edges.Add((float)((double)firings / rows));
        return [.. edges];
    }

    /// <summary>The bin of a value; those outside belong to the first or the last.</summary>
    public static int BinOf(float value, float[] edges)
    {
        var found = Array.BinarySearch(edges, value);
        return Math.Clamp(found >= 0 ? found : ~found - 1, 0, edges.Length - 2);
    }

    /// <summary>NaN is left out.</summary>
    public static Bins Count(string name, IEnumerable<double> values, float[] edges)
    {
        var counts = new float[edges.Length - 1];
        foreach (var value in values)
            if (!double.IsNaN(value)) counts[BinOf((float)value, edges)]++;
        return new(name, counts);
    }

    public static float[] Floats(IEnumerable<double> values) => [.. values.Select(v => (float)v)];

    /// <summary>Percent where that can be read, else a power of ten.</summary>
    public static string Share(double share) => share is 0 or >= 1e-4 ? $"{100 * share:0.##} %" : $"{share:0.0e+0}";

    /// <summary>Three digits or so; a word for what is not finite, such as a quotient by a deviation of 0.</summary>
    public static string Number(double value) => Math.Abs(value) switch
    {
        double.NaN or double.PositiveInfinity => "undefined",
        0 => "0",
        < 1e-3 or >= 1e6 => $"{value:0.00e+0}",
        < 0.1 => $"{value:0.0000}",
        < 10 => $"{value:0.000}",
        < 1000 => $"{value:0.0}",
        _ => $"{value:0}",
    };
}
