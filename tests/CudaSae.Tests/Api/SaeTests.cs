using CudaSae.Devices;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>A loaded SAE compared with its formula as double loops.</summary>
public class SaeTests
{
    const int D = 24, N = 1500;

    public static TheoryData<string> Kinds => ["relu", "relu, more than 512 active", "jumprelu", "gated", "topk",
        "abs_topk", "batch_topk", "group_max", "layer norm", "constant norm", "no pre-encoder bias"];

    static SaeModel Model(string kind)
    {
        var spec = new SaeSpec
        {
            InputWidth = D, Latents = N, PreEncoderBias = kind != "no pre-encoder bias",
            Selection = kind switch
            {
                "jumprelu" or "no pre-encoder bias" =>
                    new Selection.JumpRelu(SmoothingKernel.Gaussian, 0.5f, Room: 100),
                "gated" => new Selection.Gated(Room: 100),
                "topk" or "layer norm" => new Selection.TopK(9),
                "abs_topk" => new Selection.AbsTopK(9),
                "batch_topk" => new Selection.BatchTopK(9),
                "group_max" => new Selection.GroupMax(10),
                _ => new Selection.Relu(Room: 100),
            },
        };
        var p = new SaeParameters(spec) { BatchThreshold = 2 };
        var random = new Random(7);
        foreach (var matrix in (Matrix[])[p.WEnc, p.WDec])
            for (var f = 0; f < N; f++)
                foreach (ref var w in matrix[f]) w = 0.3f * (random.NextSingle() - 0.5f);
        var low = kind.Contains("more") ? 0 : -1.2f;
        foreach (var vector in (float[][])[p.BEnc, p.BDec, p.BMag, p.RMag])
            for (var i = 0; i < vector.Length; i++)
                vector[i] = 0.2f * random.NextSingle()
                    + (vector == p.BEnc && spec.Selection is Selection.Relu ? low : 0);
        for (var f = 0; f < p.Threshold.Length; f++) p.Threshold[f] = 0.8f + random.NextSingle();
        return new(spec, p)
        {
            Normalization = kind switch
            {
                "layer norm" => InputNormalization.LayerNorm,
                "constant norm" => InputNormalization.ConstantNorm,
                _ => InputNormalization.None
            }
        };
    }

    static float[] Rows(int count)
    {
        var random = new Random(11);
        return [.. Enumerable.Range(0, count * D).Select(_ => 3 * (random.NextSingle() - 0.4f))];
    }

    /// <summary>Returns (code [n], x̂ [d]) of one row.</summary>
    static (double[] Code, double[] Output) Formula(SaeModel sae, ReadOnlySpan<float> raw)
    {
        var (spec, p) = (sae.Spec, sae.Parameters);
        double[] x = [.. raw.ToArray().Select(v => (double)v)];
        double shift = 0, scale = 1, epsilon = 0;
        if (sae.Normalization == InputNormalization.LayerNorm)
        {
            shift = x.Average();
            (scale, epsilon) = (Math.Sqrt(x.Sum(v => (v - shift) * (v - shift)) / (D - 1)), 1e-5);
        }
        if (sae.Normalization == InputNormalization.ConstantNorm) scale = Math.Sqrt(x.Sum(v => v * v) / D);
        var z = new double[N];
        for (var f = 0; f < N; f++)
        {
            z[f] = p.BEnc[f];
            for (var i = 0; i < D; i++)
                z[f] += p.WEnc[f][i] * ((x[i] - shift) / (scale + epsilon) - (spec.PreEncoderBias ? p.BDec[i] : 0));
        }
        var code = new double[N];
        int[] Largest(Func<int, double> of, int k) => [.. Enumerable.Range(0, N).OrderByDescending(of).Take(k)];
        switch (spec.Selection)
        {
            case Selection.TopK t: foreach (var f in Largest(f => z[f], t.K)) code[f] = Math.Max(0, z[f]); break;
            case Selection.AbsTopK t: foreach (var f in Largest(f => Math.Abs(z[f]), t.K)) code[f] = z[f]; break;
            case Selection.GroupMax g:
                for (var first = 0; first < N; first += N / g.K)
                {
                    var best = Enumerable.Range(first, N / g.K).MaxBy(f => z[f]);
                    code[best] = Math.Max(0, z[best]);
                }
                break;
            default:
                for (var f = 0; f < N; f++)
                    code[f] = spec.Selection switch
                    {
                        Selection.JumpRelu => z[f] > p.Threshold[f] ? z[f] : 0,
                        Selection.BatchTopK => z[f] > p.BatchThreshold ? z[f] : 0,
                        Selection.Gated =>
                            z[f] > 0 ? Math.Max(0, Math.Exp(p.RMag[f]) * (z[f] - p.BEnc[f]) + p.BMag[f]) : 0,
                        _ => Math.Max(0, z[f]),
                    };
                break;
        }
        var output = p.BDec.Select(b => (double)b).ToArray();
        for (var f = 0; f < N; f++)
            for (var i = 0; i < D; i++) output[i] += code[f] * p.WDec[f][i];
        return (code, [.. output.Select(v => v * scale + shift)]);
    }

    [Theory, MemberData(nameof(Kinds))]
    public void EncodeAndDecodeMatchTheFormula(string kind)
    {
        const int Count = 21;       // two whole batches and a short one
        using var sae = new Sae(Model(kind), BackendKind.Cpu, batchRows: 8);
        var rows = Rows(Count);
        var codes = new SparseRows();
        var outputs = new float[Count * D];
        sae.Reconstruct(rows, outputs, codes);
        for (var b = 0; b < Count; b++)
        {
            var (code, output) = Formula(sae.Model, rows.AsSpan(b * D, D));
            var active = Enumerable.Range(0, N).Where(f => code[f] != 0).ToArray();
            Assert.Equal(active, codes.Indices(b).ToArray());
            if (kind.Contains("more")) Assert.True(active.Length > 512);
            for (var j = 0; j < active.Length; j++) Assert.Equal(code[active[j]], codes.Values(b)[j], 1e-4);
            for (var i = 0; i < D; i++) Assert.Equal(output[i], outputs[b * D + i], 2e-4);
        }
        var (encoded, decoded) = (new SparseRows(), new float[Count * D]);
        sae.Encode(rows, encoded);
        Assert.Equal(codes.AllIndices.ToArray(), encoded.AllIndices.ToArray());
        Assert.Equal(codes.AllValues.ToArray(), encoded.AllValues.ToArray());
        sae.Decode(encoded, decoded);
        for (var i = 0; i < decoded.Length; i++) Assert.Equal(outputs[i], decoded[i], 2e-4);
    }

    [Fact]
    public void SparseRowsGrowAsNeeded()
    {
        var codes = new SparseRows();
        for (var row = 0; row < 1000; row++)
            codes.Add([.. Enumerable.Range(row, row % 7)], [.. Enumerable.Repeat((float)row, row % 7)]);
        Assert.Equal((1000, 1001), (codes.Rows, codes.RowStarts.Length));
        for (var row = 0; row < 1000; row++)
        {
            Assert.Equal(Enumerable.Range(row, row % 7), codes.Indices(row).ToArray());
            Assert.Equal(Enumerable.Repeat((float)row, row % 7), codes.Values(row).ToArray());
        }
    }

    [Fact]
    public void InvalidBatchesAreRefused()
    {
        using var sae = new Sae(Model("topk"), BackendKind.Cpu, batchRows: 4);
        var rows = Rows(3);
        Assert.Contains("whole rows", Assert.Throws<SaeException>(() => sae.Encode(rows.AsSpan(1), new())).Message);
        rows[2 * D + 5] = float.NaN;
        Assert.Contains("row 2", Assert.Throws<SaeException>(() => sae.Encode(rows, new())).Message);
        var codes = new SparseRows();
        codes.Add([3, N], [1, 1]);
        Assert.Contains($"latent {N}", Assert.Throws<SaeException>(() => sae.Decode(codes, new float[D])).Message);
        Assert.Throws<ArgumentException>(() => codes.Add([4, 4], [1, 1]));
    }

    [Collection("emulator")]
    public class OnKernels
    {
        [Fact]
        public unsafe void DeviceRowsGiveTheCodesOfHostRows()
        {
            Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built");
            using var sae = new Sae(Model("jumprelu"), BackendKind.Emulator, batchRows: 8);
            var rows = Rows(11);
            var (host, lent) = (new SparseRows(), new SparseRows());
            sae.Encode(rows, host);
            using var device = Targets.OpenEmulator();
            var stream = device.CreateStream();
            var memory = device.Allocate(4L * rows.Length);
            device.Upload<float>(memory, rows, stream);
            sae.EncodeOnDevice(memory, 11, stream, lent);
            device.Free(memory);
            device.DestroyStream(stream);
            Assert.True(host.Count > 11);
            Assert.Equal(host.RowStarts.ToArray(), lent.RowStarts.ToArray());
            Assert.Equal(host.AllIndices.ToArray(), lent.AllIndices.ToArray());
            Assert.Equal(host.AllValues.ToArray(), lent.AllValues.ToArray());
        }

        /// <summary>Rows of more than 512 active latents exceed the kernels' lists, and are encoded on the
        /// CPU.</summary>
        [Fact]
        public void LongRowsAreEncodedOnTheCpu()
        {
            Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built");
            using var sae = new Sae(Model("relu, more than 512 active"), BackendKind.Emulator, batchRows: 4);
            using var cpu = new Sae(Model("relu, more than 512 active"), BackendKind.Cpu, batchRows: 4);
            var (a, b) = (new SparseRows(), new SparseRows());
            sae.Encode(Rows(5), a);
            cpu.Encode(Rows(5), b);
            Assert.Equal(b.AllIndices.ToArray(), a.AllIndices.ToArray());
            Assert.Equal(b.AllValues.ToArray(), a.AllValues.ToArray());
        }
    }

    [Fact]
    public void CodesGrowByAnyNumberOfRows()
    {
        var codes = new SparseRows();
        for (var b = 0; b < 1000; b++) codes.Add([b, b + 1], [1, b]);
        Assert.Equal((1000, 2000), (codes.Rows, codes.Count));
        for (var b = 0; b < 1000; b++) Assert.Equal([b, b + 1], codes.Indices(b).ToArray());
        Assert.Equal(Enumerable.Range(0, 1001).Select(b => 2 * b), codes.RowStarts.ToArray());
    }

    /// <summary>After the first call, a loop of encodes does not grow the heap.</summary>
    [Collection("alone")]
    public class Alone
    {
        [Fact]
        public void EncodingAllocatesNothing()
        {
            using var sae = new Sae(Model("topk"), BackendKind.Cpu, batchRows: 8);
            var (rows, codes, outputs) = (Rows(8), new SparseRows(), new float[8 * D]);
            for (var i = 0; i < 3; i++) sae.Reconstruct(rows, outputs, codes);
            var allocated = Allocations.LeastOf(() =>
            {
                for (var i = 0; i < 20; i++) sae.Reconstruct(rows, outputs, codes);
            });
            Assert.InRange(allocated, 0, 2000);
        }
    }
}
