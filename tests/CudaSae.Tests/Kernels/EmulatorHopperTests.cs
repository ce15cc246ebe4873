using System.Runtime.InteropServices;
using CudaSae.Devices;
using static CudaSae.Tests.HopperEmulator;

namespace CudaSae.Tests;

/// <summary>The emulator's Hopper: a pipeline of TMA and wgmma over a cluster of two blocks (tests/faults/hopper.cu)
/// gives the plain loop's bits under every schedule, and each broken rule is reported with file and line.</summary>
[Collection("emulator")]
[Trait("speed", "slow")]
public unsafe class EmulatorHopperTests
{
    public enum HopperFault
    {
        None, NoFullWait, NoEmptyWait, TooFewBytes, TooManyBytes, NoWgmmaWait, NoFirstFence, NoSecondFence, NoInitFence,
        NoClusterSync, NoFinalSync, ArriveTwice, WrongParity,
        Misaligned, ReadEarly, WriteEarly, ReleaseEarly, InitTwice, Overwrite, OneWarpMissing, DifferentTiles,
        UnwaitedLoad, Uninitialised, MapInMemory,
    }

    [StructLayout(LayoutKind.Sequential, Size = 384)]      // one of the kernels of tests/faults/hopper.cu
    struct HopperParams
    {
        public fixed byte A[128], B[128];
        public ulong Out, Map;
        public int Rows, Columns, Depth;
        public HopperFault Fault;
    }

    static ushort[] RandomMatrix(int rows, int seed)
    {
        var random = new Random(seed);
        var matrix = new ushort[rows * Pitch];
        for (var i = 0; i < matrix.Length; i++)
            matrix[i] = (ushort)(BitConverter.SingleToUInt32Bits((float)(random.NextDouble() - 0.5)) >> 16);
        return matrix;
    }

    static float Value(ushort bits) => BitConverter.UInt32BitsToSingle((uint)bits << 16);

    static readonly ushort[] a = RandomMatrix(Rows, 1), b = RandomMatrix(Columns, 2);

    // The sum takes ascending k with one fused multiply-add each, as the emulated tensor cores do.
    static readonly Lazy<float[]> expected = new(() =>
    {
        var product = new float[Rows * Columns];
        for (var r = 0; r < Rows; r++)
            for (var c = 0; c < Columns; c++)
                for (var k = 0; k < Depth; k++)
                    product[r * Columns + c] = MathF.FusedMultiplyAdd(Value(a[r * Pitch + k]), Value(b[c * Pitch + k]),
                        product[r * Columns + c]);
        return product;
    });

    static string Pipeline(HopperFault fault, ulong seed, float[] product) =>
        OnDevice(seed, hopper, (device, stream, own) =>
    {
        ulong left = own(Upload(device, a, stream)), right = own(Upload(device, b, stream)),
            to = own(device.Allocate(4 * product.Length));
        var maps = (byte*)NativeMemory.AlignedAlloc(256, 64);
        var p = new HopperParams { Out = to, Rows = Rows, Columns = Columns, Depth = Depth, Fault = fault };
        try
        {
            Assert.Equal("", Encode(maps, left, Depth, Rows, 2 * Pitch, 64, 64));
            Assert.Equal("", Encode(maps + 128, right, Depth, Columns, 2 * Pitch, 64, 128));
            p.Map = own(Upload(device, new Span<byte>(maps, 128).ToArray(), stream));
            new Span<byte>(maps, 256).CopyTo(new(p.A, 256));
        }
        finally { NativeMemory.AlignedFree(maps); }
        device.Fill32(to, 0x7fc00000, product.Length, stream);
        device.Launch(device.GetKernel("hopper_pipeline", SharedBytes), new(2, 256, SharedBytes, Cluster: 2), p,
            stream);
        device.Download<float>(product, to, stream);
    });

    [Fact]
    public void PipelineEqualsThePlainLoopBitForBit()
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        for (ulong seed = 0; seed < 8; seed++)
        {
            var product = new float[Rows * Columns];
            Assert.Equal("", Pipeline(HopperFault.None, seed, product));
            Assert.Equal(expected.Value, product);
        }
    }

    [Theory]
    [InlineData(HopperFault.NoFullWait, "race in shared memory")]
    [InlineData(HopperFault.NoEmptyWait, "once more than the 1 arrivals")]
    [InlineData(HopperFault.TooFewBytes,
        "expect_tx announced too little|bytes more than were announced|has not written yet")]
    [InlineData(HopperFault.TooManyBytes, "deadlock.*for phase 0 .*lacks 0 of 1 arrivals and 16 bytes")]
    [InlineData(HopperFault.NoWgmmaWait, "a sum is read while wgmma|which wgmma at .* may still read")]
    [InlineData(HopperFault.NoFirstFence, "wgmma without a wgmma.fence before the first")]
    [InlineData(HopperFault.NoSecondFence, "wrote sums and no wgmma.fence follows")]
    [InlineData(HopperFault.NoInitFence, "no fence.mbarrier_init follows")]
    [InlineData(HopperFault.NoClusterSync, "with no cluster barrier between|never initialised")]
    [InlineData(HopperFault.NoFinalSync, "whose threads have all ended|when this block has ended")]
    [InlineData(HopperFault.ArriveTwice, "which wgmma at .* may still read|once more than")]
    [InlineData(HopperFault.WrongParity, "deadlock.*for phase|race in shared memory")]
    [InlineData(HopperFault.Misaligned, "aligned to 1024")]
    [InlineData(HopperFault.ReadEarly, "a sum is read while wgmma")]
    [InlineData(HopperFault.WriteEarly, "a sum is written while wgmma")]
    [InlineData(HopperFault.ReleaseEarly, "which wgmma at .* may still read")]
    [InlineData(HopperFault.InitTwice, "in use since")]
    [InlineData(HopperFault.Overwrite, "was overwritten")]
    [InlineData(HopperFault.OneWarpMissing, "deadlock.*waits in wgmma")]
    [InlineData(HopperFault.DifferentTiles, "name different tiles")]
    [InlineData(HopperFault.UnwaitedLoad, "TMA was never waited for")]
    [InlineData(HopperFault.Uninitialised, "never initialised")]
    [InlineData(HopperFault.MapInMemory, "not in the kernel's parameters")]
    public void BrokenRuleIsReported(HopperFault fault, string report)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        for (ulong seed = 0; seed < 3; seed++)
        {
            var caught = Pipeline(fault, seed, new float[Rows * Columns]);
            Assert.Matches($"(?s){report}", caught);
            Assert.Contains("hopper_pipeline", caught);
            Assert.Matches("hopper\\.cu:\\d+", caught);
        }
    }

    static string Small(string kernel, int threads, float[] input, int rule, ulong seed, float[] output) =>
        OnDevice(seed, hopper, (device, stream, own) =>
    {
        ulong from = own(Upload(device, input, stream)), to = own(device.Allocate(4 * output.Length));
        // The second launch is programmatic, because the operation before it is a kernel.
        foreach (var breakRule in (int[])[0, rule])
            device.Launch(device.GetKernel(kernel, 32768), new(1, threads, 32768, Programmatic: true),
                new SmallParams { In = from, Out = to, BreakRule = breakRule }, stream);
        device.Download<float>(output, to, stream);
    });

    [Theory]
    [InlineData("fault_proxy", 128, 1024, 8192, "wgmma reads byte .*no fence.proxy.async.*hopper\\.cu:\\d+")]
    [InlineData("fault_registers", 384, 384, 384,
        "deadlock.*setmaxnreg.inc to 240 registers a thread, 9216 more, but .* gave back 0.*hopper\\.cu:\\d+")]
    [InlineData("fault_named", 128, 128, 128,
        "barrier 1 for (128|96) threads while .* wait at it for (96|128).*hopper\\.cu:\\d+")]
    [InlineData("fault_named_missing", 128, 128, 128, "race in shared memory.*hopper\\.cu:\\d+")]
    [InlineData("fault_ring", 64, 192, 192, "race in shared memory.*hopper\\.cu:\\d+")]
    [InlineData("fault_whole", 128, 88 * 64, 64 * 24, "a sum is read while wgmma.*hopper\\.cu:\\d+")]
    [InlineData("fault_hasty", 32, 32, 32, "griddepcontrol.wait is missing")]
    public void PlantedFaultIsCaughtAndItsTwinPasses(string kernel, int threads, int inputs, int outputs, string report)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        var input = new float[inputs];
        for (var i = 0; i < inputs; i++) input[i] = i % 31 - 15;
        float Expected(int i) => kernel switch
        {
            "fault_proxy" => Enumerable.Range(0, 16).Sum(k => input[i / 128 * 16 + k] * input[i % 64 * 16 + k]),
            "fault_whole" => Enumerable.Range(0, 64).Sum(k => input[i / 24 * 64 + k] * input[(64 + i % 24) * 64 + k]),
            "fault_named" or "fault_named_missing" => input[i % 64],
            "fault_ring" => input[i ^ 31],
            _ => input[i],
        };
        for (ulong seed = 0; seed < 4; seed++)
        {
            var output = new float[outputs];
            Assert.Equal("", Small(kernel, threads, input, rule: 0, seed, output));
            Assert.Equal(Enumerable.Range(0, outputs).Select(Expected), output);
            var caught = Small(kernel, threads, input, rule: 1, seed, output);
            Assert.Matches($"(?s){report}", caught);
            Assert.Contains(kernel, caught);
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(32)]
    [InlineData(64)]
    [InlineData(128)]
    public void TilesAreReadInEveryLayout(int swizzle)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        var input = new float[88 * 16];
        for (var i = 0; i < input.Length; i++) input[i] = i * 37 % 61 - 30;
        var output = new float[64 * 24];
        Assert.Equal("", Small("hopper_layouts", 128, input, swizzle, 0, output));
        for (var i = 0; i < output.Length; i++)
            Assert.Equal(Enumerable.Range(0, 16).Sum(k => input[i / 24 * 16 + k] * input[(64 + i % 24) * 16 + k]),
                output[i]);
    }
}
