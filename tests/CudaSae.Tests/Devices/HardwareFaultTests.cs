using System.Reflection;
using System.Text;
using CudaSae.Cli;
using CudaSae.Devices;

namespace CudaSae.Tests;

/// <summary>Behaviour of a real driver that the emulator does not show by default: errors that end a context, missing
/// images, late copies.</summary>
[Collection("emulator")]
[Trait("speed", "slow")]
public unsafe class HardwareFaultTests
{
    /// <summary>The description of each code in cuda.h states whether the process can continue.</summary>
    [Theory]
    [InlineData(1, false)]
    [InlineData(2, false)]
    [InlineData(214, true)]
    [InlineData(700, true)]
    [InlineData(701, false)]
    [InlineData(702, true)]
    [InlineData(710, true)]
    [InlineData(713, false)]
    [InlineData(714, true)]
    [InlineData(719, true)]
    [InlineData(720, false)]
    [InlineData(901, false)]
    [InlineData(999, true)]
    public void AnErrorSaysWhetherTheContextIsLost(int code, bool lost)
    {
        var error = CudaException.OfDriver(code, "NAME", "sentence", "call", "", "");
        Assert.Equal(lost, error.EndsContext);
        var advised = error.Message.Contains("unusable until the process restarts", StringComparison.Ordinal);
        Assert.Equal(lost && code != 214, advised);     // 214 has a different remedy
    }

    sealed class Images(params string[] names) : Assembly
    {
        public override Stream? GetManifestResourceStream(string name) =>
            name == "kernels/index" ? new MemoryStream("hardware_fault_kernel hardware_fault_file"u8.ToArray())
            : names.Contains(name) ? new MemoryStream(Encoding.ASCII.GetBytes(name)) : null;
    }

    sealed class Loader : IModuleLoader
    {
        public string Image { get; private set; } = "";
        public nint LoadModule(byte[] image, string file)
        {
            Image = Encoding.ASCII.GetString(image);
            return 1;
        }
        public nint FindFunction(nint module, string kernel) => 1;
        public void AllowShared(nint function, int bytes, string kernel) { }
        public void UnloadModule(nint module) { }
    }

    const string Ptx = "kernels/compute_80/hardware_fault_file", Ampere = "kernels/sm_80/hardware_fault_file";
    const string Hopper = "kernels/sm_90a/hardware_fault_file";

    [Theory]
    [InlineData(8, 6, Ampere, Ampere, Ptx, Hopper)]
    [InlineData(8, 0, Ptx, Ptx)]
    [InlineData(9, 0, Hopper, Ampere, Ptx, Hopper)]
    [InlineData(12, 0, Ptx, Ampere, Ptx, Hopper)]
    [InlineData(9, 0, null, Ampere, Ptx)]           // PTX of compute_80 cannot wait for the kernel before it
    [InlineData(8, 0, null, Hopper)]
    [InlineData(7, 5, null, Ampere, Ptx, Hopper)]
    public void ADeviceLoadsTheImageOfItsArchitecture(int major, int minor, string? expected, params string[] held)
    {
        KernelModules.Include(new Images(held));
        var loader = new Loader();
        var device = new DeviceInfo("device", major, minor, 1, 1, 1 << 16, 1, 12040, Emulated: false);
        using var modules = new KernelModules(loader, device);
        if (expected is null)
        {
            var refusal = Assert.Throws<SaeException>(() => modules.Get("hardware_fault_kernel", 0)).Message;
            const string Old = "compute capability 7.5; 8.0 or newer is needed";
            const string Missing = "no .* image of kernels/hardware_fault_file.cu";
            Assert.Matches(major < 8 ? Old : Missing, refusal);
            return;
        }
        modules.Get("hardware_fault_kernel", 0);
        Assert.Equal(expected + "\0", loader.Image);
    }

    /// <summary>The emulator reads and writes host memory when a copy is done. Upload and Download return after
    /// that.</summary>
    [Fact]
    public void HostMemoryIsReadWhenACopyIsDone()
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built");
        Targets.Emulator.SetSeed(0);
        using var device = Targets.OpenEmulator();
        using var owned = new Owned(device);
        var (stream, memory) = (owned.Stream(), owned.Memory(16));
        int* late = stackalloc int[] { 1, 2, 3, 4 };
        device.CopyToDevice(memory, late, 16, stream);
        late[0] = 7;
        device.Synchronize(stream);
        var back = new int[4];
        device.Download<int>(back, memory, stream);
        Assert.Equal([7, 2, 3, 4], back);
        device.Upload<int>(memory, [5, 6], stream);
        device.Download<int>(back, memory, stream);
        Assert.Equal([5, 6, 3, 4], back);
    }

    /// <summary>The error of the work is reported, not the error of freeing the clock afterwards.</summary>
    [Fact]
    public void AClockOfALostDeviceIsFreedSilently()
    {
        Assert.SkipUnless(Targets.HasEmulator, "the emulator is not built");
        using var device = Targets.OpenEmulator();
        var stream = device.CreateStream();
        var clock = new DeviceClock(device, stream);
        Targets.Emulator.FailAt(0, 719, sticky: true);
        Assert.True(Assert.Throws<CudaException>(() => device.Synchronize(stream)).EndsContext);
        clock.Dispose();
        Targets.Emulator.FailAt(ulong.MaxValue);
        Targets.Emulator.Forgive();
        device.DestroyStream(stream);
    }
}
