using System.Runtime.InteropServices;
using CudaSae.Devices;
using Xunit;

namespace CudaSae.Tests;

/// <summary>The emulator's Hopper: a pipeline of TMA and wgmma over a cluster of two blocks (tests/faults/hopper.cu)
/// gives the plain loop's bits under every
/// schedule, and each of its rules, broken, is reported with file and line.</summary>
[Collection("alone")]
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

    [StructLayout(LayoutKind.Sequential, Size = 384)]      // of tests/faults/hopper.cu's
    struct HopperParams
    {
        public fixed byte A[128], B[128];
        public ulong Out, Map;
        public int Rows, Columns, Depth;
        public HopperFault Fault;
    }

    [StructLayout(LayoutKind.Sequential)]
    struct SmallParams
    {
        public ulong In, Out;
        public int BreakRule;
    }

    // Rows, columns and depth beyond the matrices' ends are in every tile.
    const int Rows = 100, Columns = 250, Depth = 200, Pitch = 208, SharedBytes = 2 * 40960 + 2048;
    static readonly (int, int) hopper = (9, 0);

    // The map in 128 bytes that the driver writes; the report when it refuses.
    static string Encode(byte* map, ulong matrix, ulong columns, ulong rows, ulong pitchBytes, uint boxColumns,
        uint boxRows)
    {
        var export = NativeLibrary.GetExport(NativeLibrary.Load(PlantedFaults.Library), "cuTensorMapEncodeTiled");
        var encode =
            (delegate* unmanaged<byte*, uint, uint, ulong, ulong*, ulong*, uint*, uint*, uint, uint, uint, uint,
            int>)export;
        ulong* sizes = stackalloc ulong[] { columns, rows }, pitches = stackalloc ulong[] { pitchBytes };
        uint* box = stackalloc uint[] { boxColumns, boxRows }, steps = stackalloc uint[] { 1, 1 };
        const uint bfloat16 = 9, matrixRank = 2, swizzle128 = 3;
        var error = encode(map, bfloat16, matrixRank, matrix, sizes, pitches, box, steps, 0, swizzle128, 2, 0);
        return error == 0 ? "" : new Emulator(PlantedFaults.Library).Report;
    }

    static ulong Upload<T>(IDevice device, T[] values, nint stream) where T : unmanaged
    {
        var to = device.Allocate(values.Length * sizeof(T));
        device.Upload<T>(to, values, stream);
        return to;
    }

    // What the work answers, or the report. The device is given back as it was found.
    static string OnDevice(ulong seed, (int, int) capability, Action<CudaDevice, nint, Func<ulong, ulong>> work)
    {
        var emulator = new Emulator(PlantedFaults.Library);
        emulator.SetSeed(seed);
        using var device = CudaDevice.OpenEmulator(PlantedFaults.Library, capability);
        var stream = device.CreateStream();
        var owned = new List<ulong>();
        try
        {
            work(device, stream, pointer => { owned.Add(pointer); return pointer; });
            return "";
        }
        catch (CudaException e)
        {
            emulator.Forgive();
            return e.Message;
        }
        finally
        {
            owned.ForEach(device.Free);
            device.DestroyStream(stream);
        }
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

    // Ascending k, one fused multiply-add each: the order of the tensor cores' emulation.
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
    public void PipelineHasThePlainLoopsBits()
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
        // The second launch is programmatic: the operation before it is a kernel.
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

    [Theory]
    [InlineData(0, 416, 64, 64, "")]
    [InlineData(0, 424, 64, 64, "pitch of 424 bytes; a multiple of 16")]
    [InlineData(0, 384, 64, 64, "pitch of 384 bytes for rows of 400")]
    [InlineData(8, 416, 64, 64, "not 16-byte aligned")]
    [InlineData(0, 416, 64, 257, "box of 257")]
    [InlineData(0, 416, 128, 64, "does not fit a swizzle of 128")]
    public void TensorMapsAreJudgedAsTheDriverDoes(ulong shift, ulong pitch, uint boxColumns, uint boxRows,
        string report)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        OnDevice(0, hopper, (device, _, own) =>
        {
            var map = (byte*)NativeMemory.AlignedAlloc(128, 64);
            try
            {
                var answer = Encode(map, own(device.Allocate(64 << 10)) + shift, Depth, Rows, pitch, boxColumns,
                    boxRows);
                if (report == "") Assert.Equal("", answer);
                else Assert.Contains(report, answer);
            }
            finally { NativeMemory.AlignedFree(map); }
        });
    }

    /// <summary>A kernel that does not wait for the one before it is reported where its launch is
    /// programmatic.</summary>
    [Theory]
    [InlineData("kernel", true, true)]
    [InlineData("nothing", true, false)]        // the first launch of a capture has nothing before it
    [InlineData("copy", false, false)]
    [InlineData("fill", false, false)]
    [InlineData("event", false, false)]
    public void OnlyALaunchBehindAKernelIsProgrammatic(string before, bool outside, bool captured)
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        foreach (var (capture, programmatic) in ((bool, bool)[])[(false, outside), (true, captured)])
        {
            var answer = OnDevice(0, hopper, (device, stream, own) =>
                LaunchBehind(before, capture, device, stream, own));
            if (programmatic) Assert.Contains("griddepcontrol.wait is missing", answer);
            else Assert.Equal("", answer);
        }
    }

    static void LaunchBehind(string before, bool capture, CudaDevice device, nint stream, Func<ulong, ulong> own)
    {
        ulong from = own(Upload(device, new float[32], stream)), to = own(device.Allocate(128));
        using var owned = new Owned(device);
        var handle = owned.Event();
        Hasty(0);
        if (capture) device.BeginCapture(stream);
        if (before == "kernel") Hasty(0);
        else if (before == "copy") device.CopyOnDevice(to, from, 64, stream);
        else if (before == "fill") device.Fill32(to, 0, 16, stream);
        else if (before == "event" && capture) device.RecordInGraph(handle, stream);
        else if (before == "event") device.Record(handle, stream);
        Hasty(1);
        if (capture) owned.Add(new Graph(device, device.EndCapture(stream))).Launch(stream);
        device.Synchronize(stream);

        void Hasty(int rule)
        {
            var parameters = new SmallParams { In = from, Out = to, BreakRule = rule };
            var shape = new Launch(1, 32, 32768, Programmatic: true);
            device.Launch(device.GetKernel("fault_hasty", 32768), shape, parameters, stream);
        }
    }

    sealed record Graph(IDevice Device, nint Handle) : IDisposable
    {
        public void Launch(nint stream) => Device.LaunchGraph(Handle, stream);
        public void Dispose() => Device.DestroyGraph(Handle);
    }

    /// <summary>The emulator itself refuses what <see cref="CudaDevice"/> avoids.</summary>
    [Fact]
    public void AProgrammaticLaunchBehindACopyIsRefused()
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        OnDevice(0, hopper, (device, stream, own) =>
        {
            ulong from = own(Upload(device, new float[32], stream)), to = own(device.Allocate(128));
            var parameters = new SmallParams { In = from, Out = to };
            var export = NativeLibrary.GetExport(NativeLibrary.Load(PlantedFaults.Library), "cuLaunchKernelEx");
            var launch = (delegate* unmanaged<LaunchConfig*, nint, void**, void**, int>)export;
            var attribute = LaunchAttribute.Programmatic;
            var config = new LaunchConfig
            {
                GridX = 1, GridY = 1, GridZ = 1, BlockX = 32, BlockY = 1, BlockZ = 1, Stream = stream,
                Attributes = &attribute, Count = 1,
            };
            void* arguments = &parameters;
            var kernel = device.GetKernel("fault_hasty", 32768).Handle;
            Assert.Equal(1, launch(&config, kernel, &arguments, null));
            var report = new Emulator(PlantedFaults.Library).Report;
            Assert.Contains("a programmatic launch behind an operation that is not a kernel", report);
            config.Count = 0;
            Assert.Equal(0, launch(&config, kernel, &arguments, null));
            config.Count = 1;
            Assert.Equal(0, launch(&config, kernel, &arguments, null));
            device.Synchronize(stream);
        });
    }

    [Fact]
    public void DeviceIsWhatItIsTold()
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built on this machine");
        string Launched((int Major, int Minor) capability, Launch shape) =>
            OnDevice(0, capability, (device, stream, own) =>
        {
            Assert.Equal(capability, (device.Info.Major, device.Info.Minor));
            var parameters = new SmallParams { In = own(device.Allocate(1024)), Out = own(device.Allocate(1024)) };
            for (var launch = 0; launch < (shape.Programmatic ? 2 : 1); launch++)
                device.Launch(device.GetKernel("fault_named", 1024), shape, parameters, stream);
            device.Synchronize(stream);
        });
        Assert.Equal("", Launched((9, 0), new(2, 128, 1024, Cluster: 2)));
        Assert.Contains("a grid of 3 in clusters of 2", Launched((9, 0), new(3, 128, 1024, Cluster: 2)));
        Assert.Contains("no clusters", Launched((8, 0), new(2, 128, 1024, Cluster: 2)));
        Assert.Contains("no programmatic", Launched((8, 0), new(2, 128, 1024, Programmatic: true)));
    }
}
