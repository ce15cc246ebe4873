using static CudaSae.Numerics.Doubles;

namespace CudaSae.Lab.Insight.Probes;

/// <summary>L2-regularised logistic regression in double precision, by Newton's method. Columns are standardised with
/// the mean and standard deviation of the rows it is fitted to; a constant column gets weight 0.
/// Minimises L(w, b) = (1/R) Σ log(1 + exp(−s_r z_r)) + (λ/2) ‖w‖², z_r = b + Σ_j w_j (x_rj − μ_j) / σ_j, s_r = ±1,
/// which is scikit-learn's LogisticRegression with C = 1/(λ R). Strictly convex in w, so there is one
/// solution.</summary>
sealed class LogisticRegression
{
    /// <summary>The default λ.</summary>
    public const double DefaultL2 = 1e-3;

    /// <summary>Largest |∂L| that counts as converged.</summary>
    public const double Tolerance = 1e-9;

    const double Rounding = 1e-13;      // of the loss: near the minimum its fall is less
    const int MostSteps = 100, MostHalvings = 40;

    readonly double[] mean, scale;      // 1/σ; 0 for a constant column

    LogisticRegression(double[] mean, double[] scale) =>
        (this.mean, this.scale, Weights) = (mean, scale, new double[mean.Length]);

    /// <summary>w, of standardised columns.</summary>
    public double[] Weights { get; private set; }

    /// <summary>b.</summary>
    public double Bias { get; private set; }

    /// <summary>Largest |∂L| at the end.</summary>
    public double Gradient { get; private set; }

    public bool Converged => Gradient <= Tolerance;

    /// <summary>Newton steps taken.</summary>
    public int Steps { get; private set; }

    /// <summary>Fits rows to answers.</summary>
    /// <param name="x">[rows, columns] row-major.</param>
    /// <param name="positive">[rows]; both answers must occur.</param>
    /// <param name="l2">λ, above 0.</param>
    public static LogisticRegression Fit(ReadOnlySpan<float> x, ReadOnlySpan<bool> positive, int columns,
        double l2 = DefaultL2)
    {
        if (columns < 1 || x.Length != (long)positive.Length * columns)
            throw new ArgumentException($"{x.Length} numbers are not {positive.Length} rows of {columns}");
        if (!(l2 > 0)) throw new SaeException($"a penalty of {l2} has no single solution; choose one above 0");
        if (positive.IndexOf(true) < 0 || positive.IndexOf(false) < 0)
            throw new ArgumentException("rows with only one answer have no fit");
        var (mean, scale) = Moments(x, columns);
        var fit = new LogisticRegression(mean, scale);
        fit.Newton(x, positive, l2);
        return fit;
    }

    /// <summary>z of each row: its log odds.</summary>
    /// <param name="into">[rows].</param>
    public void Predict(ReadOnlySpan<float> x, Span<double> into)
    {
        var (u, offset) = Unfold(Weights, Bias);
        for (var r = 0; r < into.Length; r++) into[r] = offset + Dot(x.Slice(r * u.Length, u.Length), u);
    }

    /// <summary>L and its gradient at a point; the bias is the last of <paramref name="at"/> and of
    /// <paramref name="gradient"/>.</summary>
    internal double Loss(ReadOnlySpan<float> x, ReadOnlySpan<bool> positive, double l2, ReadOnlySpan<double> at,
        Span<double> gradient, Span<double> curvature)
    {
        var columns = mean.Length;
        var (u, offset) = Unfold(at[..columns], at[columns]);
        gradient.Clear();
        double loss = 0, residuals = 0;
        for (var r = 0; r < positive.Length; r++)
        {
            var row = x.Slice(r * columns, columns);
            var z = offset + Dot(row, u);
            var p = Sigmoid(z);
            loss += Softplus(positive[r] ? -z : z);
            var residual = (p - (positive[r] ? 1 : 0)) / positive.Length;
            curvature[r] = p * (1 - p) / positive.Length;
            Add(gradient, residual, row);
            residuals += residual;
        }
        loss /= positive.Length;
        Fold(gradient, residuals);
        for (var j = 0; j < columns; j++)
        {
            loss += l2 / 2 * at[j] * at[j];
            gradient[j] += l2 * at[j];
        }
        return loss;
    }

    void Newton(ReadOnlySpan<float> x, ReadOnlySpan<bool> positive, double l2)
    {
        var size = mean.Length + 1;
        double[] at = new double[size], gradient = new double[size], trial = new double[size],
        trialGradient = new double[size], curvature = new double[positive.Length],
        trialCurvature = new double[positive.Length];
        var share = (double)positive.Count(true) / positive.Length;
        at[^1] = Math.Log(share / (1 - share));
        Bias = at[^1];
        var loss = Loss(x, positive, l2, at, gradient, curvature);
        while ((Gradient = Largest(gradient)) > Tolerance && Steps < MostSteps)
        {
            var step = Direction(x, curvature, l2, gradient);
            var slope = Dot(gradient, step);
            var length = 1.0;
            for (var halvings = 0; ; halvings++, length /= 2)
            {
                for (var i = 0; i < size; i++) trial[i] = at[i] + length * step[i];
                var tried = Loss(x, positive, l2, trial, trialGradient, trialCurvature);
                if (tried <= loss + 1e-4 * length * slope + Rounding)
                {
                    loss = tried;
                    break;
                }
                if (halvings == MostHalvings) return;       // as low as rounding lets it go
            }
            (at, trial, gradient, trialGradient, curvature, trialCurvature) =
                (trial, at, trialGradient, gradient, trialCurvature, curvature);
            Steps++;
            (Weights, Bias) = (at[..^1], at[^1]);
        }
    }

    /// <summary>−H⁻¹ g by conjugate gradients with H's diagonal as preconditioner, as exactly as quadratic convergence
    /// needs: residual below min(0.1, ‖g‖) ‖g‖. With few columns that is the exact Newton step.</summary>
    double[] Direction(ReadOnlySpan<float> x, ReadOnlySpan<double> curvature, double l2, ReadOnlySpan<double> gradient)
    {
        var size = gradient.Length;
        double[] step = new double[size], residual = new double[size], product = new double[size],
        search = new double[size], weighted = new double[size];
        var diagonal = Diagonal(x, curvature, l2);
        for (var i = 0; i < size; i++) residual[i] = -gradient[i];
        var norm = Math.Sqrt(Dot(gradient, gradient));
        var target = Math.Min(0.1, norm) * norm;
        double before = 0;
        for (var iteration = 0; iteration < 4 * size && Math.Sqrt(Dot(residual, residual)) > target; iteration++)
        {
            for (var i = 0; i < size; i++) weighted[i] = residual[i] / diagonal[i];
            var now = Dot(residual, weighted);
            for (var i = 0; i < size; i++) search[i] = weighted[i] + (iteration == 0 ? 0 : now / before) * search[i];
            before = now;
            Hessian(x, curvature, l2, search, product);
            var length = now / Dot(search, product);
            for (var i = 0; i < size; i++)
            {
                step[i] += length * search[i];
                residual[i] -= length * product[i];
            }
        }
        return step;
    }

    /// <summary>H v, H = Σ_r p (1 − p) / R · x̃ x̃ᵀ + λ on the weights.</summary>
    void Hessian(ReadOnlySpan<float> x, ReadOnlySpan<double> curvature, double l2, ReadOnlySpan<double> v,
        Span<double> into)
    {
        var columns = mean.Length;
        var (u, offset) = Unfold(v[..columns], v[columns]);
        into.Clear();
        double all = 0;
        for (var r = 0; r < curvature.Length; r++)
        {
            var row = x.Slice(r * columns, columns);
            var weight = curvature[r] * (offset + Dot(row, u));
            Add(into, weight, row);
            all += weight;
        }
        Fold(into, all);
        for (var j = 0; j < columns; j++) into[j] += l2 * v[j];
    }

    double[] Diagonal(ReadOnlySpan<float> x, ReadOnlySpan<double> curvature, double l2)
    {
        var diagonal = new double[mean.Length + 1];
        for (var r = 0; r < curvature.Length; r++)
        {
            for (var j = 0; j < mean.Length; j++)
            {
                var standard = (x[r * mean.Length + j] - mean[j]) * scale[j];
                diagonal[j] += curvature[r] * standard * standard;
            }
            diagonal[^1] += curvature[r];
        }
        for (var j = 0; j < mean.Length; j++) diagonal[j] += l2;
        diagonal[^1] = Math.Max(diagonal[^1], double.Epsilon * 1e20);
        return diagonal;
    }

    static (double[] Mean, double[] Scale) Moments(ReadOnlySpan<float> x, int columns)
    {
        double[] mean = new double[columns], scale = new double[columns];
        var rows = x.Length / columns;
        for (var r = 0; r < rows; r++)
            for (var j = 0; j < columns; j++) mean[j] += x[r * columns + j];
        for (var j = 0; j < columns; j++) mean[j] /= rows;
        for (var r = 0; r < rows; r++)
            for (var j = 0; j < columns; j++)
                scale[j] += (x[r * columns + j] - mean[j]) * (x[r * columns + j] - mean[j]);
        for (var j = 0; j < columns; j++)
            scale[j] = scale[j] <= 1e-20 * rows * mean[j] * mean[j] ? 0 : 1 / Math.Sqrt(scale[j] / rows);
        return (mean, scale);
    }

    /// <summary>Weights of raw columns: z = offset + x · u.</summary>
    (double[] U, double Offset) Unfold(ReadOnlySpan<double> weights, double bias)
    {
        var u = new double[mean.Length];
        for (var j = 0; j < u.Length; j++)
        {
            u[j] = weights[j] * scale[j];
            bias -= u[j] * mean[j];
        }
        return (u, bias);
    }

    /// <summary>Σ weight_r x_r of raw columns becomes that of standardised ones; the bias' entry is Σ
    /// weight_r.</summary>
    void Fold(Span<double> sums, double all)
    {
        for (var j = 0; j < mean.Length; j++) sums[j] = (sums[j] - mean[j] * all) * scale[j];
        sums[^1] = all;
    }

    static double Sigmoid(double z) => z >= 0 ? 1 / (1 + Math.Exp(-z)) : Math.Exp(z) is var e ? e / (1 + e) : 0;

    /// <summary>log(1 + exp(z)).</summary>
    static double Softplus(double z) => z > 0 ? z + Math.Log(1 + Math.Exp(-z)) : Math.Log(1 + Math.Exp(z));
}
