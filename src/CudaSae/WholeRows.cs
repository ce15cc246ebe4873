using System.Runtime.CompilerServices;
using CudaSae.Backends.Cpu;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae;

/// <summary>Encodes rows with any number of active latents on the CPU. It computes all n pre-activations of a few rows
/// at a time, then applies the selection of inference. Pre-activations have the same bits as those of
/// <see cref="CpuBackend"/>. Weights are read in place. One thread at a time may use it.</summary>
sealed unsafe class WholeRows : IDisposable
{
    const long MostBytes = 256 << 20;       // limit of the pre-activations' memory
    const int LatentPart = 512;

    readonly SaeSpec spec;
    readonly SaeParameters p;
    readonly int d, n;
    readonly Workers workers = new(Environment.ProcessorCount);
    readonly Matrix packed;                 // [d, 48] x − b_dec, rows as lanes
    readonly Matrix code;                   // [Rows, n] z, then the code
    readonly float[] expR;                  // [n] of Gated
    readonly ulong[][] keys;                // [workers][n] for selections by rank
    int count;

    /// <summary>Prepares encoding with the given weights.</summary>
    /// <param name="spec">The architecture.</param>
    /// <param name="p">The weights. They are not copied and must be kept until this object is disposed.</param>
    public WholeRows(SaeSpec spec, SaeParameters p)
    {
        (this.spec, this.p, d, n) = (spec, p, spec.InputWidth, spec.Latents);
        Rows = (int)Math.Clamp(MostBytes / (sizeof(float) * (long)n), 1, Gemm.TileColumns);
        (packed, code) = (new(d, Gemm.TileColumns), new(Rows, n));
        expR = [.. p.RMag.Select(MathF.Exp)];
        var byRank = spec.Selection is Selection.TopK or Selection.AbsTopK;
        keys = [.. Enumerable.Range(0, workers.Count).Select(_ => new ulong[byRank ? n : 0])];
    }

    /// <summary>The most rows that are encoded at once.</summary>
    public int Rows { get; }

    public string Description =>
        $"cpu, {workers.Count} threads, {CpuBackend.VectorBits}-bit vectors, float32, all latents of a row";

    /// <summary>Returns the code of a row of the last <see cref="Encode"/>, [n], including zeros.</summary>
    public ReadOnlySpan<float> Code(int row) => code[row];

    /// <summary>Appends the nonzero entries of a row of the last <see cref="Encode"/>.</summary>
    /// <returns>The number of entries.</returns>
    public int AddTo(SparseRows codes, int row, (float Scale, float Shift) undo)
    {
        codes.BeginRow(undo.Scale, undo.Shift);
        var before = codes.Count;
        var values = Code(row);
        for (var f = 0; f < n; f++)
            if (values[f] != 0) codes.Add(f, values[f]);
        return codes.Count - before;
    }

    /// <summary>Encodes rows.</summary>
    /// <param name="x">[rows, d], at most <see cref="Rows"/> rows, scaled or normalized for the weights.</param>
    public void Encode(ReadOnlySpan<float> x)
    {
        count = x.Length / d;
        for (var i = 0; i < d; i++)
        {
            var lanes = packed[i];
            lanes[count..].Clear();
            for (var b = 0; b < count; b++) lanes[b] = x[b * d + i] - (spec.PreEncoderBias ? p.BDec[i] : 0);
        }
        workers.Run((n + LatentPart - 1) / LatentPart, PreActPart);
        workers.Run(count, (row, worker) => Select(code[row], worker));
    }

    [SkipLocalsInit]
    void PreActPart(int part, int worker)
    {
        var buffer = stackalloc float[Gemm.TileRows * Gemm.TileColumns + 16];
        var tile = (float*)((nint)(buffer + 15) & ~63);
        var rows = stackalloc float*[Gemm.TileRows];
        var bias = stackalloc float[Gemm.TileRows];
        for (var f = part * LatentPart; f < Math.Min((part + 1) * LatentPart, n); f += Gemm.TileRows)
        {
            for (var r = 0; r < Gemm.TileRows; r++)
            {
                var latent = Math.Min(f + r, n - 1);
                rows[r] = p.WEnc.Data + (long)latent * d;
                bias[r] = p.BEnc[latent];
            }
            Gemm.Tile(rows, packed.Data, Gemm.TileColumns, d, bias, tile);
            for (var b = 0; b < count; b++)
            {
                var to = code.Data + (long)b * n + f;
                for (var r = 0; r < Math.Min(Gemm.TileRows, n - f); r++) to[r] = tile[r * Gemm.TileColumns + b];
            }
        }
    }

    /// <summary>Replaces z by the code.</summary>
    void Select(Span<float> z, int worker)
    {
        switch (spec.Selection)
        {
            case Selection.TopK or Selection.AbsTopK: KeepLargest(z, spec.ActiveAtInference, keys[worker]); break;
            case Selection.GroupMax groups: KeepGroups(z, n / groups.K); break;
            case Selection.BatchTopK: KeepAbove(z, MathF.Max(p.BatchThreshold, 0)); break;
            case Selection.Relu: KeepAbove(z, 0); break;
            case Selection.JumpRelu:
                for (var f = 0; f < n; f++) z[f] = z[f] > p.Threshold[f] ? z[f] : 0;
                break;
            default:
                for (var f = 0; f < n; f++) z[f] = z[f] > 0 ? Math.Max(0, expR[f] * (z[f] - p.BEnc[f]) + p.BMag[f]) : 0;
                break;
        }
    }

    static void KeepAbove(Span<float> z, float threshold)
    {
        foreach (ref var v in z) v = v > threshold ? v : 0;
    }

    void KeepLargest(Span<float> z, int k, ulong[] order)
    {
        var byMagnitude = spec.Selection is Selection.AbsTopK;
        for (var f = 0; f < n; f++) order[f] = KeyOf(z[f], f);
        ulong least;
        fixed (ulong* v = order) least = Largest.Quickselect(v, n, n - k);
        for (var f = 0; f < n; f++) z[f] = KeyOf(z[f], f) >= least && (byMagnitude || z[f] > 0) ? z[f] : 0;

        ulong KeyOf(float a, int f) => byMagnitude ? CandidateKey.OfMagnitude(a, f) : CandidateKey.Of(a, f);
    }

    /// <summary>Keeps the largest value of each group; among equal values the lower latent wins.</summary>
    static void KeepGroups(Span<float> z, int size)
    {
        for (var first = 0; first < z.Length; first += size)
        {
            var group = z.Slice(first, size);
            var (best, value) = (0, float.NegativeInfinity);
            for (var f = 0; f < size; f++)
                if (group[f] > value) (best, value) = (f, group[f]);
            group.Clear();
            group[best] = MathF.Max(0, value);
        }
    }

    /// <summary>Computes x̂ of the rows of the last <see cref="Encode"/>: b_dec + Σ value · WDec[index] + WSkip
    /// x.</summary>
    /// <param name="x">The rows that were encoded.</param>
    /// <param name="into">[rows, d_out].</param>
    public void Decode(ReadOnlySpan<float> x, Span<float> into)
    {
        var width = spec.OutputWidth;
        fixed (float* input = x, output = into)
        {
            var (from, to) = ((nint)input, (nint)output);
            workers.Run(count, (row, _) =>
                DecodeRow(code[row], (float*)from + (long)row * d, new((float*)to + (long)row * width, width)));
        }
    }

    void DecodeRow(ReadOnlySpan<float> values, float* x, Span<float> to)
    {
        p.BDec.CopyTo(to);
        for (var i = 0; i < p.WSkip.Rows; i++)
        {
            var row = p.WSkip[i];
            for (var j = 0; j < d; j++) to[i] += row[j] * x[j];
        }
        fixed (float* output = to)
            for (var f = 0; f < n; f++)
                if (values[f] != 0) Add(output, values[f], p.WDec.Data + (long)f * to.Length, to.Length);
    }

    static void Add(float* to, float factor, float* row, int length)
    {
        var whole = length & ~15;
        Numerics.Rows.Add(to, factor, row, whole);
        for (var i = whole; i < length; i++) to[i] = MathF.FusedMultiplyAdd(factor, row[i], to[i]);
    }

    public void Dispose()
    {
        workers.Dispose();
        packed.Dispose();
        code.Dispose();
    }
}
