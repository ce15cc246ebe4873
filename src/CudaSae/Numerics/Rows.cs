using System.Runtime.Intrinsics;

namespace CudaSae.Numerics;

/// <summary>Sums over rows whose length is a multiple of 16 floats, zero-padded. Fixed order: results do not depend on
/// the machine's vectors.</summary>
static unsafe class Rows
{
    /// <summary>y += s·x.</summary>
    public static void Add(float* y, float s, float* x, int length)
    {
        var vs = Vector512.Create(s);
        for (var i = 0; i < length; i += 16)
            Vector512.FusedMultiplyAdd(vs, Vector512.Load(x + i), Vector512.Load(y + i)).Store(y + i);
    }

    /// <summary>y += s0·x0 + s1·x1 + s2·x2 + s3·x3, added in that order.</summary>
    public static void Add4(float* y, float s0, float* x0, float s1, float* x1, float s2, float* x2, float s3,
        float* x3, int length)
    {
        Vector512<float> v0 =
            Vector512.Create(s0), v1 = Vector512.Create(s1), v2 = Vector512.Create(s2), v3 = Vector512.Create(s3);
        for (var i = 0; i < length; i += 16)
        {
            var sum = Vector512.FusedMultiplyAdd(v0, Vector512.Load(x0 + i), Vector512.Load(y + i));
            sum = Vector512.FusedMultiplyAdd(v1, Vector512.Load(x1 + i), sum);
            sum = Vector512.FusedMultiplyAdd(v2, Vector512.Load(x2 + i), sum);
            Vector512.FusedMultiplyAdd(v3, Vector512.Load(x3 + i), sum).Store(y + i);
        }
    }

    public static float Dot(float* x, float* y, int length)
    {
        var sum = Vector512<float>.Zero;
        for (var i = 0; i < length; i += 16)
            sum = Vector512.FusedMultiplyAdd(Vector512.Load(x + i), Vector512.Load(y + i), sum);
        return Sum(sum);
    }

    /// <summary>⟨y, x0⟩ … ⟨y, x3⟩ from one pass over y.</summary>
    public static (float, float, float, float) Dot4(float* y, float* x0, float* x1, float* x2, float* x3, int length)
    {
        Vector512<float> s0 = Vector512<float>.Zero, s1 = s0, s2 = s0, s3 = s0;
        for (var i = 0; i < length; i += 16)
        {
            var v = Vector512.Load(y + i);
            s0 = Vector512.FusedMultiplyAdd(v, Vector512.Load(x0 + i), s0);
            s1 = Vector512.FusedMultiplyAdd(v, Vector512.Load(x1 + i), s1);
            s2 = Vector512.FusedMultiplyAdd(v, Vector512.Load(x2 + i), s2);
            s3 = Vector512.FusedMultiplyAdd(v, Vector512.Load(x3 + i), s3);
        }
        return (Sum(s0), Sum(s1), Sum(s2), Sum(s3));
    }

    public static double SquaredNorm(float* x, int length)
    {
        Vector512<double> low = Vector512<double>.Zero, high = low;
        for (var i = 0; i < length; i += 16)
        {
            var (a, b) = Vector512.Widen(Vector512.Load(x + i));
            low = Vector512.FusedMultiplyAdd(a, a, low);
            high = Vector512.FusedMultiplyAdd(b, b, high);
        }
        return Sum(low + high);
    }

    /// <summary>‖x + y‖².</summary>
    public static double SquaredNormOfSum(float* x, float* y, int length)
    {
        Vector512<double> low = Vector512<double>.Zero, high = low;
        for (var i = 0; i < length; i += 16)
        {
            var (a, b) = Vector512.Widen(Vector512.Load(x + i) + Vector512.Load(y + i));
            low = Vector512.FusedMultiplyAdd(a, a, low);
            high = Vector512.FusedMultiplyAdd(b, b, high);
        }
        return Sum(low + high);
    }

    /// <summary>A column of sixteen rows.</summary>
    /// <param name="pitch">Floats between rows.</param>
    public static Vector512<float> Column(float* x, nint pitch)
    {
        float* x4 = x + 4 * pitch, x8 = x + 8 * pitch, x12 = x + 12 * pitch;
        return Vector512.Create(x[0], x[pitch], x[2 * pitch], x[3 * pitch], x4[0], x4[pitch], x4[2 * pitch],
            x4[3 * pitch],
            x8[0], x8[pitch], x8[2 * pitch], x8[3 * pitch], x12[0], x12[pitch], x12[2 * pitch], x12[3 * pitch]);
    }

    /// <summary>Σ x.</summary>
    public static float Sum(float* x, int length)
    {
        var sum = Vector512<float>.Zero;
        for (var i = 0; i < length; i += 16) sum += Vector512.Load(x + i);
        return Sum(sum);
    }

    static double Sum(Vector512<double> v)
    {
        var v4 = v.GetLower() + v.GetUpper();
        var v2 = v4.GetLower() + v4.GetUpper();
        return v2[0] + v2[1];
    }

    // Halves are added pairwise: the same tree at every vector width.
    static float Sum(Vector512<float> v)
    {
        var v8 = v.GetLower() + v.GetUpper();
        var v4 = v8.GetLower() + v8.GetUpper();
        return v4[0] + v4[2] + (v4[1] + v4[3]);
    }
}
