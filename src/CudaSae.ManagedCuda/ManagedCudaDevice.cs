using System.Runtime.InteropServices;
using System.Text;
using CudaSae.Backends;
using CudaSae.Devices;
using ManagedCuda.BasicTypes;
using Driver = ManagedCuda.DriverAPINativeMethods;

namespace CudaSae.ManagedCuda;

/// <summary>A device through ManagedCuda's imports of the CUDA driver API. It makes the same calls as
/// <see cref="CudaDevice"/>, with the same messages. It uses the package's imports but not its classes, which box a
/// kernel's parameters, cannot capture a graph and throw other exceptions.</summary>
public sealed unsafe partial class ManagedCudaDevice : IDevice, IModuleLoader
{
    readonly KernelModules modules;
    readonly CUdevice device;
    readonly CUcontext context;
    ManagedCudaBlas? blas;
    bool disposed;

    ManagedCudaDevice(int ordinal)
    {
        Check(Driver.cuInit(CUInitializationFlags.None), "init");
        Check(Driver.DeviceManagement.cuDeviceGet(ref device, ordinal), "device");
        Check(Driver.ContextManagement.cuDevicePrimaryCtxRetain(ref context, device), "retainContext");
        Enter();
        Info = ReadInfo();
        modules = new(this, Info);
    }

    public DeviceInfo Info { get; }

    /// <summary>Opens the GPU with a number.</summary>
    /// <exception cref="SaeException">The driver or the device does not exist, or the process uses an
    /// emulator.</exception>
    public static ManagedCudaDevice Open(int ordinal)
    {
        if (CudaDriver.TryNvidia(out var why) is null) throw new SaeException($"{why}; use --backend cpu");
        NativeLibraries.Bind(null);
        return new(ordinal);
    }

    /// <summary>Opens the emulated device of a library that build/emulator.sh made.</summary>
    /// <exception cref="SaeException">The library cannot be loaded, the process uses another library, or the libraries
    /// of this machine take precedence.</exception>
    public static ManagedCudaDevice OpenEmulator(string libraryPath)
    {
        _ = CudaDriver.Open(libraryPath);       // refuses a library that lacks a function
        NativeLibraries.Bind(libraryPath);
        return new(0);
    }

    /// <summary>Registers this device for <c>--backend managed-cuda</c>.</summary>
    public static void Register() => BackendFactory.ManagedCuda = new(Open, OpenEmulator);

    DeviceInfo ReadInfo()
    {
        var name = new byte[256];
        Check(Driver.DeviceManagement.cuDeviceGetName(name, name.Length, device), "deviceName");
        SizeT total = 0;
        Check(Driver.DeviceManagement.cuDeviceTotalMem_v2(ref total, device), "totalMemory");
        var version = 0;
        Check(Driver.cuDriverGetVersion(ref version), "driverVersion");
        return new(Encoding.UTF8.GetString(name.AsSpan(..name.IndexOf((byte)0))),
            Attribute(CUDeviceAttribute.ComputeCapabilityMajor), Attribute(CUDeviceAttribute.ComputeCapabilityMinor),
            Attribute(CUDeviceAttribute.MultiProcessorCount),
            (long)(ulong)total, Attribute(CUDeviceAttribute.MaxSharedMemoryPerBlockOptin),
            Attribute(CUDeviceAttribute.L2CacheSize), version, NativeLibraries.Emulator is not null);
    }

    int Attribute(CUDeviceAttribute attribute)
    {
        var value = 0;
        Check(Driver.DeviceManagement.cuDeviceGetAttribute(ref value, attribute, device), "deviceAttribute");
        return value;
    }

    // The current context is per thread, and the feeder's thread makes calls too.
    void Enter() => Check(Driver.ContextManagement.cuCtxSetCurrent(context), "setContext");

    // Resources are released even if this fails.
    void Leave() => _ = Driver.ContextManagement.cuCtxSetCurrent(context);

    /// <param name="call">The name of the call in <see cref="CudaDevice"/>.</param>
    static void Check(CUResult result, string call, string about = "")
    {
        if (result == CUResult.Success) return;
        nint name = 0, sentence = 0;
        Driver.ErrorHandling.cuGetErrorName(result, ref name);
        Driver.ErrorHandling.cuGetErrorString(result, ref sentence);
        throw CudaException.OfDriver((int)result, Marshal.PtrToStringUTF8(name), Marshal.PtrToStringUTF8(sentence),
            call, about, NativeLibraries.Emulator?.Report ?? "");
    }

    /// <summary>Releases the device. It does not throw, even for a lost device.</summary>
    public void Dispose()
    {
        if (disposed) return;
        disposed = true;
        Leave();
        blas?.Dispose();
        modules.Dispose();
        _ = Driver.ContextManagement.cuDevicePrimaryCtxRelease(device);
    }
}
