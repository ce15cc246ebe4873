using System.Numerics;
using System.Runtime.InteropServices;

namespace CudaSae.Insight;

/// <summary>Rows of doubles, a vector of the machine at a time.</summary>
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
        for (var i = vx.Length * Vector<double>.Count; i < x.Length; i++) (x[i], y[i]) = (c * x[i] - s * y[i], s * x[i] + c * y[i]);
    }
}
