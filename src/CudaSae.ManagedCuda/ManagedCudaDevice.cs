using System.Runtime.InteropServices;
using System.Text;
using CudaSae.Backends;
using CudaSae.Devices;
using ManagedCuda.BasicTypes;
using Driver = ManagedCuda.DriverAPINativeMethods;

namespace CudaSae.ManagedCuda;

/// <summary>A device through ManagedCuda's imports of the CUDA driver API: the same calls as <see cref="CudaDevice"/>,
/// with the same messages.
/// The package's imports are used, not its classes, which box a kernel's parameters, have no way to capture a graph and
/// throw exceptions of their own.</summary>
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

    /// <summary>The GPU of that number.</summary>
    /// <exception cref="SaeException">There is no driver or no such device, or the process is on an
    /// emulator.</exception>
    public static ManagedCudaDevice Open(int ordinal)
    {
        if (CudaDriver.TryNvidia(out var why) is null) throw new SaeException($"{why}; use --backend cpu");
        NativeLibraries.Bind(null);
        return new(ordinal);
    }

    /// <summary>The emulated device of a library that build/emulator.sh made.</summary>
    /// <exception cref="SaeException">It cannot be loaded, or the process is on another library, or this machine's own
    /// libraries stand before it.</exception>
    public static ManagedCudaDevice OpenEmulator(string libraryPath)
    {
        _ = CudaDriver.Open(libraryPath);       // says what it lacks
        NativeLibraries.Bind(libraryPath);
        return new(0);
    }

    /// <summary>Makes <c>--backend managed-cuda</c> mean this device.</summary>
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

    // The context is current per thread; the feeder's thread calls too.
    void Enter() => Check(Driver.ContextManagement.cuCtxSetCurrent(context), "setContext");

    // What is given back is given back even if this fails.
    void Leave() => _ = Driver.ContextManagement.cuCtxSetCurrent(context);

    /// <param name="call">As <see cref="CudaDevice"/> names it.</param>
    static void Check(CUResult result, string call, string about = "")
    {
        if (result == CUResult.Success) return;
        nint name = 0, sentence = 0;
        Driver.ErrorHandling.cuGetErrorName(result, ref name);
        Driver.ErrorHandling.cuGetErrorString(result, ref sentence);
        throw CudaException.OfDriver((int)result, Marshal.PtrToStringUTF8(name), Marshal.PtrToStringUTF8(sentence),
            call, about, NativeLibraries.Emulator?.Report ?? "");
    }

    /// <summary>Also of a lost device: it throws nothing.</summary>
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
