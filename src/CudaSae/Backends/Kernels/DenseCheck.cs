using CudaSae.Devices;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Kernels;

/// <summary>The dense check of ValidateEvery. It computes all pre-activations of the last batch by cuBLAS, in column
/// chunks of bounded size, and compares them with the sparse code on the host. It allocates and waits. The dense
/// training path is <see cref="DensePhase"/>.</summary>
sealed unsafe partial class KernelBackend
{
    const long DenseScratchBytes = 256 << 20;

    public DenseCheck CheckAgainstDense()
    {
        DenseCheck.RequirePlainTopK(Spec);
        int B = Config.BatchRows, n = Spec.Latents, k = Spec.Active, ld = Buffers.Ld;
        var code = new SparseCode(B, k);
        ReadCode(code);
        var bias = new float[n];
        GetVector(Buffers.BEnc.Pointer, bias);
        var chunk = (int)Math.Clamp(DenseScratchBytes / (4L * B), Math.Min(64, n), n);
        var rows = new RowCheck[B];
        for (var b = 0; b < B; b++) rows[b] = new() { Least = double.PositiveInfinity, Most = double.NegativeInfinity };
        using var temporary = new Owned(device);
        var scratch = temporary.Memory(4L * B * chunk);
        using var preActs = new Matrix(B, chunk);
        for (var first = 0; first < n; first += chunk)
        {
            var columns = Math.Min(chunk, n - first);
            device.GemmNT(B, columns, ld, Buffers.XCentered.Pointer, ld,
                Buffers.WEncHi.Pointer + (ulong)(2L * first * ld), ld, scratch, chunk, Settled);
            device.CopyToHost(preActs.Data, scratch, preActs.Bytes, Settled);
            device.Synchronize(Settled);
            for (var b = 0; b < B; b++) rows[b].Add(preActs[b], first, columns, bias, code, b);
        }
        return new(rows.Max(r => r.Value / r.Scale), rows.Max(r => Math.Max(0, r.Most - r.Least) / r.Scale),
            ReconstructionDifference(code), Tolerance);
    }

    /// <summary>Accounts for sums in another order, for the rounding of operands to bfloat16 if the encoder ran in
    /// float32, and for the 2⁻¹⁷ of a term that product.cu omits if hot latents are products.</summary>
    double Tolerance =>
        phases.Encode!.Reference ? Math.Pow(2, -8)
            : 8 * (Math.Sqrt(Spec.InputWidth) * Math.Pow(2, -24) + (phases.Hot is null ? 0 : Math.Pow(2, -17)));

    struct RowCheck
    {
        public double Least, Most, Value, Scale;

        public void Add(ReadOnlySpan<float> preActs, int first, int columns, float[] bias, SparseCode code, int b)
        {
            var kept = code.Index.AsSpan(b * code.Active, code.Active);
            Scale = Math.Max(Scale, 1e-30);
            for (var c = 0; c < columns; c++)
            {
                double a = (double)preActs[c] + bias[first + c];
                Scale = Math.Max(Scale, Math.Abs(a));
                var at = kept.BinarySearch(first + c);
                if (at < 0) Most = Math.Max(Most, a);
                else
                {
                    Least = Math.Min(Least, a);
                    Value = Math.Max(Value, Math.Abs(code.Value[b * code.Active + at] - Math.Max(0, a)));
                }
            }
        }
    }

    /// <summary>Returns the largest difference over the rows between x̂ computed from the code in double on the host
    /// and the device's x̂.</summary>
    double ReconstructionDifference(SparseCode code)
    {
        int B = Config.BatchRows, d = Spec.InputWidth, ld = Buffers.Ld;
        var (xhat, row, bias) = (new float[B * d], new ushort[ld], new float[d]);
        ReadReconstruction(xhat);
        GetVector(Buffers.BDec.Pointer, bias);
        var expected = new double[B * d];
        for (var e = 0; e < code.Value.Length; e++)
        {
            if (!(code.Value[e] > 0)) continue;
            device.Download<ushort>(row, Buffers.WDecHi.Pointer + (ulong)(2L * code.Index[e] * ld), Settled);
            for (var i = 0; i < d; i++)
                expected[e / code.Active * d + i] += code.Value[e] * (double)SplitFloat.Join(row[i], 0);
        }
        double worst = 0;
        for (var b = 0; b < B; b++)
        {
            double difference = 0, norm = 1e-30;
            for (var i = 0; i < d; i++)
            {
                var x = expected[b * d + i] + bias[i];
                difference += Math.Pow(xhat[b * d + i] - x, 2);
                norm += x * x;
            }
            worst = Math.Max(worst, Math.Sqrt(difference / norm));
        }
        return worst;
    }
}
