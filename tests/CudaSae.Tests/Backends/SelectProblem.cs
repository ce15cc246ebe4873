using System.Runtime.InteropServices;
using CudaSae.Backends.Kernels;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>Weights, a batch, and z in double.</summary>
sealed class SelectProblem : IDisposable
{
    public SelectProblem(SaeSpec spec, int rows, float bias = 0, bool distinct = false, int seed = 5)
    {
        (Spec, Rows) = (spec.Validate(), rows);
        var (n, d, random) = (spec.Latents, spec.InputWidth, new Random(seed));
        float Dyadic() => random.Next(-8, 9) * 0.25f;
        Parameters = new(spec);
        Batch = new float[rows * d];
        var magnitudes = Enumerable.Range(1, n).ToArray();
        random.Shuffle(magnitudes);
        for (var f = 0; f < n; f++)
        {
            for (var i = 0; i < d; i++)
                (Parameters.WEnc[f][i], Parameters.WDec[f][i]) = (distinct ? 0 : Dyadic(), i == f % d ? 1 : 0);
            if (distinct)
                (Parameters.WEnc[f][0], Parameters.WEnc[f][1]) =
                    Signed(magnitudes[f] / 256 * 256, magnitudes[f] % 256, random.Next(2) == 0);
            Parameters.BEnc[f] = bias + (distinct ? 0 : Dyadic());
        }
        for (var b = 0; b < rows; b++)
        {
            var scale = random.Next(2) == 0 ? 0.5f : -1;
            for (var i = 0; i < d; i++) Batch[b * d + i] = distinct ? scale : Dyadic();
        }
    }

    static (float, float) Signed(float high, float low, bool negative) => negative ? (-high, -low) : (high, low);

    public SaeSpec Spec { get; }
    public int Rows { get; }
    public SaeParameters Parameters { get; }
    public float[] Batch { get; }

    public double[] Row(int b)
    {
        var z = new double[Spec.Latents];
        for (var f = 0; f < z.Length; f++)
        {
            z[f] = Parameters.BEnc[f];
            for (var i = 0; i < Spec.InputWidth; i++)
                z[f] += (double)Batch[b * Spec.InputWidth + i] * Parameters.WEnc[f][i];
        }
        return z;
    }

    public IBackend Start(string target, StepScalars scalars)
    {
        var config = new TrainConfig { BatchRows = Rows, Vectors = 100L * Rows };
        var backend = Targets.Create(target)(Spec, config, InputType.Float32);
        backend.SetParameters(Parameters);
        MemoryMarshal.AsBytes<float>(Batch).CopyTo(backend.InputSlot(0));
        (scalars.Step, scalars.InputScale, scalars.TargetScale, scalars.LossScale) = (1, 1, 1, 1);
        (scalars.Correction1, scalars.Correction2, scalars.DeadAfterSteps) = (1, 1, 100);
        backend.BeginStep(0, scalars);
        backend.Prepare();
        backend.EncodeSelect();
        return backend;
    }

    /// <summary>Returns the entries with a value, and requires that each row is in ascending order.</summary>
    public (int Latent, double Value)[][] Code(IBackend backend)
    {
        var code = new SparseCode(Rows, Spec.Active);
        backend.ReadCode(code);
        return [.. Enumerable.Range(0, Rows).Select(b =>
        {
            var entries = Enumerable.Range(b * Spec.Active, Spec.Active)
                .Select(e => (code.Index[e], (double)code.Value[e])).ToArray();
            if (backend is KernelBackend)
                for (var j = 1; j < entries.Length; j++)
                    Assert.True(entries[j].Item1 > entries[j - 1].Item1, $"row {b} is not in ascending order");
            return entries.Where(e => e.Item2 != 0).ToArray();
        })];
    }

    public void Dispose() => Parameters.Dispose();
}
