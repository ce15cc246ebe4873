using CudaSae.Backends.Kernels;
using CudaSae.Devices;
using CudaSae.Devices.Params;
using CudaSae.Numerics;

namespace CudaSae.Tests;

/// <summary>Compares kernels/product.cu with sums in double. A 16-bit integer is the exact sum of two bfloat16 numbers,
/// so every layout must agree bit for bit.</summary>
[Collection("emulator")]
[Trait("speed", "slow")]
public unsafe class ProductTests
{
    /// <summary>Layout of a matrix: contiguous rows, transposed, or no two elements adjacent.</summary>
    public enum Lie { Rows, Turned, Apart }

    /// <summary>A matrix [rows, columns] in memory with its strides in elements.</summary>
    sealed record Operand(float[,] Values, Lie Lie, int Pitch, bool BFloat16)
    {
        public long RowStride => Lie == Lie.Rows ? Pitch : Lie == Lie.Turned ? 1 : 2 * Pitch;
        public long ColumnStride => Lie == Lie.Rows ? 1 : Lie == Lie.Turned ? Pitch : 2;

        public ulong Upload(IDevice device, Owned owned)
        {
            var bytes = new byte[((Values.GetLength(0) - 1) * RowStride + (Values.GetLength(1) - 1) * ColumnStride
                + 1) * (BFloat16 ? 2 : 4)];
            for (var i = 0; i < Values.GetLength(0); i++)
                for (var j = 0; j < Values.GetLength(1); j++)
                {
                    var at = (int)(i * RowStride + j * ColumnStride);
                    if (BFloat16)
                        BitConverter.TryWriteBytes(bytes.AsSpan(2 * at),
                            (ushort)(BitConverter.SingleToUInt32Bits(Values[i, j]) >> 16));
                    else BitConverter.TryWriteBytes(bytes.AsSpan(4 * at), Values[i, j]);
                }
            return ProductTests.Upload(device, owned, bytes);
        }
    }

    static ulong Upload<T>(IDevice device, Owned owned, T[] from) where T : unmanaged
    {
        var to = owned.Memory((long)from.Length * sizeof(T));
        device.Upload<T>(to, from, 0);
        return to;
    }

    static float[,] Fill(int rows, int columns, Func<float> next)
    {
        var values = new float[rows, columns];
        for (var i = 0; i < rows; i++)
            for (var j = 0; j < columns; j++) values[i, j] = next();
        return values;
    }

    static KernelContext Context(IDevice? device) =>
        new(device, 0, new DeviceArena(),
            new SaeSpec { InputWidth = 8, Latents = 8, Selection = new Selection.TopK(1) },
            new TrainConfig { BatchRows = 8 }, InputType.Float32);

    /// <summary>Returns C [m, pitch] after one product; −7 marks elements that were not written.</summary>
    static float[] Run(int seed, int m, int n, int k, Operand a, Operand b, int pitch,
        Func<IDevice, Owned, ProductParams, ProductParams>? more = null)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        Targets.Emulator.SetSeed((ulong)seed);
        using var device = Targets.OpenEmulator();
        using var owned = new Owned(device);
        var c = Enumerable.Repeat(-7f, m * pitch).ToArray();
        var product = new ProductParams
        {
            A = a.Upload(device, owned), AM = a.RowStride, AK = a.ColumnStride, ABf16 = a.BFloat16 ? 1
                : 0, B = b.Upload(device, owned), BK = b.RowStride, BN = b.ColumnStride, BBf16 = b.BFloat16 ? 1 : 0,
            C = Upload(device, owned, c), CStride = pitch,
        };
        if (more is not null) product = more(device, owned, product);
        Context(device).Product(m, n, k, product);
        device.Download<float>(c, product.C, 0);
        return c;
    }

    // Extents exceed a tile, steps of k exceed 32, and every size has a remainder; some pitches allow 16-byte loads and
    // some do not.
    [Theory]
    [InlineData(130, 131, 70, Lie.Rows, false, Lie.Rows, true)]
    [InlineData(130, 131, 70, Lie.Rows, false, Lie.Turned, true)]
    [InlineData(33, 40, 67, Lie.Turned, false, Lie.Rows, true)]
    [InlineData(33, 40, 67, Lie.Turned, false, Lie.Rows, false)]
    [InlineData(17, 131, 33, Lie.Rows, false, Lie.Turned, false)]
    [InlineData(20, 24, 64, Lie.Rows, true, Lie.Turned, true)]      // encode's layout
    [InlineData(20, 24, 40, Lie.Turned, true, Lie.Rows, true)]
    [InlineData(20, 24, 40, Lie.Turned, true, Lie.Turned, false)]
    [InlineData(9, 11, 35, Lie.Apart, false, Lie.Apart, true)]
    [InlineData(9, 11, 35, Lie.Apart, true, Lie.Apart, false)]
    [InlineData(3, 5, 1, Lie.Rows, false, Lie.Rows, false)]
    [InlineData(3, 5, 0, Lie.Rows, false, Lie.Rows, true)]
    public void SumsAreExactWhereFloat32Is(int m, int n, int k, Lie aLie, bool aBf16, Lie bLie, bool bBf16)
    {
        var random = new Random(m + n);
        int Bits(bool bf16, int other) => bf16 ? 8 : other;
        float Integer(int bits) => random.Next(-(1 << bits - 1), 1 << bits - 1);
        float[,] x = Fill(m, Math.Max(k, 1), () => Integer(Bits(aBf16, 16))),
        y = Fill(Math.Max(k, 1), n, () => Integer(aBf16 ? Bits(bBf16, 11) : 3)), z = Fill(m, n, () => Integer(8));
        foreach (var padding in (int[])[8, 1])
        {
            int aPitch = Round(aLie == Lie.Turned ? m : k, padding),
                bPitch = Round(bLie == Lie.Turned ? k : n, padding), pitch = Round(n, padding);
            var (a, b) = (new Operand(x, aLie, aPitch, aBf16), new Operand(y, bLie, bPitch, bBf16));
            var runs = new[] { 1, 2 }.Select(seed => Run(seed, m, n, k, a, b, pitch, (device, owned, p) =>
            {
                var add = new float[m * pitch];
                for (var i = 0; i < m * n; i++) add[i / n * pitch + i % n] = z[i / n, i % n];
                return p with { Add = Upload(device, owned, add), Scale = Upload(device, owned, new[] { 0.5f }) };
            })).ToArray();
            Assert.Equal(runs[0], runs[1]);
            for (var i = 0; i < m; i++)
                for (var j = 0; j < pitch; j++)
                    Assert.True((j < n ? 0.5 * (Exact(x, y, i, j, k) + z[i, j]) : -7) == runs[0][i * pitch + j],
                        $"C[{i}, {j}] is {runs[0][i * pitch + j]}, padding to {padding}");
        }
    }

    static int Round(int extent, int unit) => Math.Max(1, (extent + unit - 1) / unit) * unit;

    static double Exact(float[,] a, float[,] b, int i, int j, int k)
    {
        double sum = 0;
        for (var q = 0; q < k; q++) sum += (double)a[i, q] * b[q, j];
        return sum;
    }

    // The header of product.cu states what a product may omit: 2^-17 of |a b| for one float32 operand, 2^-15 for two.
    // In addition, k sums of parts·k terms round to 2^-24 each.
    [Theory]
    [InlineData(true, 17)]
    [InlineData(false, 15)]
    public void Float32OperandsKeepTheirPrecision(bool bf16, int bits)
    {
        const int m = 24, n = 24, k = 200;
        var random = new Random(5);
        float Gaussian() =>
            (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble())
                * Math.Pow(10, random.Next(-3, 4)));
        float Cut(float v) => BitConverter.UInt32BitsToSingle(BitConverter.SingleToUInt32Bits(v) & 0xffff0000u);
        float[,] x = Fill(m, k, Gaussian), y = Fill(k, n, () => bf16 ? Cut(Gaussian()) : Gaussian());
        var c = Run(3, m, n, k, new(x, Lie.Turned, m, false), new(y, Lie.Rows, n, bf16), n);
        double worst = 0, without = 0;
        for (var i = 0; i < m; i++)
            for (var j = 0; j < n; j++)
            {
                double magnitude = 0, hi = 0;
                for (var q = 0; q < k; q++)
                {
                    magnitude += Math.Abs((double)x[i, q] * y[q, j]);
                    hi += (double)Cut(x[i, q]) * y[q, j];
                }
                var bound = magnitude * (Math.Pow(2, -bits) + 3 * k * Math.Pow(2, -24));
                worst = Math.Max(worst, Math.Abs(c[i * n + j] - Exact(x, y, i, j, k)) / bound);
                without = Math.Max(without, Math.Abs(hi - Exact(x, y, i, j, k)) / bound);
            }
        Assert.True(worst <= 1, $"{worst} of the bound");
        Assert.True(without > 1, "the upper parts alone would pass too");
    }

    // Extents that only the device has, a list of rows or of columns, and a mask, which may be a factor.
    [Theory]
    [InlineData(1, false)]
    [InlineData(2, false)]
    [InlineData(2, true)]
    public void ListsCountsAndMasksAreApplied(int gather, bool straight)
    {
        const int m = 20, n = 24, k = 64, listed = 150;
        int mCount = 17, nCount = 21, kCount = straight ? k : 41;
        var random = new Random(gather);
        float Integer(int bound) => random.Next(-bound, bound + 1);
        float[,] x = Fill(m, k, () => Integer(straight ? 100 : 20000)),
        w = Fill(listed, gather == 1 ? n : k, () => Integer(4)), mask = Fill(m, n, () => Integer(1));
        var list = Enumerable.Range(0, gather == 1 ? k : n).Select(i => i * 71 % listed).ToArray();
        var y = Fill(k, n, () => 0);
        for (var q = 0; q < k; q++)
            for (var j = 0; j < n; j++) y[q, j] = gather == 1 ? w[list[q], j] : w[list[j], q];
        // B [k, n] read by its strides: rows of w along n (gather 1), or along k (gather 2).
        var weights = new Operand(w, Lie.Rows, gather == 1 ? n : k, true);
        foreach (var factor in (int[])[0, 1])
        {
            var c = Run(4, m, n, k, new(x, Lie.Rows, k, straight), weights, n, (device, owned, p) => p with
            {
                BK = gather == 1 ? n : 1,
                BN = gather == 1 ? 1
                    : k,
                BGather = (GatherCode)gather,
                BRows = Upload(device, owned, list),
                Mask = Upload(device, owned, mask.Cast<float>().ToArray()),
                MaskFactor = factor,
                MCount = Upload(device, owned, new[] { mCount }),
                NCount = Upload(device, owned, new[] { nCount }),
                KCount = straight
                    ? 0 : Upload(device, owned, new[] { kCount }),
            });
            for (var i = 0; i < m; i++)
                for (var j = 0; j < n; j++)
                {
                    var expected = i >= mCount || j >= nCount ? -7 : mask[i, j] == 0 ? 0
                        : Exact(x, y, i, j, kCount) * (factor == 1 ? mask[i, j] : 1);
                    Assert.True(expected == c[i * n + j], $"C[{i}, {j}] is {c[i * n + j]}, not {expected}");
                }
        }
    }

    [Fact]
    public void AListOfFloat32RowsIsRefused() =>
        Assert.Contains("does not gather",
            Assert.Throws<SaeException>(() =>
                Context(null).Product(1, 1, 1, new() { BGather = GatherCode.K })).Message);
}
