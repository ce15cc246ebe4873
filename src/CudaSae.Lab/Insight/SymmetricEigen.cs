using MathNet.Numerics.LinearAlgebra;

namespace CudaSae.Lab.Insight;

/// <summary>Eigenvalues and eigenvectors of a symmetric matrix in double precision, computed by Math.NET Numerics in
/// O(d³).</summary>
sealed class SymmetricEigen
{
    readonly double[] values;       // [d] descending
    readonly double[][] vectors;    // row j is the unit eigenvector of values[j]

    /// <param name="matrix">[d, d] row-major, symmetric. It is not changed.</param>
    /// <exception cref="SaeException">The matrix is not finite.</exception>
    public SymmetricEigen(ReadOnlySpan<double> matrix, int d)
    {
        if (matrix.Length != (long)d * d)
            throw new ArgumentException($"{matrix.Length} numbers are not a {d} × {d} matrix");
        foreach (var v in matrix)
            if (!double.IsFinite(v))
                throw new SaeException("the covariance of the data is not finite; "
                    + "repair the rows that hold NaN or infinity");
        // Math.NET stores columns; a symmetric matrix is its own transpose.
        var solved = Matrix<double>.Build.Dense(d, d, matrix.ToArray()).Evd(Symmetricity.Symmetric);
        // Math.NET sorts eigenvalues in ascending order.
        values = [.. solved.EigenValues.Select(value => value.Real).Reverse()];
        vectors = [.. Enumerable.Range(0, d).Select(j => solved.EigenVectors.Column(d - 1 - j).ToArray())];
    }

    /// <summary>Descending, [d].</summary>
    public ReadOnlySpan<double> Values => values;

    /// <summary>The unit eigenvector of <see cref="Values"/>[j].</summary>
    public ReadOnlySpan<double> Vector(int j) => vectors[j];
}
