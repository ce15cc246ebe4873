namespace CudaSae.Insight;

/// <summary>How a direction is spread over the principal components of a covariance, without forming them: Householder reflections take the direction to the first axis and the matrix to tridiagonal form, and
/// implicit QL steps on that carry along the eigenvectors' first components alone (Golub and Welsch 1969). O(d³).</summary>
static class SpectralShares
{
    const int MaxSweeps = 60;

    /// <summary>Eigenvalues, ascending, and ⟨eigenvector, direction⟩² of each; they add up to 1.</summary>
    /// <param name="matrix">[d, d] symmetric; used up.</param>
    /// <param name="direction">[d], of norm 1.</param>
    public static (double[] Variances, double[] Shares) Of(double[] matrix, double[] direction)
    {
        var d = direction.Length;
        double[] diagonal = new double[d], beside = new double[d], first = new double[d];
        Reflect(matrix, d, direction, 0);
        for (var k = 0; k < d - 1; k++)
        {
            double[] column = [.. Enumerable.Range(k + 1, d - k - 1).Select(i => matrix[i * d + k])];
            beside[k] = Math.Sqrt(Doubles.Squares(column));
            Reflect(matrix, d, column, k + 1);
        }
        for (var k = 0; k < d; k++) diagonal[k] = matrix[k * d + k];
        first[0] = 1;
        for (var l = 0; l < d; l++)
            for (var sweep = 0; Unreduced(diagonal, beside, l) is var m && m > l; sweep++)
            {
                if (sweep == MaxSweeps) throw new SaeException("the covariance of the inputs has no eigenvalues that can be found; are they finite?", kind: SaeErrorKind.Numbers);
                Sweep(diagonal, beside, first, l, m);
            }
        Array.Sort(diagonal, first);
        return (diagonal, [.. first.Select(z => z * z)]);
    }

    /// <summary>A ← H A H on the rows and columns from <paramref name="from"/> on, H the reflection that takes x to their first axis.</summary>
    static void Reflect(double[] matrix, int d, double[] x, int from)
    {
        var v = (double[])x.Clone();
        var length = Math.Sqrt(Doubles.Squares(v));
        v[0] += v[0] < 0 ? -length : length;
        length = Math.Sqrt(Doubles.Squares(v));
        if (length == 0) return;
        for (var i = 0; i < v.Length; i++) v[i] /= length;
        var p = new double[v.Length];
        for (var i = 0; i < v.Length; i++) p[i] = Doubles.Dot(matrix.AsSpan((from + i) * d + from, v.Length), v);
        var along = Doubles.Dot(p, v);
        for (var i = 0; i < p.Length; i++) p[i] = 2 * (p[i] - along * v[i]);
        for (var i = 0; i < v.Length; i++)
        {
            var row = matrix.AsSpan((from + i) * d + from, v.Length);
            Doubles.Add(row, -v[i], p);
            Doubles.Add(row, -p[i], v);
        }
    }

    /// <summary>End of the block from l on whose off-diagonal numbers are not yet negligible.</summary>
    static int Unreduced(double[] diagonal, double[] beside, int l)
    {
        var m = l;
        while (m < diagonal.Length - 1 && Math.Abs(beside[m]) > 1e-16 * (Math.Abs(diagonal[m]) + Math.Abs(diagonal[m + 1])) + 1e-300) m++;
        return m;
    }

    /// <summary>One implicit QL sweep over [l, m] with Wilkinson's shift.</summary>
    static void Sweep(double[] diagonal, double[] beside, double[] first, int l, int m)
    {
        var g = (diagonal[l + 1] - diagonal[l]) / (2 * beside[l]);
        g = diagonal[m] - diagonal[l] + beside[l] / (g + Math.CopySign(Math.Sqrt(g * g + 1), g));
        double sine = 1, cosine = 1, shift = 0;
        for (var i = m - 1; i >= l; i--)
        {
            double f = sine * beside[i], b = cosine * beside[i], r = Math.Sqrt(f * f + g * g);
            beside[i + 1] = r;
            if (r == 0)
            {
                diagonal[i + 1] -= shift;
                beside[m] = 0;
                return;
            }
            (sine, cosine) = (f / r, g / r);
            g = diagonal[i + 1] - shift;
            r = (diagonal[i] - g) * sine + 2 * cosine * b;
            shift = sine * r;
            diagonal[i + 1] = g + shift;
            g = cosine * r - b;
            (first[i], first[i + 1]) = (cosine * first[i] - sine * first[i + 1], sine * first[i] + cosine * first[i + 1]);
        }
        diagonal[l] -= shift;
        beside[l] = g;
        beside[m] = 0;
    }
}
