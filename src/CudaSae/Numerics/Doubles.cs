using System.Numerics;
using System.Runtime.InteropServices;

namespace CudaSae.Numerics;

/// <summary>Sums in double over rows of float32 and of doubles, a vector of the machine at a time.</summary>
static class Doubles
{
    public static double Dot(ReadOnlySpan<double> x, ReadOnlySpan<double> y)
    {
        var vx = MemoryMarshal.Cast<double, Vector<double>>(x);
        var vy = MemoryMarshal.Cast<double, Vector<double>>(y);
        Vector<double> even = default, odd = default;
        var i = 0;
        for (; i + 1 < vx.Length; i += 2)
        {
            even += vx[i] * vy[i];
            odd += vx[i + 1] * vy[i + 1];
        }
        if (i < vx.Length) even += vx[i] * vy[i];
        var sum = Vector.Sum(even + odd);
        for (var j = vx.Length * Vector<double>.Count; j < x.Length; j++) sum += x[j] * y[j];
        return sum;
    }

    /// <summary>y += c x.</summary>
    public static void Axpy(double c, ReadOnlySpan<double> x, Span<double> y)
    {
        var vx = MemoryMarshal.Cast<double, Vector<double>>(x);
        var vy = MemoryMarshal.Cast<double, Vector<double>>(y);
        for (var i = 0; i < vx.Length; i++) vy[i] += c * vx[i];
        for (var i = vx.Length * Vector<double>.Count; i < x.Length; i++) y[i] += c * x[i];
    }

    /// <summary>x ← c x − s y, y ← s x + c y.</summary>
    public static void Rotate(Span<double> x, Span<double> y, double c, double s)
    {
        var vx = MemoryMarshal.Cast<double, Vector<double>>(x);
        var vy = MemoryMarshal.Cast<double, Vector<double>>(y);
        for (var i = 0; i < vx.Length; i++) (vx[i], vy[i]) = (c * vx[i] - s * vy[i], s * vx[i] + c * vy[i]);
        for (var i = vx.Length * Vector<double>.Count; i < x.Length; i++)
            (x[i], y[i]) = (c * x[i] - s * y[i], s * x[i] + c * y[i]);
    }

    public static double Dot(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        Vector<double> low = default, high = default;
        var i = 0;
        for (; i <= a.Length - Vector<float>.Count; i += Vector<float>.Count)
        {
            Vector.Widen(new Vector<float>(a[i..]), out var a0, out var a1);
            Vector.Widen(new Vector<float>(b[i..]), out var b0, out var b1);
            low += a0 * b0;
            high += a1 * b1;
        }
        var sum = Vector.Sum(low + high);
        for (; i < a.Length; i++) sum += (double)a[i] * b[i];
        return sum;
    }

    /// <summary>⟨a, b⟩ / ‖a‖‖b‖; NaN where a norm is 0.</summary>
    public static double Cosine(ReadOnlySpan<float> a, ReadOnlySpan<float> b) =>
        Cosine(a, Matrix.Norm(a), b, Matrix.Norm(b));

    /// <summary>The same of rows whose norms are known.</summary>
    public static double Cosine(ReadOnlySpan<float> a, double normA, ReadOnlySpan<float> b, double normB) =>
        Dot(a, b) / (normA * normB);

    public static double Dot(ReadOnlySpan<float> a, ReadOnlySpan<double> b)
    {
        Vector<double> low = default, high = default;
        var i = 0;
        for (; i <= a.Length - Vector<float>.Count; i += Vector<float>.Count)
        {
            Vector.Widen(new Vector<float>(a[i..]), out var a0, out var a1);
            low += a0 * new Vector<double>(b[i..]);
            high += a1 * new Vector<double>(b[(i + Vector<double>.Count)..]);
        }
        var sum = Vector.Sum(low + high);
        for (; i < a.Length; i++) sum += a[i] * b[i];
        return sum;
    }

    /// <summary>to += factor · row.</summary>
    public static void Add(Span<double> to, double factor, ReadOnlySpan<float> row)
    {
        var i = 0;
        for (; i <= row.Length - Vector<float>.Count; i += Vector<float>.Count)
        {
            Vector.Widen(new Vector<float>(row[i..]), out var low, out var high);
            (new Vector<double>(to[i..]) + factor * low).CopyTo(to[i..]);
            var rest = to[(i + Vector<double>.Count)..];
            (new Vector<double>(rest) + factor * high).CopyTo(rest);
        }
        for (; i < row.Length; i++) to[i] += factor * row[i];
    }

    /// <summary>The largest magnitude; 0 of none.</summary>
    public static double Largest(ReadOnlySpan<double> a)
    {
        double largest = 0;
        foreach (var v in a) largest = Math.Max(largest, Math.Abs(v));
        return largest;
    }

    public static double Squares(ReadOnlySpan<double> a)
    {
        double sum = 0;
        foreach (var v in a) sum += v * v;
        return sum;
    }

    /// <summary>Mean and standard deviation (of the numbers themselves, not of a larger population); NaN of
    /// none.</summary>
    public static (double Mean, double Deviation) Moments(IReadOnlyCollection<double> values)
    {
        var first = values.FirstOrDefault(double.NaN);
        // Equal values have a deviation of exactly 0.
        var mean = first + values.Sum(v => v - first) / values.Count;
        return (mean, Math.Sqrt(values.Sum(v => (v - mean) * (v - mean)) / values.Count));
    }

    /// <summary>The middle one, or the mean of the two in the middle; NaN of none.</summary>
    public static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return sorted.Length == 0 ? double.NaN : (sorted[sorted.Length / 2] + sorted[(sorted.Length - 1) / 2]) / 2;
    }
}
