namespace CudaSae.Numerics;

/// <summary>Rows of a matrix scaled to norm 1, for cosines. A row of norm 0 stays 0, and so do its products with other
/// rows.</summary>
sealed class UnitRows : IDisposable
{
    readonly Matrix original;
    readonly int[]? which;

    /// <summary>Scales the rows of a matrix.</summary>
    /// <param name="matrix">The rows. The caller owns the matrix and must keep it until this object is
    /// disposed.</param>
    /// <param name="name">Name of the matrix in the message of a refusal.</param>
    /// <param name="which">Indices of the rows to take; null takes all.</param>
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

    /// <summary>The scaled rows, [n, d].</summary>
    public Matrix Rows { get; }

    /// <summary>Norms of the original rows, [n].</summary>
    public double[] Norms { get; }
    /// <summary>Number of rows, n.</summary>
    public int Count => Norms.Length;

    /// <summary>Returns ⟨a_i, b_j⟩ / ‖a_i‖‖b_j‖ in double, computed from the original rows; NaN if a norm is
    /// 0.</summary>
    public double Cosine(int i, UnitRows other, int j) =>
        Doubles.Cosine(Original(i), Norms[i], other.Original(j), other.Norms[j]);

    ReadOnlySpan<float> Original(int i) => original[which?[i] ?? i];

    public void Dispose() => Rows.Dispose();
}
