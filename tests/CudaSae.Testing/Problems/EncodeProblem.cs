using CudaSae.Backends.Kernels;
using CudaSae.Devices;
using CudaSae.Model;
using CudaSae.Numerics;
using Xunit;

namespace CudaSae.Testing.Problems;

/// <summary>The distribution of a row's pre-activations.</summary>
public enum Shape
{
    Random, Gaussian, AllEqual, Ascending, NanAndInfinity, TwoNumbers, SignedZeros, HugeRow,
    SomeRowsAscending, Peak
}

/// <summary>The resulting code, the number of rows that took the exact fallback, and the number of row tiles that
/// Hopper swept again.</summary>
sealed record EncodeResult(int[] Index, float[] Value, int Overflows, int Repeated);

/// <summary>Operands of the encode phase and the sorted answer. All of X [B, d] and W [n, d] are exact in
/// bfloat16.</summary>
sealed record EncodeProblem(int Rows, int Width, int Latents, int Active, float[] X, float[] W, float[] Bias)
{
    /// <summary>The latent of each column; null for all latents in order.</summary>
    public int[]? Columns { get; init; }
    /// <summary>Number of <see cref="Columns"/>.</summary>
    public int Count { get; init; }
    public bool Relu { get; init; } = true;
    /// <summary>Whether the selection compares |z|.</summary>
    public bool ByMagnitude { get; init; }
    /// <summary>Runs the Hopper kernels, on the emulator as a device of capability 9.0.</summary>
    public bool Hopper { get; init; }
    /// <summary>Features that the Hopper kernels leave out.</summary>
    public LeftOut Without { get; init; }
    /// <summary>An emulator other than the default one, such as the one with the race detector.</summary>
    public string? Library { get; init; }
    /// <summary>Encodes through 8-bit screening.</summary>
    public bool Screened { get; init; }

    public static EncodeProblem Make(Shape shape, int rows, int width, int latents, int active)
    {
        var random = new Random(7);
        float Dyadic(int bound) => random.Next(-bound, bound + 1) * 0.25f;
        float Gaussian() =>
            Rounded((float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble()))
                * Math.Cos(2 * Math.PI * random.NextDouble())));
        float[] Fill(int length, Func<float> next) => [.. Enumerable.Range(0, length).Select(_ => next())];
        Func<float> entry = shape == Shape.Gaussian ? Gaussian : () => Dyadic(8);
        var p = new EncodeProblem(rows, width, latents, active, Fill(rows * width, entry), Fill(latents * width, entry),
            Fill(latents, () => Dyadic(8)));
        p.Bend(shape, random);
        return p;
    }

    void Bend(Shape shape, Random random)
    {
        if (shape is Shape.AllEqual or Shape.Ascending or Shape.TwoNumbers or Shape.SignedZeros
            or Shape.SomeRowsAscending or Shape.Peak)
            Array.Clear(W);
        for (var f = 0; f < Latents; f++)
            Bias[f] = shape switch
            {
                Shape.AllEqual => 1,
                Shape.Ascending => 0.5f * f - 100,
                Shape.NanAndInfinity =>
                    random.Next(3) != 0 ? float.NaN : random.Next(5) == 0
                        ? (random.Next(2) == 0 ? float.PositiveInfinity : float.NegativeInfinity) : Bias[f],
                Shape.TwoNumbers => f == Latents / 2 ? -5 : f == Latents - 1 ? float.NegativeInfinity : float.NaN,
                Shape.SignedZeros => random.Next(2) == 0 ? -0f : 0f,
                Shape.HugeRow => 0,                                    // the part that float32 rounds away
                Shape.SomeRowsAscending => -f,
                Shape.Peak => -Math.Abs(f - Latents / 3),
                _ => Bias[f],
            };
        if (shape == Shape.HugeRow)
        {
            Array.Fill(X, 1.0737418e9f, Rows / 2 * Width, Width);      // 2^30
            Array.Fill(X, float.NaN, (Rows - 1) * Width, Width);
        }
        if (shape != Shape.SomeRowsAscending) return;
        for (var f = 0; f < Latents; f++) (W[f * Width], W[f * Width + 1]) = (f / 256 * 256, f % 256);
        for (var b = 0; b < Rows; b++) X[b * Width] = X[b * Width + 1] = b % 5 == 0 ? 2 : 0;    // f, or −f
    }

    /// <summary>Replaces a schedule's seed on the GPU.</summary>
    public const int Gpu = -1;

    /// <summary>Returns the places where a test's body runs on this machine: these schedules of the emulator, and a
    /// GPU. On a machine that has only a GPU, the body runs there alone.</summary>
    public int[] Places(params int[] schedules)
    {
        var gpu = Hopper ? Targets.HasHopper : Targets.HasGpu(out _);
        int[] here = [.. Targets.HasEmulator ? schedules : [], .. gpu ? (int[])[Gpu] : []];
        Assert.SkipWhen(here.Length == 0, "the emulator is not built, and there is no GPU for these kernels");
        return here;
    }

    public EncodeResult Run(int capacity, int seed, bool reference = false) =>
        On(capacity, seed, (context, phase, screen) =>
    {
        phase.Reference = reference;
        if (screen is null) phase.Run();
        else screen.Run();
        var repeated = Hopper && !Screened ? Download<int>(context, phase.Repeated)[0] : 0;
        return new EncodeResult(Download<int>(context, phase.Target.Index),
            Download<float>(context, phase.Target.Value), Download<int>(context, phase.Overflows)[0], repeated);
    });

    /// <summary>Returns the columns of [begin, end) that 8-bit screening keeps for each row, ascending, where a row's
    /// candidates must exceed its limit.</summary>
    /// <param name="limits">[B] keys; see order_key of kernels/common.cuh.</param>
    /// <param name="margin">Factor on the bound's margin.</param>
    public int[][] Survivors(int seed, int begin, int end, uint[] limits, float margin) =>
        On(Latents, seed, (context, phase, screen) =>
    {
        Upload(context, phase.Limit.Pointer, limits);
        Upload(context, phase.Count.Pointer, new int[Rows]);
        screen!.MarginFactor = margin;
        screen.Quantize();
        screen.Screen(begin, end);
        var (counts, candidates) = (Download<int>(context, phase.Count), Download<ulong>(context, phase.Candidates));
        return Enumerable.Range(0, Rows)
            .Select(b =>
                candidates.AsSpan(b * phase.CandidateStride, counts[b]).ToArray().Select(c => (int)c).Order().ToArray())
            .ToArray();
    });

    T On<T>(int capacity, int seed, Func<KernelContext, EncodePhase, ScreenPhase?, T> work)
    {
        using var device = Open(seed);
        var counting = new DeviceArena();
        Phase(null, 0, counting, capacity, out _, out _, out _);
        using var owned = new Owned(device);
        var arena = owned.Add(new DeviceArena(device, counting.Plan));
        var phase = Phase(device, owned.Stream(), arena, capacity, out var context, out var target, out var screen);
        (context.Portable, context.LeftOut) = (!Hopper, Without);
        Assert.Equal(Hopper, context.Hopper is not null);

        var (buffers, ld) = (context.Buffers, context.Ld);
        Upload(context, buffers.XCentered.Pointer, Padded(X, Rows, ld, Upper));
        Upload(context, buffers.X.Pointer, Padded(X, Rows, ld, v => v));
        Upload(context, buffers.BDec.Pointer, new float[ld]);
        Upload(context, buffers.WEncHi.Pointer, Padded(W, Latents, ld, Upper));
        Upload(context, buffers.WEncLo.Pointer, new short[Latents * ld]);
        Upload(context, buffers.BEnc.Pointer, Bias);
        if (Columns is not null)
        {
            Upload(context, target.ColumnRows.Pointer, Columns);
            Upload(context, target.ColumnCount.Pointer, new[] { Count });
        }
        if (screen is not null)
            Upload(context, buffers.Scalars.Pointer, new[] { new StepScalars { Seed = 3, Step = 1 } });
        return work(context, phase, screen);
    }

    CudaDevice Open(int seed)
    {
        if (seed == Gpu) return CudaDevice.Open(0);
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built");
        (Library is null ? Targets.Emulator : new(Library)).SetSeed((ulong)seed);
        if (Library is not null) return CudaDevice.OpenEmulator(Library, Hopper ? (9, 0) : (8, 0));
        return Hopper ? Targets.OpenEmulator((9, 0)) : Targets.OpenEmulator();
    }

    EncodePhase Phase(IDevice? device, nint stream, DeviceArena arena, int capacity, out KernelContext context,
        out EncodeTarget target, out ScreenPhase? screen)
    {
        var spec = new SaeSpec { InputWidth = Width, Latents = Latents, Selection = new Selection.TopK(Active) };
        context = new(device, stream, arena, spec, new TrainConfig { BatchRows = Rows }, InputType.Float32);
        var lists = arena.Take<int>("columns", (Columns?.Length ?? 0) + 64);
        target = new()
        {
            Columns = Columns?.Length
                ?? Latents, Active = Active, Relu = Relu, Magnitude = ByMagnitude, Index = context.Buffers.Index,
            Value = context.Buffers.Value,
            ColumnCount = Columns is null ? default : new(lists.Pointer, 1),
            ColumnRows = Columns is null ? default : new(lists.Pointer + 256, Columns.Length),
        };
        var phase = new EncodePhase(context, target, capacity);
        screen = Screened ? new(context, phase, default) : null;
        return phase;
    }

    /// <summary>Requires the result of sorting by (value, lower column), entry for entry.</summary>
    public void AssertExact(EncodeResult result)
    {
        for (var b = 0; b < Rows; b++)
        {
            var a = PreActivations(b);
            var kept = Enumerable.Range(0, a.Length)
                .OrderByDescending(c => double.IsNaN(a[c]) ? double.NegativeInfinity : a[c])
                .ThenBy(c => double.IsNaN(a[c])).ThenBy(c => c).Take(Active).Order().ToArray();
            for (var j = 0; j < Active; j++)
            {
                var expected = j >= kept.Length ? (-1, 0f) : (kept[j], (float)Code(a[kept[j]]));
                Assert.True(expected == (result.Index[b * Active + j], result.Value[b * Active + j]),
                    $"row {b}, entry {j}: expected {expected}, got ({result.Index[b * Active + j]}, "
                        + $"{result.Value[b * Active + j]})");
            }
        }
    }

    /// <summary>Requires that every kept value is right and that no omitted value exceeds it, within rounding relative
    /// to Σ|x||w| + |b|.</summary>
    public void AssertWithin(EncodeResult result, double relative)
    {
        for (var b = 0; b < Rows; b++)
        {
            var a = PreActivations(b);
            var tolerance = relative * Enumerable.Range(0, Latents).Max(f => Magnitude(b, f));
            var kept = result.Index.AsSpan(b * Active, Active).ToArray();
            for (var j = 0; j < Active; j++)
            {
                Assert.True(j == 0 || kept[j] > kept[j - 1], $"row {b} is not in ascending order");
                Assert.InRange(result.Value[b * Active + j] - Code(a[kept[j]]), -tolerance, tolerance);
            }
            var best = Enumerable.Range(0, Latents).Except(kept).Max(f => a[f]);
            Assert.True(kept.Min(f => a[f]) >= best - tolerance, $"row {b} left out {best}");
        }
    }

    double Code(double a) => double.IsNaN(a) || (Relu && a <= 0) ? 0 : a;

    double[] PreActivations(int row) =>
        [.. (Columns is null ? Enumerable.Range(0, Latents) : Columns.Take(Count)).Select(f =>
        {
            double sum = Bias[f];
            for (var j = 0; j < Width; j++) sum += (double)X[row * Width + j] * W[f * Width + j];
            return sum;
        })];

    double Magnitude(int row, int latent)
    {
        double sum = Math.Abs(Bias[latent]);
        for (var j = 0; j < Width; j++) sum += Math.Abs((double)X[row * Width + j] * W[latent * Width + j]);
        return sum;
    }

    static T[] Padded<T>(float[] from, int rows, int pitch, Func<float, T> convert)
    {
        var width = from.Length / rows;
        var to = new T[rows * pitch];
        for (var i = 0; i < from.Length; i++) to[i / width * pitch + i % width] = convert(from[i]);
        return to;
    }

    static ushort Upper(float v) => (ushort)(BitConverter.SingleToUInt32Bits(v) >> 16);
    static float Rounded(float v) => BitConverter.UInt32BitsToSingle(BitConverter.SingleToUInt32Bits(v) & 0xffff0000u);

    static unsafe void Upload<T>(KernelContext context, ulong to, T[] from) where T : unmanaged
    {
        context.Device.Upload<T>(to, from, context.Stream);
    }

    static unsafe T[] Download<T>(KernelContext context, DeviceArray<T> from) where T : unmanaged
    {
        var to = new T[from.Length];
        context.Device.Download<T>(to, from.Pointer, context.Stream);
        return to;
    }
}
