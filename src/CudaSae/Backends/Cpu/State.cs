using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>Weights in and out, and what a checkpoint holds.</summary>
sealed unsafe partial class CpuBackend
{
    List<(StateArray Array, nint Memory)>? state;

    public void SetParameters(SaeParameters parameters)
    {
        if (used) Clear();
        CopyIn(parameters.WEnc, wEnc, ld);
        CopyIn(parameters.WDec, wDec, lo);
        CopyIn(parameters.WSkip, wSkip, ld);
        parameters.BEnc.CopyTo(new Span<float>(bEnc, n));
        parameters.BDec.CopyTo(new Span<float>(bDec, D));
        parameters.BMag.CopyTo(new Span<float>(bMag, parameters.BMag.Length));
        parameters.RMag.CopyTo(new Span<float>(rMag, parameters.RMag.Length));
        parameters.Scale.CopyTo(new Span<float>(tieScale, parameters.Scale.Length));
        for (var f = 0; f < parameters.Threshold.Length; f++)
            threshold[f] = Spec.Selection is Selection.JumpRelu { Form: ThresholdForm.Direct } ? parameters.Threshold[f]
                : MathF.Log(parameters.Threshold[f]);
        if (batchThreshold is not null) *batchThreshold = parameters.BatchThreshold;
        for (var f = 0; f < n && Spec.Tying != Tying.Untied; f++)
            for (var i = 0; i < ld; i++)
                wEnc[(long)f * ld + i] = (tieScale is null ? 1 : tieScale[f]) * wDec[(long)f * lo + i];
        if (Config.EmaDecay <= 0) return;
        Buffer.MemoryCopy(wEnc, emaEnc, 4L * n * ld, 4L * n * ld);
        Buffer.MemoryCopy(wDec, emaDec, 4L * n * lo, 4L * n * lo);
        Buffer.MemoryCopy(bDec, emaBDec, 4L * lo, 4L * lo);
        foreach (var vector in vectors) Buffer.MemoryCopy(vector.Weights, vector.Average, 4L * n, 4L * n);
    }

    bool used;      // fresh memory is zero already, and not yet resident

    void Clear()
    {
        foreach (var (array, memory) in Arrays)
            for (long at = 0; at < array.Bytes; at += 1 << 30)
                new Span<byte>((byte*)memory + at, (int)Math.Min(1 << 30, array.Bytes - at)).Clear();
        *previousNorm = double.NaN;
        (windowLength, dead, used) = (0, 0, false);
    }

    public void GetParameters(SaeParameters into) =>
        CopyOut(wEnc, wDec, bDec, static vector => (nint)vector.Weights, into);

    public void GetAverage(SaeParameters into)
    {
        if (Config.EmaDecay <= 0) throw new SaeException("no average of the weights was kept: EmaDecay is 0");
        CopyOut(emaEnc, emaDec, emaBDec, static vector => (nint)vector.Average, into);
    }

    static void CopyIn(Matrix from, float* to, int pitch)
    {
        for (var f = 0L; f < from.Rows; f++) from[f].CopyTo(new Span<float>(to + f * pitch, from.Columns));
    }

    void CopyOut(float* enc, float* dec, float* decBias, Func<LatentVector, nint> numbers, SaeParameters into)
    {
        if (into.WEnc.Rows != n || into.WEnc.Columns != d || into.WDec.Columns != D)
            throw new ArgumentException($"room [{into.WEnc.Rows}, {into.WEnc.Columns}] for an SAE [{n}, {d}]");
        for (var f = 0; f < n; f++)
        {
            new ReadOnlySpan<float>(enc + (long)f * ld, d).CopyTo(into.WEnc[f]);
            new ReadOnlySpan<float>(dec + (long)f * lo, D).CopyTo(into.WDec[f]);
        }
        for (var i = 0; i < into.WSkip.Rows; i++)
            new ReadOnlySpan<float>(wSkip + (long)i * ld, d).CopyTo(into.WSkip[i]);
        new ReadOnlySpan<float>(decBias, D).CopyTo(into.BDec);
        Copy(biasVector, into.BEnc);
        Copy(magVector, into.BMag);
        Copy(rescaleVector, into.RMag);
        if (gated && rescaleVector is null) new ReadOnlySpan<float>(rMag, n).CopyTo(into.RMag);
        Copy(tieVector, into.Scale);
        Copy(thresholdVector, into.Threshold);
        if (Spec.Selection is Selection.JumpRelu { Form: not ThresholdForm.Direct })
            for (var f = 0; f < n; f++) into.Threshold[f] = MathF.Exp(into.Threshold[f]);
        if (batchThreshold is not null) into.BatchThreshold = *batchThreshold;

        void Copy(LatentVector? vector, float[] to)
        {
            if (vector is not null) new ReadOnlySpan<float>((float*)numbers(vector), n).CopyTo(to);
        }
    }

    /// <summary>Gives latents new rows and empty moments, as if they had just fired.</summary>
    public void ResetLatents(ReadOnlySpan<int> which, SaeParameters rows, uint step)
    {
        for (var i = 0; i < which.Length; i++)
        {
            var f = which[i];
            rows.WEnc[i].CopyTo(new Span<float>(wEnc + (long)f * ld, d));
            rows.WDec[i].CopyTo(new Span<float>(wDec + (long)f * lo, D));
            foreach (var (array, memory) in Arrays)
                if (array.Name.StartsWith("adam_", StringComparison.Ordinal) && array.Shape[0] == n
                    && !array.Name.EndsWith("skip", StringComparison.Ordinal)
                    && !array.Name.EndsWith("b_dec", StringComparison.Ordinal))
                    new Span<byte>((byte*)memory + f * (array.Bytes / n), (int)(array.Bytes / n)).Clear();
            bEnc[f] = rows.BEnc[i];
            if (bMag is not null) (bMag[f], rMag[f]) = (rows.BMag[i], 0);
            if (threshold is not null)
                threshold[f] = Spec.Selection is Selection.JumpRelu { Form: ThresholdForm.Direct } ? rows.Threshold[i]
                    : MathF.Log(rows.Threshold[i]);
            if (tieScale is not null) tieScale[f] = rows.Scale[i];
            if (emaEnc is not null)
            {
                Buffer.MemoryCopy(wEnc + (long)f * ld, emaEnc + (long)f * ld, 4L * ld, 4L * ld);
                Buffer.MemoryCopy(wDec + (long)f * lo, emaDec + (long)f * lo, 4L * lo, 4L * lo);
                foreach (var vector in vectors) vector.Average[f] = vector.Weights[f];
            }
            lastFired[f] = (int)step;
        }
        FindDead(step, scalars.DeadAfterSteps);
    }

    public IReadOnlyList<StateArray> State => [.. Arrays.Select(a => a.Array)];

    List<(StateArray Array, nint Memory)> Arrays => state ??= ListArrays();

    List<(StateArray, nint)> ListArrays()
    {
        var list = new List<(StateArray, nint)>();
        void Floats(string name, float* memory, params long[] shape)
        {
            if (memory is not null) list.Add((new(name, "F32", shape), (nint)memory));
        }
        Floats("w_enc", wEnc, n, ld);
        Floats("w_dec", wDec, n, lo);
        Floats("b_dec", bDec, lo);
        if (momentsSkip.Rows > 0) Floats("w_skip", wSkip, D, ld);
        foreach (var moments in (MatrixMoments[])[momentsEnc, momentsDec, momentsSkip])
            if (moments.Rows > 0) list.AddRange(moments.State());
        foreach (var vector in vectors)
        {
            Floats(vector.Name, vector.Weights, n);
            if (Config.Optimizer == OptimizerKind.Sgd) continue;
            Floats($"adam_m_{vector.Name}", vector.M, n);
            Floats($"adam_v_{vector.Name}", vector.V, n);
        }
        if (Config.Optimizer != OptimizerKind.Sgd)
        {
            Floats("adam_m_b_dec", mBDec, lo);
            Floats("adam_v_b_dec", vBDec, lo);
        }
        if (gated && rescaleVector is null) Floats("r_mag", rMag, n);
        Floats("ema_w_enc", emaEnc, n, ld);
        Floats("ema_w_dec", emaDec, n, lo);
        Floats("ema_b_dec", emaBDec, lo);
        if (Config.EmaDecay > 0)
            foreach (var vector in vectors) Floats($"ema_{vector.Name}", vector.Average, n);
        Floats("spread_mean", spreadMean, n);
        Floats("spread_variance", spreadVariance, n);
        Floats("batch_threshold", batchThreshold, 1);
        list.Add((new("last_fired", "I32", [n]), (nint)lastFired));
        if (Config.Lazy) list.Add((new("last_touched", "I32", [n]), (nint)lastTouched));
        list.Add((new("previous_norm", "U8", [sizeof(double)]), (nint)previousNorm));
        return list;
    }

    public void ReadState(StateArray array, long offset, Span<byte> into) =>
        Bytes(array, offset, into.Length).CopyTo(into);

    public void WriteState(StateArray array, long offset, ReadOnlySpan<byte> from) =>
        from.CopyTo(Bytes(array, offset, from.Length));

    /// <summary>Rebuilds what is derived from the state: the window of dead latents for the step after
    /// <paramref name="step"/>.</summary>
    public void AfterRestore(uint step, uint deadAfterSteps) => FindDead(step, deadAfterSteps);

    Span<byte> Bytes(StateArray array, long offset, int length)
    {
        used = true;
        var found = Arrays.Find(a => a.Array.Name == array.Name);
        if (found.Memory == 0 || offset < 0 || offset + length > found.Array.Bytes)
            throw new ArgumentException($"no bytes {offset}..{offset + length} in state {array.Name}");
        return new((byte*)found.Memory + offset, length);
    }
}
