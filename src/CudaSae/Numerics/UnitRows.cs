namespace CudaSae.Numerics;

/// <summary>Rows of a matrix scaled to norm 1, to take cosines of. A row of norm 0 stays 0, and its cosines with
/// it.</summary>
sealed class UnitRows : IDisposable
{
    readonly Matrix original;
    readonly int[]? which;

    /// <param name="matrix">Stays its owner's, and is needed as long as this is.</param>
    /// <param name="name">For the refusal.</param>
    /// <param name="which">Rows of the matrix that these are; null for all.</param>
    /// <exception cref="SaeException">A row is not finite.</exception>
    public UnitRows(Matrix matrix, string name, int[]? which = null)
    {
        (original, this.which) = (matrix, which);
        Norms = new double[which?.Length ?? matrix.Rows];
        Rows = new(Norms.Length, matrix.Columns);
        for (var i = 0; i < Norms.Length; i++)
        {
            var from = Original(i);
            Norms[i] = Matrix.Norm(from);
            if (!double.IsFinite(Norms[i]))
                throw new SaeException($"row {which?[i] ?? i} of {name} is not finite; nothing can be compared with "
                    + "it");
            if (Norms[i] == 0) continue;
            var to = Rows[i];
            for (var c = 0; c < to.Length; c++) to[c] = (float)(from[c] / Norms[i]);
        }
    }

    /// <summary>[n, d].</summary>
    public Matrix Rows { get; }

    /// <summary>‖row‖, [n].</summary>
    public double[] Norms { get; }
    public int Count => Norms.Length;

    /// <summary>⟨a_i, b_j⟩ / ‖a_i‖‖b_j‖ in double from the rows as they were; NaN where a norm is 0.</summary>
    public double Cosine(int i, UnitRows other, int j) =>
        Doubles.Cosine(Original(i), Norms[i], other.Original(j), other.Norms[j]);

    ReadOnlySpan<float> Original(int i) => original[which?[i] ?? i];

    public void Dispose() => Rows.Dispose();
}
