using CudaSae.Numerics;

namespace CudaSae.Lab.Insight;

/// <summary>Computes how a direction is spread over the principal components of a covariance.</summary>
static class SpectralShares
{
    /// <summary>The eigenvalues, ascending, and ⟨eigenvector, direction⟩² of each. The shares add up to 1.</summary>
    /// <param name="matrix">[d, d] symmetric.</param>
    /// <param name="direction">[d], with norm 1.</param>
    public static (double[] Variances, double[] Shares) Of(double[] matrix, double[] direction)
    {
        var d = direction.Length;
        var eigen = new SymmetricEigen(matrix, d);
        double[] variances = new double[d], shares = new double[d];
        for (var i = 0; i < d; i++)
        {
            var along = Doubles.Dot(eigen.Vector(d - 1 - i), direction);
            (variances[i], shares[i]) = (eigen.Values[d - 1 - i], along * along);
        }
        return (variances, shares);
    }
}
