using CudaSae.Model;

namespace CudaSae.Insight;

/// <summary>A matrix's rows scaled to norm 1, to take cosines of. A row of norm 0 stays 0, and its cosines with it.</summary>
sealed class UnitRows : IDisposable
{
    readonly Matrix original;

    /// <param name="matrix">Stays its owner's, and is needed as long as this is.</param>
    /// <param name="name">For the refusal.</param>
    /// <exception cref="SaeException">A row is not finite.</exception>
    public UnitRows(Matrix matrix, string name)
    {
        original = matrix;
        Norms = new double[matrix.Rows];
        Rows = new(matrix.Rows, matrix.Columns);
        for (var i = 0; i < Norms.Length; i++)
        {
            Norms[i] = Matrix.Norm(matrix[i]);
            if (!double.IsFinite(Norms[i])) throw new SaeException($"row {i} of {name} is not finite; nothing can be compared with it");
            if (Norms[i] == 0) continue;
            var from = matrix[i];
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
    public double Cosine(int i, UnitRows other, int j) => Doubles.Dot(original[i], other.original[j]) / (Norms[i] * other.Norms[j]) is var cosine && double.IsFinite(cosine) ? cosine : double.NaN;

    public void Dispose() => Rows.Dispose();
}
