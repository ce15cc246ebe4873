using System.Runtime.InteropServices;
using System.Text;

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
    CudaDriver Entered
    {
        get
        {
            Enter();
            return driver;
        }
    }

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

    public nint CreateStream()
    {
        Enter();
        nint stream;
        driver.Check(driver.createStream(&stream, 1));      // does not wait for the default stream
        return stream;
    }

    public void DestroyStream(nint stream) => driver.Check(Leaving.destroyStream(stream));

    public void Synchronize(nint stream)
    {
        Enter();
        driver.Check(driver.synchronize(stream));
    }

    public nint CreateEvent(bool timing = false)
    {
        Enter();
        nint handle;
        driver.Check(driver.createEvent(&handle, timing ? 0u : 2u));
        return handle;
    }

    public void DestroyEvent(nint handle) => driver.Check(Leaving.destroyEvent(handle));
    public void Record(nint handle, nint stream) => driver.Check(Entered.recordEvent(handle, stream));
    public void Wait(nint stream, nint handle) => driver.Check(Entered.waitEvent(stream, handle, 0));

    public void WaitOnHost(nint handle)
    {
        Enter();
        driver.Check(driver.synchronizeEvent(handle));
    }

    public float ElapsedMs(nint from, nint to)
    {
        float ms;
        driver.Check(driver.elapsed(&ms, from, to));
        return ms;
    }

    public void CopyToDevice(ulong to, void* from, long bytes, nint stream) => driver.Check(Entered.copyToDevice(to, from, (nuint)bytes, stream));
    public void CopyToHost(void* to, ulong from, long bytes, nint stream) => driver.Check(Entered.copyToHost(to, from, (nuint)bytes, stream));
    public void CopyOnDevice(ulong to, ulong from, long bytes, nint stream) => driver.Check(Entered.copyOnDevice(to, from, (nuint)bytes, stream));
    public void Fill32(ulong to, uint value, long count, nint stream) => driver.Check(Entered.fill32(to, value, (nuint)count, stream));

    public KernelFunction GetKernel(string name, int sharedBytes)
    {
        Enter();
        return modules.Get(name, sharedBytes);
    }

    nint IModuleLoader.LoadModule(byte[] image, string file)
    {
        nint module;
        fixed (byte* pointer = image) driver.Check(driver.loadModule(&module, pointer, 0, null, null), about: $" for kernels/{file}.cu");
        return module;
    }

    nint IModuleLoader.FindFunction(nint module, string kernel)
    {
        nint function;
        fixed (byte* name = Encoding.UTF8.GetBytes(kernel + "\0")) driver.Check(driver.getFunction(&function, module, name), about: $" for kernel {kernel}");
        return function;
    }

    void IModuleLoader.AllowShared(nint function, int bytes, string kernel) => driver.Check(driver.setFunctionAttribute(function, 8, bytes), about: $" for kernel {kernel}");
    void IModuleLoader.UnloadModule(nint module) => _ = driver.unloadModule(module);        // of a lost device: it is gone already

    public void Launch<TParams>(KernelFunction kernel, Launch shape, in TParams parameters, nint stream) where TParams : unmanaged
    {
        fixed (TParams* pointer = &parameters)
        {
            void* arguments = pointer;
            if (shape.Cluster > 1 || shape.Programmatic)
            {
                LaunchWithAttributes(kernel, shape, &arguments, stream);
                return;
            }
            var result = driver.launch(kernel.Handle, (uint)shape.GridX, (uint)shape.GridY, 1, (uint)shape.Block, 1, 1, (uint)shape.SharedBytes, stream, &arguments, null);
            if (result != 0) driver.Check(result, "cuLaunchKernel", $" of {kernel.Name}, {shape}");
        }
    }

    void LaunchWithAttributes(KernelFunction kernel, Launch shape, void** arguments, nint stream)
    {
        var attributes = stackalloc LaunchAttribute[2];
        uint count = 0;
        if (shape.Cluster > 1) attributes[count++] = LaunchAttribute.Cluster(shape.Cluster);
        if (shape.Programmatic) attributes[count++] = LaunchAttribute.Programmatic;
        var config = new LaunchConfig
        {
            GridX = (uint)shape.GridX, GridY = (uint)shape.GridY, GridZ = 1, BlockX = (uint)shape.Block, BlockY = 1, BlockZ = 1, SharedBytes = (uint)shape.SharedBytes,
            Stream = stream, Attributes = attributes, Count = count,
        };
        var result = driver.launchWith(&config, kernel.Handle, arguments, null);
        if (result != 0) driver.Check(result, "cuLaunchKernelEx", $" of {kernel.Name}, {shape}");
    }

    public TensorMap? MapMatrix(ulong matrix, TensorNumber number, long rows, int pitch, int boxRows)
    {
        const int Line = 128, NoInterleave = 0, Swizzle128 = 3, FetchLines256 = 3, Zeros = 0;
        if (driver.encodeTiled is null) return null;
        Enter();
        var bytes = number == TensorNumber.BFloat16 ? 2 : 1;
        var room = stackalloc byte[sizeof(TensorMap) + 63];
        var map = (TensorMap*)(((nint)room + 63) & ~63);        // the driver wants it 64-byte aligned
        ulong* extents = stackalloc ulong[] { (ulong)pitch, (ulong)rows };
        ulong rowBytes = (ulong)pitch * (ulong)bytes;
        uint* box = stackalloc uint[] { (uint)(Line / bytes), (uint)boxRows }, strides = stackalloc uint[] { 1, 1 };
        driver.Check(driver.encodeTiled(map, (int)number, 2, matrix, extents, &rowBytes, box, strides, NoInterleave, Swizzle128, FetchLines256, Zeros), "cuTensorMapEncodeTiled", $" for {rows} rows of {pitch}, {number}");
        return *map;
    }

    public void RecordInGraph(nint handle, nint stream)
    {
        const uint External = 1;
        driver.Check(driver.recordEventWithFlags(handle, stream, External));
    }

    public void BeginCapture(nint stream) => driver.Check(driver.beginCapture(stream, 2));      // relaxed: other threads may allocate

    public nint EndCapture(nint stream)
    {
        nint graph, executable;
        driver.Check(driver.endCapture(stream, &graph));
        var instantiated = driver.instantiate(&executable, graph, 0);
        var destroyed = driver.destroyGraph(graph);
        driver.Check(instantiated, nameof(driver.instantiate));
        if (destroyed != 0) _ = driver.destroyGraphExec(executable);
        driver.Check(destroyed, nameof(driver.destroyGraph));
        return executable;
    }

    public void LaunchGraph(nint graph, nint stream) => driver.Check(driver.launchGraph(graph, stream));
    public void DestroyGraph(nint graph) => driver.Check(Leaving.destroyGraphExec(graph));

    public void GemmNT(int m, int n, int k, ulong a, int lda, ulong b, int ldb, ulong c, int ldc, nint stream) =>
        (cublas ??= new(driver)).GemmNT(m, n, k, a, lda, b, ldb, c, ldc, stream);

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
