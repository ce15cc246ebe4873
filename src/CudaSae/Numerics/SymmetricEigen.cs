namespace CudaSae.Numerics;

/// <summary>Eigenvalues and eigenvectors of a symmetric matrix, in double: Householder reflections to a tridiagonal one, then implicit QL (Golub and Van Loan, Matrix Computations, §8.3). All of them, in O(d³).</summary>
sealed class SymmetricEigen
{
    const int MaxSweeps = 60;       // of QL for one eigenvalue; two or three is usual

    readonly int d;
    readonly double[] a;            // [d, d] the matrix, tridiagonal in the end
    readonly double[] diagonal, beside;
    readonly double[] vectors;      // [d, d] row j is an eigenvector

    /// <param name="matrix">[d, d] row-major, symmetric; left as it is.</param>
    /// <exception cref="SaeException">It is not finite.</exception>
    public SymmetricEigen(ReadOnlySpan<double> matrix, int d)
    {
        if (matrix.Length != (long)d * d) throw new ArgumentException($"{matrix.Length} numbers are no {d} × {d} matrix");
        foreach (var v in matrix)
            if (!double.IsFinite(v)) throw new SaeException("the covariance of the data is not finite; mend the rows that hold NaN or infinity");
        this.d = d;
        a = matrix.ToArray();
        (diagonal, beside, vectors) = (new double[d], new double[d], new double[d * d]);
        Tridiagonalize();
        for (var i = 0; i < d; i++) diagonal[i] = a[i * d + i];
        for (var l = 0; l < d; l++) Deflate(l);
        Sort();
    }

    /// <summary>Descending, [d].</summary>
    public ReadOnlySpan<double> Values => diagonal;

    /// <summary>The unit eigenvector of <see cref="Values"/>[j].</summary>
    public ReadOnlySpan<double> Vector(int j) => Row(vectors, j);

    Span<double> Row(double[] m, int i) => m.AsSpan(i * d, d);

    /// <summary>A = Q T Qᵀ; Qᵀ goes to <see cref="vectors"/>.</summary>
    void Tridiagonalize()
    {
        var reflections = new double[d][];      // v of H = I − v vᵀ, ‖v‖² = 2, over rows i + 1 …
        for (var i = 0; i < d - 1; i++)
        {
            var v = reflections[i] = new double[d - i - 1];
            for (var r = 0; r < v.Length; r++) v[r] = a[(i + 1 + r) * d + i];
            var norm = Math.Sqrt(Doubles.Dot(v, v));
            var head = v[0] > 0 ? -norm : norm;
            beside[i] = head;
            if (Math.Sqrt(Doubles.Dot(v.AsSpan(1), v.AsSpan(1))) <= 1e-300)
            {
                (beside[i], reflections[i]) = (v[0], []);
                continue;
            }
            v[0] -= head;
            var scale = Math.Sqrt(2 / Doubles.Dot(v, v));
            foreach (ref var x in v.AsSpan()) x *= scale;
            Reflect(i + 1, v);
        }
        for (var i = 0; i < d; i++) vectors[i * d + i] = 1;
        // Qᵀ = H_last … H_0 : each row of Qᵀ's lower block, from the last reflection to the first.
        for (var i = d - 2; i >= 0; i--)
            if (reflections[i].Length > 0) ApplyRight(i + 1, reflections[i]);
    }

    /// <summary>The block from row and column <paramref name="from"/>: A ← H A H = A − v wᵀ − w vᵀ with w = A v − (vᵀ A v / 2) v.</summary>
    void Reflect(int from, double[] v)
    {
        var w = new double[v.Length];
        Parts(v.Length, r => w[r] = Doubles.Dot(Block(r), v));
        Doubles.Axpy(-Doubles.Dot(w, v) / 2, v, w);
        Parts(v.Length, r =>
        {
            Doubles.Axpy(-v[r], w, Block(r));
            Doubles.Axpy(-w[r], v, Block(r));
        });

        Span<double> Block(int r) => a.AsSpan((from + r) * d + from, v.Length);
    }

    /// <summary>Rows of Qᵀ from <paramref name="from"/> on, columns alike: X ← X H.</summary>
    void ApplyRight(int from, double[] v) => Parts(v.Length, r =>
    {
        var row = vectors.AsSpan((from + r) * d + from, v.Length);
        Doubles.Axpy(-Doubles.Dot(row, v), v, row);
    });

    /// <summary>Implicit QL with Wilkinson's shift until the l-th eigenvalue stands alone.</summary>
    void Deflate(int l)
    {
        for (var sweep = 0; ; sweep++)
        {
            var m = l;
            while (m < d - 1 && Math.Abs(beside[m]) > 1.1e-16 * (Math.Abs(diagonal[m]) + Math.Abs(diagonal[m + 1]))) m++;
            if (m == l) return;
            if (sweep == MaxSweeps) throw new SaeException($"the eigenvalues of a {d} × {d} covariance were not found in {MaxSweeps} sweeps; its numbers reach too far apart");
            Sweep(l, m);
        }
    }

    void Sweep(int l, int m)
    {
        var g = (diagonal[l + 1] - diagonal[l]) / (2 * beside[l]);
        g = diagonal[m] - diagonal[l] + beside[l] / (g + Math.CopySign(double.Hypot(g, 1), g));
        double s = 1, c = 1, p = 0;
        for (var i = m - 1; i >= l; i--)
        {
            var (f, b) = (s * beside[i], c * beside[i]);
            var r = double.Hypot(f, g);
            beside[i + 1] = r;
            if (r == 0)
            {
                diagonal[i + 1] -= p;
                beside[m] = 0;
                return;
            }
            (s, c) = (f / r, g / r);
            g = diagonal[i + 1] - p;
            r = (diagonal[i] - g) * s + 2 * c * b;
            p = s * r;
            diagonal[i + 1] = g + p;
            g = c * r - b;
            Doubles.Rotate(Row(vectors, i), Row(vectors, i + 1), c, s);
        }
        diagonal[l] -= p;
        beside[l] = g;
        beside[m] = 0;
    }

    void Sort()
    {
        var order = Enumerable.Range(0, d).OrderByDescending(i => diagonal[i]).ToArray();
        var (values, rows) = ((double[])diagonal.Clone(), (double[])vectors.Clone());
        for (var j = 0; j < d; j++)
        {
            diagonal[j] = values[order[j]];
            rows.AsSpan(order[j] * d, d).CopyTo(Row(vectors, j));
        }
    }

    // Each part's result depends on its number alone, so threads change no bit.
    static void Parts(int count, Action<int> part)
    {
        if (count < 256)
            for (var i = 0; i < count; i++) part(i);
        else Parallel.For(0, (count + 63) / 64, block =>
        {
            for (var i = 64 * block; i < Math.Min(count, 64 * block + 64); i++) part(i);
        });
    }
}
