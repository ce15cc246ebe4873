using CudaSae.Model;
using CudaSae.Training;
using CudaSae.Verification;
using Xunit;

namespace CudaSae.Tests;

/// <summary>The reference's gradients against central differences of its own loss, every term and every parameter.</summary>
public class GradientTests
{
    const double H = 1e-6;

    [Theory]
    [InlineData(false, true)]
    [InlineData(true, true)]
    [InlineData(true, false)]
    public void GradientsAreDerivativesOfTheLoss(bool aux, bool relu)
    {
        var problem = new SmallProblem(rows: 6, width: 8, latents: 14, active: 3, aux ? new AuxLoss(4, 0.5f, 6, relu) : null);
        var reference = new Reference(problem.Spec, problem.Config, Rounding.None);
        reference.SetParameters(problem.Parameters);
        // Latents 1, 4 and 9 are kept silent by their bias and are dead at step 3.
        foreach (var f in new[] { 1, 4, 9 }) reference.BEnc[f] = aux ? -4 : 0;
        if (aux)
            for (var f = 0; f < 14; f++) reference.LastFired[f] = f is 1 or 4 or 9 ? 0 : 2;

        var batch = problem.Batch();
        var scalars = problem.Scalars(3);
        reference.Forward(batch, scalars);
        if (aux) reference.Detached = (double[])reference.Residual.Clone();
        reference.AuxLoss();
        reference.Gradients();
        Assert.Equal(aux ? 3 : 0, reference.Window.Length);

        Check(reference.WEnc, reference.WEncGrad);
        Check(reference.WDec, reference.WDecGrad);
        Check(reference.BEnc, reference.BEncGrad);
        Check(reference.BDec, reference.BDecGrad);
        if (aux && !relu) Assert.Contains(reference.WEncGrad.Skip(8).Take(8), g => g != 0);     // latent 1 learns only through AuxK

        void Check(double[] weights, double[] gradients)
        {
            var expected = (double[])gradients.Clone();
            for (var i = 0; i < weights.Length; i++)
            {
                var w = weights[i];
                weights[i] = w + H;
                var up = Loss();
                weights[i] = w - H;
                var down = Loss();
                weights[i] = w;
                Assert.Equal(expected[i], (up - down) / (2 * H), 1e-6 * (1 + Math.Abs(expected[i])));
            }
        }

        double Loss()
        {
            reference.Forward(batch, scalars);
            reference.AuxLoss();
            var main = scalars.LossScale * reference.Sums.SquaredError;
            if (!aux) return main;
            return main + scalars.AuxCoefficient * (3.0 / 4) * reference.Sums.AuxSquaredError / reference.Sums.AuxVariance;
        }
    }

    [Fact]
    public void ProjectedStepKeepsDecoderRowsUnit()
    {
        var problem = new SmallProblem();
        var reference = new Reference(problem.Spec, problem.Config, Rounding.None);
        reference.SetParameters(problem.Parameters);
        for (uint t = 1; t <= 5; t++) reference.Step(problem.Batch(), problem.Scalars(t));
        for (var f = 0; f < problem.Spec.Latents; f++)
        {
            double norm = 0;
            for (var i = 0; i < problem.Spec.InputWidth; i++) norm += Math.Pow(reference.WDec[f * problem.Spec.InputWidth + i], 2);
            Assert.Equal(1, norm, 1e-12);
        }
    }

    [Fact]
    public void WindowTurnsThroughTheDeadWhenTheyOutnumberIt()
    {
        var lastFired = new int[10];
        Assert.Equal([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], Reference.WindowOf(lastFired, 3, 2, 10));
        Assert.Equal([2, 3, 4, 5], Reference.WindowOf(lastFired, 3, 2, 4));       // starts at 3·4 mod 10
        Assert.Equal([8, 9, 0, 1], Reference.WindowOf(lastFired, 7, 2, 4));
        Assert.Empty(Reference.WindowOf(lastFired, 2, 2, 4));
    }
}
