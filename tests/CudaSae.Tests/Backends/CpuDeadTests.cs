using System.Runtime.InteropServices;
using CudaSae.Backends.Cpu;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>The CPU's choice among dead latents, and its products over more rows than one block of their depth
/// holds.</summary>
[Trait("speed", "slow")]
public unsafe class CpuDeadTests
{
    const int Pitch = Gemm.TileColumns;

    [Theory]
    [InlineData(int.MaxValue, 0)]
    [InlineData(int.MaxValue, 6)]
    [InlineData(9, 0)]
    [InlineData(1, 0)]
    public void TheBoundAdmitsTheLargestValues(int distinct, int slack)
    {
        var random = new Random(5);
        for (var round = 0; round < 60; round++)
        {
            int count = random.Next(1, 200), k = random.Next(1, count + 1);
            var scale = Math.Pow(10, random.Next(-30, 30));
            float[] values = [.. Enumerable.Range(0, count * Pitch)
                .Select(_ => random.Next(20) == 0 ? float.NaN
                    : (float)(scale * (distinct < 100 ? random.Next(distinct) - 4 : random.NextDouble() - 0.3)))];
            fixed (float* p = values)
            {
                var bound = Lanes.Bound(p, count, k, slack, float.MinValue, out var reached);
                for (var lane = 0; lane < 16; lane++)
                {
                    float[] sorted = [.. Enumerable.Range(0, count).Select(i => values[i * Pitch + lane])
                        .Where(x => !float.IsNaN(x)).OrderDescending()];
                    var (reach, limit) = (sorted.Count(x => x >= bound[lane]), bound[lane]);
                    Assert.Equal(reach, reached[lane]);
                    if (sorted.Length <= k + slack) Assert.Equal((sorted.Length, float.MinValue), (reach, limit));
                    else if (sorted[k - 1] == sorted[k + slack]) Assert.Equal(sorted[k - 1], limit);
                    else Assert.InRange(reach, k, k + slack);
                }
            }
        }
    }

    /// <summary>Pre-activations equal b_enc on every row, so the choice of latents and their gradients have a closed
    /// form.</summary>
    [Theory]
    [InlineData("distinct", true)]
    [InlineData("few", true)]
    [InlineData("few", false)]
    [InlineData("nan", true)]
    public void AuxTrainsOnlyTheChosenLatents(string kind, bool relu)
    {
        const int rows = 1100, d = 24, n = 150, chosen = 20;
        var spec = new SaeSpec
        {
            InputWidth = d, Latents = n, Selection = new Selection.TopK(3), Aux = new(chosen, 1, 1, relu)
        };
        using var backend = new CpuBackend(spec, new() { BatchRows = rows, Vectors = rows }, InputType.Float32, 2);
        using var parameters = new SaeParameters(spec);
        var random = new Random(2);
        for (var f = 0; f < n; f++)
        {
            parameters.BEnc[f] = kind switch
            {
                "distinct" => 0.5f + f * 7 % n,
                "few" => f % 4 - (relu ? 1 : 4),
                _ => f % 3 == 0 ? float.NaN : f % 5
            };
            for (var i = 0; i < d; i++) parameters.WDec[f][i] = random.NextSingle() - 0.5f;
        }
        backend.SetParameters(parameters);
        float[] x = [.. Enumerable.Range(0, rows * d).Select(_ => random.NextSingle() - 0.5f)],
        xhat = new float[rows * d];
        MemoryMarshal.AsBytes<float>(x).CopyTo(backend.InputSlot(0));
        backend.AfterRestore(10, 5);
        backend.BeginStep(0, new() { Step = 11, InputScale = 1, LossScale = 1, AuxCoefficient = 1 });
        backend.Prepare();
        backend.EncodeSelect();
        backend.DecodeLoss();
        backend.AuxLoss();
        backend.ReadReconstruction(xhat);

        double[] z = [.. parameters.BEnc.Select(b => (double)b)];
        var kept = Enumerable.Range(0, n).Where(f => !double.IsNaN(z[f]) && (z[f] > 0 || !relu))
            .OrderByDescending(f => z[f]).ThenBy(f => f).Take(chosen).ToHashSet();
        var r = new double[rows, d];
        for (var b = 0; b < rows; b++)
            for (var i = 0; i < d; i++)
                r[b, i] = (double)xhat[b * d + i] - x[b * d + i] + kept.Sum(f => z[f] * parameters.WDec[f][i]);
        var scale = 2 / backend.ReadSums().AuxVariance;
        var outputs = ((IPhases)backend).Outputs(StepPhase.Aux);
        for (var f = 0; f < n; f++)      // all latents are dead, and a latent's slot is its number
        {
            float* enc = (float*)outputs[0].Address + f * 32, dec = (float*)outputs[1].Address + f * 32;
            double[] wanted = new double[2 * d], sizes = new double[2 * d];
            for (var b = 0; b < rows && kept.Contains(f); b++)
            {
                double slope = 0;
                for (var i = 0; i < d; i++) slope += z[f] == 0 ? 0 : r[b, i] * parameters.WDec[f][i];
                for (var i = 0; i < d; i++)
                {
                    wanted[i] += scale * slope * x[b * d + i];
                    wanted[d + i] += scale * z[f] * r[b, i];
                    sizes[i] += scale * Math.Abs(slope * x[b * d + i]);
                    sizes[d + i] += scale * Math.Abs(z[f] * r[b, i]);
                }
            }
            // Rounding of a chain of 1,024 terms, of its inputs, and of the scale.
            for (var i = 0; i < 2 * d; i++)
                Assert.InRange(i < d ? enc[i] : dec[i - d], wanted[i] - 1e-4 * sizes[i], wanted[i] + 1e-4 * sizes[i]);
        }
    }
}
