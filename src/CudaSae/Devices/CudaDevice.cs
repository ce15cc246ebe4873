using System.Runtime.InteropServices;

namespace CudaSae.Devices;

/// <summary>A device behind the CUDA driver API: an NVIDIA GPU, or the emulator, which is the same calls on another library.</summary>
public sealed unsafe partial class CudaDevice : IDevice, IModuleLoader
{
    readonly CudaDriver driver;
    readonly KernelModules modules;
    readonly int ordinal;
    readonly nint context;
    Cublas? cublas;
    bool disposed;

    CudaDevice(CudaDriver driver, int ordinal)
    {
        this.driver = driver;
        driver.Check(driver.init(0));
        int handle;
        driver.Check(driver.device(&handle, ordinal));
        this.ordinal = handle;
        nint made;
        driver.Check(driver.retainContext(&made, handle));
        context = made;
        try
        {
            Enter();
            Info = ReadInfo();
        }
        catch
        {
            _ = driver.releaseContext(handle);
            throw;
        }
        modules = new(this, Info);
    }

    public DeviceInfo Info { get; }

    /// <summary>The GPU of that number.</summary>
    /// <exception cref="SaeException">There is no driver or no such device.</exception>
    public static CudaDevice Open(int ordinal) => new(CudaDriver.TryNvidia(out var why) ?? throw new SaeException($"{why}; use --backend cpu", kind: SaeErrorKind.Device), ordinal);

    /// <summary>The emulated device of a library that build/emulator.sh made.</summary>
    public static CudaDevice OpenEmulator(string libraryPath) => OpenEmulator(libraryPath, default);

    /// <summary>The same as a device of that compute capability, which decides the kernels that the engine takes. One at a time: the library emulates one device.</summary>
    internal static CudaDevice OpenEmulator(string libraryPath, (int Major, int Minor) capability)
    {
        new Emulator(libraryPath).SetCapability(capability.Major, capability.Minor);
        return new(CudaDriver.Open(libraryPath), 0);
    }

    /// <summary>How many GPUs there are; 0 and the reason when none can be used.</summary>
    public static int Count(out string why)
    {
        if (CudaDriver.TryNvidia(out why) is not { } driver) return 0;
        var result = driver.init(0);
        int count = 0;
        if (result == 0) result = driver.deviceCount(&count);
        if (result != 0) why = $"the NVIDIA driver answers with error {result}";
        else if (count == 0) why = "the NVIDIA driver sees no device";
        return result == 0 ? count : 0;
    }

    DeviceInfo ReadInfo()
    {
        var name = stackalloc byte[256];
        driver.Check(driver.deviceName(name, 256, ordinal));
        nuint total;
        driver.Check(driver.totalMemory(&total, ordinal));
        int version;
        driver.Check(driver.driverVersion(&version));
        return new(Marshal.PtrToStringUTF8((nint)name)!, Attribute(75), Attribute(76), Attribute(16), (long)total, Attribute(97), Attribute(38), version, driver.Emulated);
    }

    int Attribute(int number)
    {
        int value;
        driver.Check(driver.deviceAttribute(&value, number, ordinal));
        return value;
    }

    // The context is current per thread; the feeder's thread calls too, and an embedding program's threads as they like.
    void Enter() => driver.Check(driver.setContext(context));

    // What is given back is given back even if this fails.
    CudaDriver Leaving
    {
        get
        {
            _ = driver.setContext(context);
            return driver;
        }
    }

    public long FreeBytes()
    {
        Enter();
        nuint free, total;
        driver.Check(driver.memoryInfo(&free, &total));
        return (long)free;
    }

    public ulong Allocate(long bytes)
    {
        Enter();
        ulong pointer;
        driver.Check(driver.allocate(&pointer, (nuint)bytes), about: $" for {Backends.MemoryPlan.Format(bytes)}");
        return pointer;
    }

    public void Free(ulong pointer) => driver.Check(Leaving.free(pointer));

    public void* AllocatePinned(long bytes)
    {
        Enter();
        void* pointer;
        driver.Check(driver.allocateHost(&pointer, (nuint)bytes, 0), about: $" for {Backends.MemoryPlan.Format(bytes)}");
        return pointer;
    }

    public void FreePinned(void* pointer) => driver.Check(Leaving.freeHost(pointer));

    public void CopyToDevice(ulong to, void* from, long bytes, nint stream)
    {
        Enter(stream);
        driver.Check(driver.copyToDevice(to, from, (nuint)bytes, stream));
    }

    public void CopyToHost(void* to, ulong from, long bytes, nint stream)
    {
        Enter(stream);
        driver.Check(driver.copyToHost(to, from, (nuint)bytes, stream));
    }

    public void CopyOnDevice(ulong to, ulong from, long bytes, nint stream)
    {
        Enter(stream);
        driver.Check(driver.copyOnDevice(to, from, (nuint)bytes, stream));
    }

    public void Fill32(ulong to, uint value, long count, nint stream)
    {
        Enter(stream);
        driver.Check(driver.fill32(to, value, (nuint)count, stream));
    }

    /// <summary>Also of a lost device: it throws nothing.</summary>
    public void Dispose()
    {
        if (disposed) return;
        disposed = true;
        _ = driver.setContext(context);
        cublas?.Dispose();
        modules.Dispose();
        _ = driver.releaseContext(ordinal);
    }
}
