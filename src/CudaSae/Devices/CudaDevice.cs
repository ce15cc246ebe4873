using System.Runtime.InteropServices;
using CudaSae.Files;
using CudaSae.Numerics;

namespace CudaSae.Devices;

/// <summary>A device behind the CUDA driver API: an NVIDIA GPU, or the emulator, which provides the same functions in
/// another library.</summary>
sealed unsafe partial class CudaDevice : IDevice, IModuleLoader
{
    const int MostDevices = 1024;       // a larger number is not credible

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
        nint made = 0;
        driver.Check(driver.retainContext(&made, handle));
        context = made;
        try
        {
            if (made == 0) throw Unusable($"{driver.Path} made no context and reported no error");
            Enter();
            Info = ReadInfo();
            if (Info.Multiprocessors < 1 || Info.SharedBytesPerBlock < 1)
                throw Unusable($"{driver.Path} describes {Info.Name} as a device without multiprocessors");
        }
        catch
        {
            _ = driver.releaseContext(handle);
            throw;
        }
        modules = new(this, Info);
    }

    public DeviceInfo Info { get; }

    /// <summary>Opens a GPU by its number.</summary>
    /// <exception cref="SaeException">The driver or the device is missing, or the driver reports an error.</exception>
    public static CudaDevice Open(int ordinal) =>
        TryOpen(ordinal, out var why, loadKernels: false) ?? throw Refused(why);

    /// <summary>Opens a GPU by its number; returns null and the reason on failure. Nothing stays allocated after a
    /// failure.</summary>
    /// <param name="loadKernels">Loads this build's kernels too, so that a driver that cannot load them is detected
    /// before a run begins.</param>
    internal static CudaDevice? TryOpen(int ordinal, out string why, bool loadKernels = true)
    {
        CudaDevice? device = null;
        try
        {
            if (Count(out why) == 0 || CudaDriver.TryNvidia(out why) is not { } driver) return null;
            device = new(driver, ordinal);
            device.modules.RequireArchitecture();
            if (loadKernels) device.LoadKernels();
            return device;
        }
        catch (SaeException e)
        {
            why = e.Message;
            device?.Dispose();
            return null;
        }
    }

    /// <summary>Makes the error for a requested device that is not available: the reason, and what to do.</summary>
    internal static SaeException Refused(string why) => new($"{why}; use Backend = Cpu", kind: SaeErrorKind.Device);

    static SaeException Unusable(string why) => new(why, kind: SaeErrorKind.Device);

    void LoadKernels()
    {
        Enter();
        modules.LoadAll();
    }

    /// <summary>Opens the emulated device of a library that build/emulator.sh made.</summary>
    public static CudaDevice OpenEmulator(string libraryPath) => OpenEmulator(libraryPath, default);

    /// <summary>Opens the emulated device with a compute capability, which determines the kernels that the engine uses.
    /// The library emulates one device, so only one may be open at a time.</summary>
    internal static CudaDevice OpenEmulator(string libraryPath, (int Major, int Minor) capability)
    {
        new Emulator(libraryPath).SetCapability(capability.Major, capability.Minor);
        return new(CudaDriver.Open(libraryPath), 0);
    }

    /// <summary>Returns the number of GPUs; 0 and the reason if none can be used.</summary>
    public static int Count(out string why)
    {
        if (CudaDriver.TryNvidia(out why) is not { } driver) return 0;
        var count = 0;
        try
        {
            driver.Check(driver.init(0));
            driver.Check(driver.deviceCount(&count));
        }
        catch (SaeException e)
        {
            why = e.Message;
            return 0;
        }
        if (count is > 0 and <= MostDevices) return count;
        why = count == 0 ? "the NVIDIA driver finds no device"
            : $"the NVIDIA driver counts {count} devices, which cannot be";
        return 0;
    }

    DeviceInfo ReadInfo()
    {
        var name = stackalloc byte[256];
        driver.Check(driver.deviceName(name, 256, ordinal));
        name[255] = 0;
        nuint total = 0;
        driver.Check(driver.totalMemory(&total, ordinal));
        int version = 0;
        driver.Check(driver.driverVersion(&version));
        if (version < CudaDriver.Oldest)
            throw Unusable($"{driver.Path} supports CUDA {version / 1000}.{version % 1000 / 10}: "
                + CudaDriver.OldestAdvice);
        var shown = TensorFile.Shown(Marshal.PtrToStringUTF8((nint)name)!);
        return new(shown, Attribute(75), Attribute(76), Attribute(16),
            (long)total, Attribute(97), Attribute(38), version, driver.Emulated);
    }

    int Attribute(int number)
    {
        int value = 0;
        driver.Check(driver.deviceAttribute(&value, number, ordinal));
        return value;
    }

    // The context is current per thread, and several threads make calls: the feeder's, and those of an embedding
    // program.
    void Enter() => driver.Check(driver.setContext(context));

    // Resources are released even if the context cannot be made current.
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
        nuint free = 0, total = 0;
        driver.Check(driver.memoryInfo(&free, &total));
        return (long)Math.Min(free, total);
    }

    public ulong Allocate(long bytes)
    {
        Enter();
        ulong pointer = 0;
        driver.Check(driver.allocate(&pointer, (nuint)bytes), about: $" for {MemoryPlan.Format(bytes)}");
        return pointer != 0 ? pointer : throw Unusable($"{driver.Path} gave no memory and reported no error");
    }

    public void Free(ulong pointer) => driver.Check(Leaving.free(pointer));

    public void* AllocatePinned(long bytes)
    {
        Enter();
        void* pointer = null;
        driver.Check(driver.allocateHost(&pointer, (nuint)bytes, 0), about: $" for {MemoryPlan.Format(bytes)}");
        return pointer is not null ? pointer : throw Unusable($"{driver.Path} gave no memory and reported no error");
    }

    public void FreePinned(void* pointer) => driver.Check(Leaving.freeHost(pointer));

    public void CopyToDevice(ulong to, void* from, long bytes, nint stream)
    {
        try
        {
            Enter(stream);
            driver.Check(driver.copyToDevice(to, from, (nuint)bytes, stream));
        }
        catch { EndCopies(stream); throw; }
    }

    public void CopyToHost(void* to, ulong from, long bytes, nint stream)
    {
        try
        {
            Enter(stream);
            driver.Check(driver.copyToHost(to, from, (nuint)bytes, stream));
        }
        catch { EndCopies(stream); throw; }
    }

    /// <summary>Waits for earlier copies of a stream after an error, because the caller then frees host memory that
    /// they may still use.</summary>
    void EndCopies(nint stream)
    {
        Announce(true);
        _ = driver.synchronize(stream);
        Announce(false);
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

    /// <summary>Releases the device, even a lost one; it does not throw.</summary>
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
