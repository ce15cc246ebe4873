using System.Numerics;

namespace CudaSae.Insight.Probes;

/// <summary>Products of float32 rows with double vectors, summed in double.</summary>
static class RowProducts
{
    public static double Largest(ReadOnlySpan<double> v)
    {
        double largest = 0;
        foreach (var x in v) largest = Math.Max(largest, Math.Abs(x));
        return largest;
    }

    public static double Dot(ReadOnlySpan<double> a, ReadOnlySpan<double> b)
    {
        double sum = 0;
        for (var i = 0; i < a.Length; i++) sum += a[i] * b[i];
        return sum;
    }

    public static double Dot(ReadOnlySpan<float> row, ReadOnlySpan<double> u)
    {
        var (low, high, j) = (Vector<double>.Zero, Vector<double>.Zero, 0);
        for (; j <= row.Length - Vector<float>.Count; j += Vector<float>.Count)
        {
            Vector.Widen(new Vector<float>(row[j..]), out var first, out var second);
            low += first * new Vector<double>(u[j..]);
            high += second * new Vector<double>(u[(j + Vector<double>.Count)..]);
        }
        var sum = Vector.Sum(low + high);
        for (; j < row.Length; j++) sum += row[j] * u[j];
        return sum;
    }

    public static void AddScaled(Span<double> into, double weight, ReadOnlySpan<float> row)
    {
        var j = 0;
        for (; j <= row.Length - Vector<float>.Count; j += Vector<float>.Count)
        {
            Vector.Widen(new Vector<float>(row[j..]), out var first, out var second);
            (new Vector<double>(into[j..]) + weight * first).CopyTo(into[j..]);
            var rest = into[(j + Vector<double>.Count)..];
            (new Vector<double>(rest) + weight * second).CopyTo(rest);
        }
        for (; j < row.Length; j++) into[j] += weight * row[j];
    }
}
