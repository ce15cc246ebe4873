using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace CudaSae.Devices;

/// <summary>The functions of the CUDA driver that the engine uses. Each instance resolves them from one library, so
/// that NVIDIA's driver and the emulator can be open in one process. NVIDIA's driver API reference and cuda.h define
/// names and meanings.</summary>
sealed unsafe class CudaDriver
{
    readonly nint library;

    CudaDriver(nint library, string path)
    {
        (this.library, Path) = (library, path);
        init = (delegate* unmanaged<uint, int>)Get("cuInit");
        driverVersion = (delegate* unmanaged<int*, int>)Get("cuDriverGetVersion");
        deviceCount = (delegate* unmanaged<int*, int>)Get("cuDeviceGetCount");
        device = (delegate* unmanaged<int*, int, int>)Get("cuDeviceGet");
        deviceName = (delegate* unmanaged<byte*, int, int, int>)Get("cuDeviceGetName");
        deviceAttribute = (delegate* unmanaged<int*, int, int, int>)Get("cuDeviceGetAttribute");
        totalMemory = (delegate* unmanaged<nuint*, int, int>)Get("cuDeviceTotalMem_v2");
        retainContext = (delegate* unmanaged<nint*, int, int>)Get("cuDevicePrimaryCtxRetain");
        releaseContext = (delegate* unmanaged<int, int>)Get("cuDevicePrimaryCtxRelease_v2");
        setContext = (delegate* unmanaged<nint, int>)Get("cuCtxSetCurrent");
        synchronizeContext = (delegate* unmanaged<int>)Get("cuCtxSynchronize");
        memoryInfo = (delegate* unmanaged<nuint*, nuint*, int>)Get("cuMemGetInfo_v2");
        allocate = (delegate* unmanaged<ulong*, nuint, int>)Get("cuMemAlloc_v2");
        free = (delegate* unmanaged<ulong, int>)Get("cuMemFree_v2");
        allocateHost = (delegate* unmanaged<void**, nuint, uint, int>)Get("cuMemHostAlloc");
        freeHost = (delegate* unmanaged<void*, int>)Get("cuMemFreeHost");
        copyToDevice = (delegate* unmanaged<ulong, void*, nuint, nint, int>)Get("cuMemcpyHtoDAsync_v2");
        copyToHost = (delegate* unmanaged<void*, ulong, nuint, nint, int>)Get("cuMemcpyDtoHAsync_v2");
        copyOnDevice = (delegate* unmanaged<ulong, ulong, nuint, nint, int>)Get("cuMemcpyDtoDAsync_v2");
        fill32 = (delegate* unmanaged<ulong, uint, nuint, nint, int>)Get("cuMemsetD32Async");
        loadModule = (delegate* unmanaged<nint*, void*, uint, void*, void*, int>)Get("cuModuleLoadDataEx");
        unloadModule = (delegate* unmanaged<nint, int>)Get("cuModuleUnload");
        getFunction = (delegate* unmanaged<nint*, nint, byte*, int>)Get("cuModuleGetFunction");
        setFunctionAttribute = (delegate* unmanaged<nint, int, int, int>)Get("cuFuncSetAttribute");
        launch = (delegate* unmanaged<nint, uint, uint, uint, uint, uint, uint, uint, nint, void**, void**, int>)
            Get("cuLaunchKernel");
        launchWith = (delegate* unmanaged<LaunchConfig*, nint, void**, void**, int>)Get("cuLaunchKernelEx");
        createStream = (delegate* unmanaged<nint*, uint, int>)Get("cuStreamCreate");
        destroyStream = (delegate* unmanaged<nint, int>)Get("cuStreamDestroy_v2");
        synchronize = (delegate* unmanaged<nint, int>)Get("cuStreamSynchronize");
        waitEvent = (delegate* unmanaged<nint, nint, uint, int>)Get("cuStreamWaitEvent");
        createEvent = (delegate* unmanaged<nint*, uint, int>)Get("cuEventCreate");
        destroyEvent = (delegate* unmanaged<nint, int>)Get("cuEventDestroy_v2");
        recordEvent = (delegate* unmanaged<nint, nint, int>)Get("cuEventRecord");
        recordEventWithFlags = (delegate* unmanaged<nint, nint, uint, int>)Get("cuEventRecordWithFlags");
        synchronizeEvent = (delegate* unmanaged<nint, int>)Get("cuEventSynchronize");
        elapsed = (delegate* unmanaged<float*, nint, nint, int>)Get("cuEventElapsedTime");
        beginCapture = (delegate* unmanaged<nint, int, int>)Get("cuStreamBeginCapture_v2");
        endCapture = (delegate* unmanaged<nint, nint*, int>)Get("cuStreamEndCapture");
        instantiate = (delegate* unmanaged<nint*, nint, ulong, int>)Get("cuGraphInstantiateWithFlags");
        launchGraph = (delegate* unmanaged<nint, nint, int>)Get("cuGraphLaunch");
        destroyGraphExec = (delegate* unmanaged<nint, int>)Get("cuGraphExecDestroy");
        destroyGraph = (delegate* unmanaged<nint, int>)Get("cuGraphDestroy");
        errorName = (delegate* unmanaged<int, byte**, int>)Get("cuGetErrorName");
        errorSentence = (delegate* unmanaged<int, byte**, int>)Get("cuGetErrorString");
        // The function exists from CUDA 12.0 on.
        encodeTiled =
            (delegate* unmanaged<TensorMap*, int, uint, ulong, ulong*, ulong*, uint*, uint*, int, int, int, int, int>)
            TryGet("cuTensorMapEncodeTiled");
        emulatorReport = NativeLibrary.TryGetExport(library, "emuReport", out var report)
            ? (delegate* unmanaged<byte*>)report : null;
    }

    public readonly delegate* unmanaged<uint, int> init;
    public readonly delegate* unmanaged<int*, int> driverVersion, deviceCount;
    public readonly delegate* unmanaged<int*, int, int> device;
    public readonly delegate* unmanaged<byte*, int, int, int> deviceName;
    public readonly delegate* unmanaged<int*, int, int, int> deviceAttribute;
    public readonly delegate* unmanaged<nuint*, int, int> totalMemory;
    public readonly delegate* unmanaged<nint*, int, int> retainContext;
    public readonly delegate* unmanaged<int, int> releaseContext;
    public readonly delegate* unmanaged<nint, int> setContext;
    public readonly delegate* unmanaged<int> synchronizeContext;
    public readonly delegate* unmanaged<nuint*, nuint*, int> memoryInfo;
    public readonly delegate* unmanaged<ulong*, nuint, int> allocate;
    public readonly delegate* unmanaged<ulong, int> free;
    public readonly delegate* unmanaged<void**, nuint, uint, int> allocateHost;
    public readonly delegate* unmanaged<void*, int> freeHost;
    public readonly delegate* unmanaged<ulong, void*, nuint, nint, int> copyToDevice;
    public readonly delegate* unmanaged<void*, ulong, nuint, nint, int> copyToHost;
    public readonly delegate* unmanaged<ulong, ulong, nuint, nint, int> copyOnDevice;
    public readonly delegate* unmanaged<ulong, uint, nuint, nint, int> fill32;
    public readonly delegate* unmanaged<nint*, void*, uint, void*, void*, int> loadModule;
    public readonly delegate* unmanaged<nint, int> unloadModule;
    public readonly delegate* unmanaged<nint*, nint, byte*, int> getFunction;
    public readonly delegate* unmanaged<nint, int, int, int> setFunctionAttribute;
    public readonly delegate* unmanaged<nint, uint, uint, uint, uint, uint, uint, uint, nint, void**, void**, int>
        launch;
    public readonly delegate* unmanaged<LaunchConfig*, nint, void**, void**, int> launchWith;
    public readonly delegate* unmanaged<nint*, uint, int> createStream;
    public readonly delegate* unmanaged<nint, int> destroyStream, synchronize;
    public readonly delegate* unmanaged<nint, nint, uint, int> waitEvent;
    public readonly delegate* unmanaged<nint*, uint, int> createEvent;
    public readonly delegate* unmanaged<nint, int> destroyEvent, synchronizeEvent;
    public readonly delegate* unmanaged<nint, nint, int> recordEvent;
    public readonly delegate* unmanaged<nint, nint, uint, int> recordEventWithFlags;
    public readonly delegate* unmanaged<float*, nint, nint, int> elapsed;
    public readonly delegate* unmanaged<nint, int, int> beginCapture;
    public readonly delegate* unmanaged<nint, nint*, int> endCapture;
    public readonly delegate* unmanaged<nint*, nint, ulong, int> instantiate;
    public readonly delegate* unmanaged<nint, nint, int> launchGraph;
    public readonly delegate* unmanaged<nint, int> destroyGraphExec, destroyGraph;
    readonly delegate* unmanaged<int, byte**, int> errorName, errorSentence;
    public readonly delegate* unmanaged<TensorMap*, int, uint, ulong, ulong*, ulong*, uint*, uint*, int, int, int, int,
        int> encodeTiled;
    readonly delegate* unmanaged<byte*> emulatorReport;

    public string Path { get; }
    public bool Emulated => emulatorReport is not null;

    /// <summary>Names of NVIDIA's driver on this system, the most probable first.</summary>
    public static readonly string[] NvidiaNames = OperatingSystem.IsWindows() ? ["nvcuda.dll"]
        : ["libcuda.so.1", "libcuda.so", "/usr/lib/wsl/lib/libcuda.so.1"];

    /// <summary>Loads NVIDIA's driver; returns null and the reason if the library is missing, cannot be loaded, or
    /// lacks a function.</summary>
    public static CudaDriver? TryNvidia(out string why)
    {
        why = "";
        foreach (var name in NvidiaNames)
            try { return new(NativeLibrary.Load(name), name); }
            catch (SaeException e)
            {
                why = e.Message;
                return null;
            }
            catch (Exception e) when (e is DllNotFoundException or BadImageFormatException)
            {
                if (why.Length == 0 && Damage(e.Message, name) is { } damage)
                    why = $"the NVIDIA driver cannot be loaded: {damage}";
            }
        if (why.Length == 0) why = $"no NVIDIA driver on this machine ({NvidiaNames[0]} was not found)";
        return null;
    }

    /// <summary>Returns the loader's message about a library that exists; null if the library was not found.</summary>
    static string? Damage(string message, string name)
    {
        var line = message.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)[^1];
        var absent = $"{name}: cannot open shared object file: No such file";
        return OperatingSystem.IsWindows() || line.StartsWith(absent, StringComparison.Ordinal) ? null : line;
    }

    public static CudaDriver Open(string path)
    {
        if (!NativeLibrary.TryLoad(path, out var handle))
            throw new SaeException($"the library {path} cannot be loaded; build it with build/emulator.sh");
        return new(handle, path);
    }

    nint Get(string name) => TryGet(name) is not 0 and var address ? address
        : throw new SaeException($"{Path} lacks {name}{Supports}: {OldestAdvice}", kind: SaeErrorKind.Device);

    /// <summary>The oldest CUDA version that a driver must support, as cuDriverGetVersion encodes it.</summary>
    public const int Oldest = 12000;

    public const string OldestAdvice =
        "the driver is too old; one that supports CUDA 12.0 or newer is needed, update it";

    /// <summary>The CUDA version of a driver that lacks a function, as a clause; empty if unknown.</summary>
    string Supports
    {
        get
        {
            int version = 0;
            var get = (delegate* unmanaged<int*, int>)TryGet("cuDriverGetVersion");
            return get is not null && get(&version) == 0 && version is > 0 and < Oldest
                ? $" and supports CUDA {version / 1000}.{version % 1000 / 10}" : "";
        }
    }

    public nint TryGet(string name) => NativeLibrary.TryGetExport(library, name, out var address) ? address : 0;

    /// <summary>Throws if a call failed. The message has the number, the name and the sentence of the error, the call,
    /// and advice if available.</summary>
    public void Check(int result, [CallerArgumentExpression(nameof(result))] string call = "", string about = "")
    {
        if (result != 0) Throw(result, call, about);
    }

    void Throw(int result, string call, string about)
    {
        byte* name = null, sentence = null;
        errorName(result, &name);
        errorSentence(result, &sentence);
        var function = call.Split('(')[0].Split('.')[^1];
        var report = emulatorReport is null ? "" : Marshal.PtrToStringUTF8((nint)emulatorReport()) ?? "";
        throw CudaException.OfDriver(result, Marshal.PtrToStringUTF8((nint)name),
            Marshal.PtrToStringUTF8((nint)sentence), function, about, report);
    }
}
