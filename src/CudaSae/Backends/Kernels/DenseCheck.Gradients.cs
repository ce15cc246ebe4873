using CudaSae.Devices;
using CudaSae.Numerics;

namespace CudaSae.Backends.Kernels;

sealed unsafe partial class KernelBackend
{
    /// <summary>Computes the backward half of the dense check: ∂L/∂WDec and ∂L/∂WEnc of the last forward pass, [n, d]
    /// each, by dense products in chunks of latents. They are taken before projection and clipping and without the
    /// auxiliary loss. The method allocates and waits.</summary>
    /// <param name="lossScale">c of L = c Σ‖e‖².</param>
    internal (Matrix Dec, Matrix Enc) DenseCheckGradients(float lossScale)
    {
        int B = Config.BatchRows, n = Spec.Latents, d = Spec.InputWidth, ld = Buffers.Ld;
        var (index, value, valueGrad) = (Download<int>(Buffers.Index.Pointer, B * Spec.Active),
            Download<float>(Buffers.Value.Pointer, B * Spec.Active),
            Download<float>(Buffers.ValueGrad.Pointer, B * Spec.Active));
        var (e, x) = (Turn(Download<ushort>(Buffers.ResidualBf16.Pointer, B * ld), B, ld),
            Turn(Download<ushort>(Buffers.XCentered.Pointer, B * ld), B, ld));
        const int Chunk = 256;
        using var temporary = new Owned(device);
        ulong left = temporary.Memory(2L * Chunk * B), right = temporary.Memory(2L * ld * B),
            product = temporary.Memory(4L * Chunk * ld);
        var (dec, enc) = (new Matrix(n, d), new Matrix(n, d));
        for (var first = 0; first < n; first += Chunk)
        {
            Multiply(value, e, 2 * lossScale, dec, first, Math.Min(Chunk, n - first));
            Multiply(valueGrad, x, 1, enc, first, Math.Min(Chunk, n - first));
        }
        return (dec, enc);

        // gradient[f] = scale Σ_b entry(b, f) rows[b]: the code as a dense matrix [latents, B] times the transposed
        // batch, [ld, B].
        void Multiply(float[] entries, ushort[] rows, float scale, Matrix into, int first, int count)
        {
            var code = new ushort[Chunk * B];
            for (var entry = 0; entry < entries.Length; entry++)
                if (value[entry] > 0 && index[entry] >= first && index[entry] < first + count)
                    code[(index[entry] - first) * B
                        + entry / Spec.Active] = SplitFloat.Cut(entries[entry], split: false).Upper;
            device.Upload<ushort>(left, code, Settled);
            device.Upload<ushort>(right, rows, Settled);
            device.GemmNT(count, ld, B, left, B, right, B, product, ld, Settled);
            var result = Download<float>(product, count * ld);
            for (var f = 0; f < count; f++)
                for (var i = 0; i < d; i++) into[first + f][i] = scale * result[f * ld + i];
        }
    }

    static ushort[] Turn(ushort[] rows, int count, int width)
    {
        var turned = new ushort[rows.Length];
        for (var b = 0; b < count; b++)
            for (var i = 0; i < width; i++) turned[i * count + b] = rows[b * width + i];
        return turned;
    }
}
