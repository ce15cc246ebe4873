using System.Runtime.InteropServices;
using CudaSae.Devices;
using static CudaSae.Tests.HopperEmulator;

namespace CudaSae.Tests;

/// <summary>Tensor maps, launch attributes and the capability of the emulated device.</summary>
[Collection("emulator")]
[Trait("speed", "slow")]
public unsafe class EmulatorLaunchTests
{
    [Theory]
    [InlineData(0, 416, 64, 64, "")]
    [InlineData(0, 424, 64, 64, "pitch of 424 bytes; a multiple of 16")]
    [InlineData(0, 384, 64, 64, "pitch of 384 bytes for rows of 400")]
    [InlineData(8, 416, 64, 64, "not 16-byte aligned")]
    [InlineData(0, 416, 64, 257, "box of 257")]
    [InlineData(0, 416, 128, 64, "does not fit a swizzle of 128")]
    public void TensorMapsAreCheckedAsByTheDriver(ulong shift, ulong pitch, uint boxColumns, uint boxRows,
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

    /// <summary>A kernel that does not wait for the kernel before it is reported where its launch is
    /// programmatic.</summary>
    [Theory]
    [InlineData("kernel", true, true)]
    [InlineData("nothing", true, false)]        // the first launch of a capture has no operation before it
    [InlineData("copy", false, false)]
    [InlineData("fill", false, false)]
    [InlineData("event", false, false)]
    public void OnlyALaunchAfterAKernelIsProgrammatic(string before, bool outside, bool captured)
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

    /// <summary>The emulator refuses the launch that <see cref="CudaDevice"/> avoids.</summary>
    [Fact]
    public void AProgrammaticLaunchAfterACopyIsRefused()
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
    public void TheDeviceHasTheRequestedCapability()
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
