using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>Weights in and out, and the state that a checkpoint holds.</summary>
sealed unsafe partial class CpuBackend
{
    List<(StateArray Array, nint Memory)>? state;

    LatentUpdate Latent => phases.Optimize.Latent;

    bool LogThreshold => Spec.Selection is Selection.JumpRelu { Form: not ThresholdForm.Direct };

    public void SetParameters(SaeParameters parameters)
    {
        if (used) Clear();
        var (b, n) = (Buffers, context.Latents);
        CopyIn(parameters.WEnc, b.WEnc, context.InStride);
        CopyIn(parameters.WDec, b.WDec, context.OutStride);
        CopyIn(parameters.WSkip, b.WSkip, context.InStride);
        parameters.BEnc.CopyTo(new Span<float>(b.BEnc, n));
        parameters.BDec.CopyTo(new Span<float>(b.BDec, context.OutWidth));
        parameters.BMag.CopyTo(new Span<float>(b.BMag, parameters.BMag.Length));
        parameters.RMag.CopyTo(new Span<float>(b.RMag, parameters.RMag.Length));
        parameters.Scale.CopyTo(new Span<float>(b.TieScale, parameters.Scale.Length));
        for (var f = 0; f < parameters.Threshold.Length; f++) b.Threshold[f] = StoredThreshold(parameters.Threshold[f]);
        if (phases.Batch is { } batch) *batch.Threshold = parameters.BatchThreshold;
        if (Spec.Tying != Tying.Untied) TieEncoder();
        if (Config.EmaDecay > 0) StartAverages();
    }

    float StoredThreshold(float theta) => LogThreshold ? MathF.Log(theta) : theta;

    void TieEncoder()
    {
        var (b, ld, lo) = (Buffers, context.InStride, context.OutStride);
        for (var f = 0; f < context.Latents; f++)
            for (var i = 0; i < ld; i++)
                b.WEnc[(long)f * ld + i] = (b.TieScale is null ? 1 : b.TieScale[f]) * b.WDec[(long)f * lo + i];
    }

    void StartAverages()
    {
        long n = context.Latents, ld = context.InStride, lo = context.OutStride;
        Copy(Buffers.WEnc, Latent.AverageEnc, n * ld);
        Copy(Buffers.WDec, Latent.AverageDec, n * lo);
        Copy(Buffers.BDec, phases.Optimize.AverageBDec, lo);
        foreach (var vector in Latent.Vectors) Copy(vector.Weights, vector.Average, n);
    }

    static void Copy(float* from, float* to, long count) => Buffer.MemoryCopy(from, to, 4 * count, 4 * count);

    void Clear()
    {
        foreach (var (array, memory) in Arrays)
            for (long at = 0; at < array.Bytes; at += 1 << 30)
                new Span<byte>((byte*)memory + at, (int)Math.Min(1 << 30, array.Bytes - at)).Clear();
        *phases.Optimize.PreviousNorm = double.NaN;
        phases.Window.Clear();
        used = false;
    }

    public void GetParameters(SaeParameters into) =>
        CopyOut(Buffers.WEnc, Buffers.WDec, Buffers.BDec, static vector => (nint)vector.Weights, into);

    public void GetAverage(SaeParameters into)
    {
        if (Config.EmaDecay <= 0) throw new SaeException("no average of the weights was kept: EmaDecay is 0");
        CopyOut(Latent.AverageEnc, Latent.AverageDec, phases.Optimize.AverageBDec,
            static vector => (nint)vector.Average, into);
    }

    static void CopyIn(Matrix from, float* to, int stride)
    {
        for (var f = 0L; f < from.Rows; f++) from[f].CopyTo(new Span<float>(to + f * stride, from.Columns));
    }

    static void CopyOut(float* from, int stride, Matrix to)
    {
        for (var f = 0L; f < to.Rows; f++) new ReadOnlySpan<float>(from + f * stride, to.Columns).CopyTo(to[f]);
    }

    void CopyOut(float* enc, float* dec, float* decBias, Func<LatentVector, nint> numbers, SaeParameters into)
    {
        int n = context.Latents, d = context.Width, D = context.OutWidth;
        if (into.WEnc.Rows != n || into.WEnc.Columns != d || into.WDec.Columns != D)
            throw new ArgumentException($"room [{into.WEnc.Rows}, {into.WEnc.Columns}] for an SAE [{n}, {d}]");
        CopyOut(enc, context.InStride, into.WEnc);
        CopyOut(dec, context.OutStride, into.WDec);
        CopyOut(Buffers.WSkip, context.InStride, into.WSkip);
        new ReadOnlySpan<float>(decBias, D).CopyTo(into.BDec);
        CopyVector(Latent.BEnc, into.BEnc);
        CopyVector(Latent.BMag, into.BMag);
        CopyVector(Latent.RMag, into.RMag);
        if (context.Gated && Latent.RMag is null) new ReadOnlySpan<float>(Buffers.RMag, n).CopyTo(into.RMag);
        CopyVector(Latent.TieScale, into.Scale);
        CopyVector(Latent.Threshold, into.Threshold);
        if (LogThreshold)
            for (var f = 0; f < n; f++) into.Threshold[f] = MathF.Exp(into.Threshold[f]);
        if (phases.Batch is { } batch) into.BatchThreshold = *batch.Threshold;

        void CopyVector(LatentVector? vector, float[] to)
        {
            if (vector is not null) new ReadOnlySpan<float>((float*)numbers(vector), n).CopyTo(to);
        }
    }

    /// <summary>Gives latents new rows and empty moments, as if they had just fired.</summary>
    public void ResetLatents(ReadOnlySpan<int> which, SaeParameters rows, uint step)
    {
        var b = Buffers;
        for (var i = 0; i < which.Length; i++)
        {
            var f = which[i] - context.First;
            if (f < 0 || f >= context.Latents) continue;        // on another rank
            rows.WEnc[i].CopyTo(new Span<float>(b.WEnc + (long)f * context.InStride, context.Width));
            rows.WDec[i].CopyTo(new Span<float>(b.WDec + (long)f * context.OutStride, context.OutWidth));
            ClearMoments(f);
            b.BEnc[f] = rows.BEnc[i];
            if (b.BMag is not null) (b.BMag[f], b.RMag[f]) = (rows.BMag[i], 0);
            if (b.Threshold is not null) b.Threshold[f] = StoredThreshold(rows.Threshold[i]);
            if (b.TieScale is not null) b.TieScale[f] = rows.Scale[i];
            if (Config.EmaDecay > 0) RestartAverage(f);
            b.LastFired[f] = (int)step;
        }
        phases.Window.Find(step, this.step.Scalars.DeadAfterSteps);
    }

    void ClearMoments(int f)
    {
        var n = context.Latents;
        foreach (var (array, memory) in Arrays)
            if (array.ByLatent && array.Name.StartsWith("adam_", StringComparison.Ordinal))
                new Span<byte>((byte*)memory + f * (array.Bytes / n), (int)(array.Bytes / n)).Clear();
    }

    void RestartAverage(int f)
    {
        long ld = context.InStride, lo = context.OutStride;
        Copy(Buffers.WEnc + f * ld, Latent.AverageEnc + f * ld, ld);
        Copy(Buffers.WDec + f * lo, Latent.AverageDec + f * lo, lo);
        foreach (var vector in Latent.Vectors) vector.Average[f] = vector.Weights[f];
    }

    public IReadOnlyList<StateArray> State => [.. Arrays.Select(a => a.Array)];

    List<(StateArray Array, nint Memory)> Arrays => state ??= ListArrays();

    List<(StateArray, nint)> ListArrays()
    {
        var (b, optimize, latent) = (Buffers, phases.Optimize, Latent);
        long n = context.Latents, ld = context.InStride, lo = context.OutStride;
        var moves = Config.Optimizer != OptimizerKind.Sgd;
        var list = new List<(StateArray, nint)>();
        OfLatents("w_enc", b.WEnc, n, ld);
        OfLatents("w_dec", b.WDec, n, lo);
        Floats("b_dec", b.BDec, lo);
        Floats("w_skip", b.WSkip, context.OutWidth, ld);
        foreach (var moments in (MatrixMoments?[])[latent.Enc, latent.Dec, phases.Skip?.Moments])
            if (moments is { Rows: > 0 }) list.AddRange(moments.State(byLatent: moments != phases.Skip?.Moments));
        foreach (var vector in latent.Vectors)
        {
            OfLatents(vector.Name, vector.Weights, n);
            if (moves) OfLatents($"adam_m_{vector.Name}", vector.M, n);
            if (moves) OfLatents($"adam_v_{vector.Name}", vector.V, n);
        }
        if (moves) Floats("adam_m_b_dec", optimize.MBDec, lo);
        if (moves) Floats("adam_v_b_dec", optimize.VBDec, lo);
        if (context.Gated && latent.RMag is null) OfLatents("r_mag", b.RMag, n);
        OfLatents("ema_w_enc", latent.AverageEnc, n, ld);
        OfLatents("ema_w_dec", latent.AverageDec, n, lo);
        Floats("ema_b_dec", optimize.AverageBDec, lo);
        foreach (var vector in latent.Vectors) OfLatents($"ema_{vector.Name}", vector.Average, n);
        if (phases.Scalars is { } scalars) OfLatents("spread_mean", scalars.SpreadMean, n);
        if (phases.Scalars is { } spread) OfLatents("spread_variance", spread.SpreadVariance, n);
        if (phases.Batch is { } batch) Floats("batch_threshold", batch.Threshold, 1);
        list.Add((new("last_fired", "I32", [n]) { ByLatent = true }, (nint)b.LastFired));
        if (Config.Lazy) list.Add((new("last_touched", "I32", [n]) { ByLatent = true }, (nint)latent.LastTouched));
        list.Add((new("previous_norm", "U8", [sizeof(double)]), (nint)optimize.PreviousNorm));
        return list;

        void OfLatents(string name, float* memory, params long[] shape)
        {
            if (memory is not null) list.Add((new(name, "F32", shape) { ByLatent = true }, (nint)memory));
        }
        void Floats(string name, float* memory, params long[] shape)
        {
            if (memory is not null) list.Add((new(name, "F32", shape), (nint)memory));
        }
    }

    public void ReadState(StateArray array, long offset, Span<byte> into) =>
        Bytes(array, offset, into.Length).CopyTo(into);

    public void WriteState(StateArray array, long offset, ReadOnlySpan<byte> from) =>
        from.CopyTo(Bytes(array, offset, from.Length));

    /// <summary>Rebuilds the derived state: the window of dead latents for the step after
    /// <paramref name="step"/>.</summary>
    public void AfterRestore(uint step, uint deadAfterSteps) => phases.Window.Find(step, deadAfterSteps);

    Span<byte> Bytes(StateArray array, long offset, int length)
    {
        used = true;
        var found = Arrays.Find(a => a.Array.Name == array.Name);
        if (found.Memory == 0 || offset < 0 || offset + length > found.Array.Bytes)
            throw new ArgumentException($"no bytes {offset}..{offset + length} in state {array.Name}");
        return new((byte*)found.Memory + offset, length);
    }
}
