using CudaSae.Lab.Verification;

namespace CudaSae.Tests;

/// <summary>The gradient of θ is a kernel density estimate. The tests use one latent and one input, x̂ = w z 1[z > θ]
/// with z normal and L = E[(x̂ − z)² + λ 1[z > θ]], for which everything has a closed form.</summary>
public class ThresholdGradientTests
{
    const double Theta = 0.7, W = 0.9, Lambda = 0.4;

    public static TheoryData<SmoothingKernel> Kernels => [.. Enum.GetValues<SmoothingKernel>()];

    static double Density(double z) => Math.Exp(-z * z / 2) / Math.Sqrt(2 * Math.PI);

    /// <summary>∂L/∂θ of the smoothed loss: −∫ p(z) (g(z) θ + λ) K((z − θ)/ε)/ε dz. Here g is the derivative of the
    /// squared error with respect to the value, on either side of θ.</summary>
    static double Smoothed(SmoothingKernel kernel, double epsilon)
    {
        const int Steps = 400_000;
        double from = Theta - 40 * epsilon, width = 80 * epsilon, sum = 0;
        for (var i = 0; i < Steps; i++)
        {
            var z = from + (i + 0.5) * width / Steps;
            sum -= Density(z) * Integrand(z) * Reference.Kernel(kernel,
                (z - Theta) / epsilon) / epsilon * width / Steps;
        }
        return sum;
    }

    static double Integrand(double z) => 2 * W * ((z > Theta ? W * z : 0) - z) * Theta + Lambda;

    /// <summary>The exact derivative: a latent at θ starts or stops firing, which changes the error by (wθ − θ)² − θ²
    /// and the penalty by λ.</summary>
    static double Exact => -Density(Theta) * ((W - 1) * (W - 1) * Theta * Theta - Theta * Theta + Lambda);

    static double Estimate(SmoothingKernel kernel, float epsilon, int rows, int seed,
        ThresholdForm form = ThresholdForm.Direct)
    {
        var spec = new SaeSpec
        {
            InputWidth = 1, Latents = 1, Selection = new Selection.JumpRelu(kernel, epsilon, Form: form, Room: 1),
            DecoderNorm = DecoderNorm.Free, PreEncoderBias = false,
            Penalty = new SparsityPenalty.L0 { Coefficient = (float)Lambda, WarmupFraction = 0 },
        };
        var problem = new SmallProblem(spec, rows);
        problem.Parameters.WEnc[0][0] = 1;
        problem.Parameters.WDec[0][0] = (float)W;
        (problem.Parameters.BEnc[0], problem.Parameters.BDec[0], problem.Parameters.Threshold[0]) =
            (0, 0, (float)Theta);
        var reference = new Reference(spec, problem.Config, Rounding.None);
        reference.SetParameters(problem.Parameters);
        var random = new Random(seed);
        var batch = new float[rows];
        for (var b = 0; b < rows; b++)
            batch[b] = (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble()))
                * Math.Cos(2 * Math.PI * random.NextDouble()));
        reference.Forward(batch, problem.Scalars(1));
        reference.Gradients();
        return reference.ThresholdGrad[0];
    }

    [Theory]
    [MemberData(nameof(Kernels))]
    public void EstimateConvergesToTheSmoothedLossesDerivative(SmoothingKernel kernel)
    {
        const float epsilon = 0.3f;
        var truth = Smoothed(kernel, epsilon);
        double Rms(int rows) =>
            Math.Sqrt(Enumerable.Range(1, 12)
                .Average(seed => Math.Pow(Estimate(kernel, epsilon, rows, seed) - truth, 2)));
        var (few, many) = (Rms(200), Rms(20_000));
        Assert.True(many < 0.02, $"{kernel}: off by {many} of {truth}");
        Assert.InRange(few / many, 5, 20);      // √100 = 10: only sampling error is left
    }

    [Theory]
    [MemberData(nameof(Kernels))]
    public void SmoothedDerivativeBecomesTheExactOneAsTheBandwidthFalls(SmoothingKernel kernel)
    {
        // 2 % of Cauchy's mass lie beyond the cut, and its tail decays slowly.
        var tolerance = kernel == SmoothingKernel.Cauchy ? 0.05 : 0.005;
        Assert.Equal(Exact, Smoothed(kernel, 0.003), tolerance * Math.Abs(Exact) + 1e-4);
        Assert.NotEqual(Exact, Smoothed(kernel, 1), 1e-3);
    }

    [Theory]
    [MemberData(nameof(Kernels))]
    public void KernelsIntegrateToOne(SmoothingKernel kernel)
    {
        double mass = 0, moment = 0;
        for (var u = -40.0; u < 40; u += 1e-4)
        {
            mass += Reference.Kernel(kernel, u + 5e-5) * 1e-4;
            moment += u * Reference.Kernel(kernel, u + 5e-5) * 1e-4;
        }
        Assert.Equal(1, mass, kernel == SmoothingKernel.Cauchy ? 0.021 : 2e-4);
        Assert.Equal(0, moment, 1e-3);
    }

    /// <summary>The chain factor of log θ occurs once for Log and never for LogUnchained.</summary>
    [Fact]
    public void LogFormsDifferByTheFactorTheta()
    {
        var direct = Estimate(SmoothingKernel.Rectangle, 0.5f, 2000, 1);
        Assert.NotEqual(0, direct);
        Assert.Equal(direct * Theta, Estimate(SmoothingKernel.Rectangle, 0.5f, 2000, 1, ThresholdForm.Log), 1e-6);
        Assert.Equal(direct, Estimate(SmoothingKernel.Rectangle, 0.5f, 2000, 1, ThresholdForm.LogUnchained), 1e-6);
    }
}
