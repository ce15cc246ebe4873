using CudaSae.Devices;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Kernels;

/// <summary>Copies weights and the state of a checkpoint to and from host memory.</summary>
sealed unsafe partial class KernelBackend
{
    List<(StateArray Array, ulong Pointer)>? state;

    SplitMatrix Encoder => new(Buffers.WEncHi, Buffers.WEncLo, Buffers.Ld);
    SplitMatrix Decoder => new(Buffers.WDecHi, Buffers.WDecLo, Buffers.Lo);

    public void SetParameters(SaeParameters parameters)
    {
        foreach (var (array, pointer) in Arrays)
            if (array.Bytes % 4 == 0) device.Fill32(pointer, 0, array.Bytes / 4, Settled);
        device.Fill32(Buffers.DeadCount.Pointer, 0, 1, Settled);
        device.Fill32(Buffers.AuxCount.Pointer, 0, 1, Settled);
        device.Fill32(phases.Latents.AuxTotal.Pointer, 0, 1, Settled);
        device.Fill32(Buffers.AuxSlot.Pointer, uint.MaxValue, Context.Latents, Settled);
        device.Upload(phases.Optimize.GradientNorm.Pointer, [double.NaN], Settled);
        using var tied = Spec.Tying == Tying.Untied ? null : TiedEncoder(parameters);
        var encoder = tied ?? parameters.WEnc;
        Encoder.Write(device, stream, encoder);
        Decoder.Write(device, stream, parameters.WDec);
        if (parameters.WSkip.Rows > 0) SetFloats(parameters.WSkip, Buffers.WSkip, Buffers.Ld);
        foreach (var (numbers, array) in Vectors(parameters)) SetVector(numbers, array.Weights.Pointer);
        SetVector(parameters.BDec, Buffers.BDec.Pointer);
        if (phases.Select?.Batch is { } batch) SetVector([parameters.BatchThreshold], batch.Threshold.Pointer);
        if (Config.EmaDecay > 0)
        {
            SetFloats(encoder, phases.Optimize.AverageEnc, Buffers.Ld);
            SetFloats(parameters.WDec, phases.Optimize.AverageDec, Buffers.Lo);
            foreach (var (numbers, array) in Vectors(parameters)) SetVector(numbers, array.Average.Pointer);
            SetVector(parameters.BDec, phases.Optimize.AverageBDec.Pointer);
        }
        phases.Screen?.Forget();
        device.Synchronize(Settled);
    }

    /// <summary>Lists the per-latent parameters in the form that the optimizer updates, with their arrays on the
    /// device.</summary>
    IEnumerable<(float[] Numbers, LatentArrays Array)> Vectors(SaeParameters p)
    {
        var optimize = phases.Optimize;
        var threshold = LogThreshold ? Array.ConvertAll(p.Threshold, MathF.Log) : p.Threshold;
        return new[] { (p.BEnc, optimize.BEnc), (threshold, optimize.Threshold), (p.BMag, optimize.BMag),
            (p.RMag, optimize.RMag), (p.Scale, optimize.TieScale) }.Where(v => v.Item1.Length > 0);
    }

    bool LogThreshold => Spec.Selection is Selection.JumpRelu { Form: not ThresholdForm.Direct };

    static Matrix TiedEncoder(SaeParameters p)
    {
        var tied = new Matrix(p.WEnc.Rows, p.WEnc.Columns);
        for (var f = 0L; f < tied.Rows; f++)
            for (var i = 0; i < tied.Columns; i++) tied[f][i] = (p.Scale.Length > 0 ? p.Scale[f] : 1) * p.WDec[f][i];
        return tied;
    }

    void SetVector(float[] from, ulong to) => device.Upload<float>(to, from, Settled);

    void SetFloats(Matrix from, DeviceArray<float> to, int ld)
    {
        for (long r = 0; r < from.Rows; r++)
        {
            var row = from.Data + r * from.Columns;
            device.CopyToDevice(to.Pointer + (ulong)(4 * r * ld), row, 4L * from.Columns, Settled);
        }
        device.Synchronize(Settled);
        GC.KeepAlive(from);
    }

    public void GetParameters(SaeParameters into)
    {
        Settle();
        Encoder.Read(device, stream, into.WEnc);
        Decoder.Read(device, stream, into.WDec);
        GetVectors(into, average: false);
        GetVector(Buffers.BDec.Pointer, into.BDec);
    }

    void GetVectors(SaeParameters into, bool average)
    {
        if (into.WSkip.Rows > 0) GetFloats(Buffers.WSkip, into.WSkip, Buffers.Ld);
        foreach (var (numbers, array) in Vectors(into))
        {
            GetVector((average ? array.Average : array.Weights).Pointer, numbers);
            if (array == phases.Optimize.Threshold)
                for (var f = 0; f < numbers.Length; f++)
                    into.Threshold[f] = LogThreshold ? MathF.Exp(numbers[f]) : numbers[f];
        }
        if (phases.Select?.Batch is not { } batch) return;
        var threshold = new float[1];
        GetVector(batch.Threshold.Pointer, threshold);
        into.BatchThreshold = threshold[0];
    }

    /// <summary>Gives latents new rows and empty moments, and records that they fired in
    /// <paramref name="step"/>.</summary>
    public void ResetLatents(ReadOnlySpan<int> which, SaeParameters rows, uint step)
    {
        Settle();
        var zero = new byte[4L * Math.Max(Buffers.Ld, Buffers.Lo)];
        for (var i = 0; i < which.Length; i++)
        {
            var f = which[i] - Context.First;
            if (f < 0 || f >= Context.Latents) continue;        // on another rank
            Encoder.WriteRow(device, stream, f, rows.WEnc[i]);
            Decoder.WriteRow(device, stream, f, rows.WDec[i]);
            foreach (var (array, pointer) in Arrays)
            {
                if (!array.ByLatent || !array.Name.StartsWith("adam_", StringComparison.Ordinal)) continue;
                var bytes = array.Bytes / Context.Latents;
                device.Upload(pointer + (ulong)(f * bytes), zero.AsSpan(0, (int)bytes), Settled);
            }
            if (Config.EmaDecay > 0)
            {
                var (enc, dec) = (phases.Optimize.AverageEnc.Pointer, phases.Optimize.AverageDec.Pointer);
                device.Upload<float>(enc + (ulong)(4L * f * Buffers.Ld), rows.WEnc[i], Settled);
                device.Upload<float>(dec + (ulong)(4L * f * Buffers.Lo), rows.WDec[i], Settled);
            }
            foreach (var (numbers, array) in Vectors(rows))
            {
                SetOne(array.Weights.Pointer, f, numbers[i]);
                if (Config.EmaDecay > 0) SetOne(array.Average.Pointer, f, numbers[i]);
            }
            device.Upload(Buffers.LastFired.Pointer + (ulong)f * 4, [(int)step], Settled);
        }
        phases.Screen?.Forget();
        phases.Latents.FindDead(early: false);
        device.Synchronize(Settled);

        void SetOne(ulong array, int f, float number) => device.Upload(array + (ulong)f * 4, [number], Settled);
    }

    void GetVector(ulong from, float[] into) => device.Download<float>(into, from, Settled);

    public void GetAverage(SaeParameters into)
    {
        if (Config.EmaDecay <= 0) throw new SaeException("no average of the weights was kept: EmaDecay is 0");
        GetFloats(phases.Optimize.AverageEnc, into.WEnc, Buffers.Ld);
        GetFloats(phases.Optimize.AverageDec, into.WDec, Buffers.Lo);
        GetVectors(into, average: true);
        GetVector(phases.Optimize.AverageBDec.Pointer, into.BDec);
    }

    void GetFloats(DeviceArray<float> from, Matrix into, int ld)
    {
        for (long r = 0; r < into.Rows; r++)
        {
            var row = into.Data + r * into.Columns;
            device.CopyToHost(row, from.Pointer + (ulong)(4 * r * ld), 4L * into.Columns, Settled);
        }
        device.Synchronize(Settled);
        GC.KeepAlive(into);
    }

    public IReadOnlyList<StateArray> State => [.. Arrays.Select(a => a.Array)];

    List<(StateArray Array, ulong Pointer)> Arrays => state ??= ListArrays();

    List<(StateArray, ulong)> ListArrays()
    {
        long n = Context.Latents, ld = Buffers.Ld, lo = Buffers.Lo;
        List<(StateArray, ulong)> list = [OfLatents("w_enc_hi", "BF16", Buffers.WEncHi.Pointer, n, ld),
            OfLatents("w_dec_hi", "BF16", Buffers.WDecHi.Pointer, n, lo)];
        if (Buffers.WEncLo.Length > 0)
            list.AddRange([OfLatents("w_enc_lo", "I16", Buffers.WEncLo.Pointer, n, ld),
                OfLatents("w_dec_lo", "I16", Buffers.WDecLo.Pointer, n, lo)]);
        if (Buffers.WSkip.Length > 0) list.Add((new("w_skip", "F32", [Spec.OutputWidth, ld]), Buffers.WSkip.Pointer));
        if (phases.Select?.Batch is { } batch) list.Add((new("batch_threshold", "F32", [1]), batch.Threshold.Pointer));
        if (phases.Scalars is { SpreadMean.Length: > 0 } spread)
            list.AddRange([OfLatents("spread_mean", "F32", spread.SpreadMean.Pointer, n),
                OfLatents("spread_variance", "F32", spread.SpreadVariance.Pointer, n)]);
        if (phases.Screen is { } screen)
            list.AddRange([(new("screen_scale", "F32", [ld]), screen.Scale.Pointer),
                (new("screen_audit", "I32", [4]), screen.AuditCounts.Pointer)]);
        if (phases.Hot is { } hot) list.AddRange(hot.State);
        list.AddRange([(new("b_dec", "F32", [lo]), Buffers.BDec.Pointer),
            OfLatents("last_fired", "I32", Buffers.LastFired.Pointer, n), .. phases.Optimize.State]);
        return list;
    }

    static (StateArray, ulong) OfLatents(string name, string type, ulong pointer, params long[] shape) =>
        (new(name, type, shape) { ByLatent = true }, pointer);

    public void ReadState(StateArray array, long offset, Span<byte> into) =>
        device.Download(into, Address(array, offset, into.Length), Settled);

    public void WriteState(StateArray array, long offset, ReadOnlySpan<byte> from) =>
        device.Upload(Address(array, offset, from.Length), from, Settled);

    ulong Address(StateArray array, long offset, int length)
    {
        var found = Arrays.Find(a => a.Array.Name == array.Name);
        if (found.Pointer == 0 || offset < 0 || offset + length > found.Array.Bytes)
            throw new ArgumentException($"no bytes {offset}..{offset + length} in state {array.Name}");
        return found.Pointer + (ulong)offset;
    }

    public void AfterRestore(uint step, uint deadAfterSteps)
    {
        var scalars = new StepScalars { Step = step, DeadAfterSteps = deadAfterSteps };
        device.Upload(Buffers.Scalars.Pointer, [scalars], Settled);
        phases.Screen?.Forget();
        phases.Latents.FindDead(early: false);
        device.Synchronize(Settled);
    }
}
