using System.Runtime.InteropServices;
using CudaSae.Devices;

namespace CudaSae.Tests;

/// <summary>Tests how the emulator's tensor cores add, in order and truncating (kernels/emulator/tensor_cores.cpp), by
/// the kernels of tests/faults/tensor_cores.cu. The operands are pairs of rows of 32 numbers, so that one instruction
/// of 16 products follows another.</summary>
[Collection("emulator")]
[Trait("speed", "slow")]
public unsafe class TensorCoreTests
{
    const int Pairs = 8, Depth = 32;
    const float Big = 16777216;         // 2²⁴: from here up float's step is 2, and below it 1

    [StructLayout(LayoutKind.Sequential)]
    struct PairParams
    {
        public ulong In, Out;
        public int Unused;
    }

    /// <summary>Returns the product of the first pair of rows.</summary>
    static float Product(bool wgmma, bool truncate, float[] left, float[] right)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built");
        var input = new float[2 * Pairs * Depth];
        left.CopyTo(input, 0);
        right.CopyTo(input, Pairs * Depth);
        var emulator = new Emulator(PlantedFaults.Library);
        emulator.SetSeed(0);
        emulator.TensorCoresTruncate = truncate;
        try { return Launch(wgmma ? "pairs_wgmma" : "pairs_mma", wgmma ? 128 : 32, input)[0]; }
        finally { emulator.TensorCoresTruncate = false; }
    }

    static float[] Launch(string kernel, int threads, float[] input)
    {
        using var device = CudaDevice.OpenEmulator(PlantedFaults.Library, (9, 0));
        var stream = device.CreateStream();
        ulong from = device.Allocate(4 * input.Length), to = device.Allocate(4 * Pairs);
        var output = new float[Pairs];
        try
        {
            fixed (float* host = input, result = output)
            {
                device.CopyToDevice(from, host, 4 * input.Length, stream);
                var p = new PairParams { In = from, Out = to };
                device.Launch(device.GetKernel(kernel, 16384), new(1, threads, 16384), p, stream);
                device.CopyToHost(result, to, 4 * Pairs, stream);
                device.Synchronize(stream);
            }
        }
        finally
        {
            device.Free(from);
            device.Free(to);
            device.DestroyStream(stream);
        }
        return output;
    }

    /// <summary>Adds 2²⁴ and then the same small product 15 times, in one instruction.</summary>
    static float OneInstruction(bool wgmma, bool truncate, float small) =>
        Product(wgmma, truncate, [4096, .. Enumerable.Repeat(1f, 15)], [4096, .. Enumerable.Repeat(small, 15)]);

    /// <summary>Adds 2²⁴ in the first instruction and then the same small product 16 times in the second.</summary>
    static float TwoInstructions(bool wgmma, bool truncate, float small) =>
        Product(wgmma, truncate,
            [4096, .. new float[15], .. Enumerable.Repeat(1f, 16)],
            [4096, .. new float[15], .. Enumerable.Repeat(small, 16)]);

    // The exact sum is 2²⁴ + 26.25. In order, each 1.75 is rounded up to a step of 2. mma truncates to multiples of
    // 2²⁴⁻²⁵ = 1/2, so that each term contributes 1.5, all contribute 22.5, and the result 22; wgmma truncates to
    // multiples of 1: 1, 15, 14.
    [Theory]
    [InlineData(false, false, Big + 30)]
    [InlineData(true, false, Big + 30)]
    [InlineData(false, true, Big + 22)]
    [InlineData(true, true, Big + 14)]
    public void ProductsAreTruncatedRelativeToTheLargest(bool wgmma, bool truncate, float expected) =>
        Assert.Equal(expected, OneInstruction(wgmma, truncate, 1.75f));

    // The exact sum is 2²⁴ − 26.25. Below 2²⁴ float's step is 1: in order, each −1.75 becomes −2. Truncation toward
    // zero leaves −1.5 and −1, as for positive numbers: 2²⁴ − 22.5, which truncates to 2²⁴ − 23, and 2²⁴ − 15.
    [Theory]
    [InlineData(false, false, Big - 30)]
    [InlineData(true, false, Big - 30)]
    [InlineData(false, true, Big - 23)]
    [InlineData(true, true, Big - 15)]
    public void NegativeTermsAndResultsAreTruncatedTowardZero(bool wgmma, bool truncate, float expected) =>
        Assert.Equal(expected, OneInstruction(wgmma, truncate, -1.75f));

    // The sum so far is one more term: 16 times 2, 1.5 or 1.
    [Theory]
    [InlineData(false, false, Big + 32)]
    [InlineData(true, false, Big + 32)]
    [InlineData(false, true, Big + 24)]
    [InlineData(true, true, Big + 16)]
    public void ThePreviousSumIsATerm(bool wgmma, bool truncate, float expected) =>
        Assert.Equal(expected, TwoInstructions(wgmma, truncate, 1.75f));

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void ExactSumsHaveTheSameBitsInEveryMode(bool wgmma)
    {
        var random = new Random(3);
        float[] Row() => [.. Enumerable.Range(0, Depth).Select(_ => random.Next(-8, 9) * 0.25f)];
        for (var i = 0; i < 20; i++)
        {
            var (left, right) = (Row(), Row());
            var exact = left.Zip(right, (a, b) => (double)a * b).Sum();
            foreach (var truncate in new[] { false, true }) Assert.Equal(exact, Product(wgmma, truncate, left, right));
        }
    }

    // Products and results are subnormal: 3 · 2⁻¹⁵⁰ is truncated to 2⁻¹⁴⁹, where rounding to even gives 2 · 2⁻¹⁴⁹.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void InfinitiesNansAndSubnormalNumbersAreHandled(bool wgmma)
    {
        const float inf = float.PositiveInfinity, huge = 1.7014118e38f, tiny = 1.1754944e-38f;    // 2¹²⁷, 2⁻¹²⁶
        float Truncated(float[] left, float[] right) => Product(wgmma, truncate: true, left, right);
        Assert.Equal(inf, Truncated([inf, 1, 1], [2, huge, -3]));
        Assert.Equal(float.NaN, Truncated([inf, 1], [1, -inf]));
        Assert.Equal(float.NaN, Truncated([float.NaN, 1], [1, 1]));
        Assert.Equal(inf, Truncated([huge, 1], [2, 1]));                // beyond float's range
        Assert.Equal(-inf, Truncated([huge, huge], [-1, -1]));
        Assert.Equal(huge, Truncated([huge, huge], [2, -1]));           // no term is rounded before the sum
        Assert.Equal(0, BitConverter.SingleToInt32Bits(Truncated([1, 1], [1, -1])));
        Assert.Equal(float.Epsilon, Truncated([tiny], [1.5f * MathF.ScaleB(1, -23)]));
        Assert.Equal(2 * float.Epsilon, Product(wgmma, truncate: false, [tiny], [1.5f * MathF.ScaleB(1, -23)]));
    }
}
