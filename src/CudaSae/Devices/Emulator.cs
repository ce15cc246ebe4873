using System.Runtime.InteropServices;

namespace CudaSae.Devices;

/// <summary>Where the emulator's library is, and its own controls.</summary>
sealed unsafe class Emulator
{
    const string FileName = "libcudasae_emulator.so";
    readonly nint library;

    public Emulator(string path)
    {
        Path = path;
        if (Environment.GetEnvironmentVariable("CUDASAE_EMULATOR_CAPABILITY") is { Length: > 0 } named
            && named is not [>= '0' and <= '9', '.', >= '0' and <= '9'])
            throw new SaeException($"CUDASAE_EMULATOR_CAPABILITY is '{named}': it must be a digit, a point and a "
                + $"digit, such as 9.0");
        try { library = NativeLibrary.Load(path); }
        catch (Exception e) when (e is DllNotFoundException or BadImageFormatException)
        {
            throw new SaeException($"{path} is no library of the emulator that can be loaded; build/emulator.sh makes "
                + $"one", e, SaeErrorKind.Device);
        }
    }

    public string Path { get; }

    /// <summary>The library that the variable CUDASAE_EMULATOR names, the one beside the program, or in
    /// artifacts/emulator of a folder above; null when it was not built.</summary>
    /// <exception cref="SaeException">The variable names no file.</exception>
    public static string? FindLibrary()
    {
        if (Environment.GetEnvironmentVariable("CUDASAE_EMULATOR") is { Length: > 0 } named)
            return File.Exists(named) ? named
                : throw new SaeException($"CUDASAE_EMULATOR names {named}, which does not exist; unset it, or name "
                + $"the emulator's library", kind: SaeErrorKind.Device);
        var beside = System.IO.Path.Combine(AppContext.BaseDirectory, FileName);
        if (File.Exists(beside)) return beside;
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            var built = System.IO.Path.Combine(folder.FullName, "artifacts", "emulator", FileName);
            if (File.Exists(built)) return built;
        }
        return null;
    }

    /// <summary>Order of blocks, threads and streams from now on; 0 is the plain one.</summary>
    public void SetSeed(ulong seed) =>
        ((delegate* unmanaged<ulong, void>)NativeLibrary.GetExport(library, "emuSetSeed"))(seed);

    /// <summary>What the emulated device is from now on, such as 9.0; 0.0 for what the variable
    /// CUDASAE_EMULATOR_CAPABILITY says, or else 8.0.
    /// Below 9.0 it refuses TMA, clusters and launches beside the kernel before.</summary>
    internal void SetCapability(int major, int minor) =>
        ((delegate* unmanaged<int, int, void>)NativeLibrary.GetExport(library, "emuSetCapability"))(major, minor);

    /// <summary>Whether an instruction of the tensor cores cuts its terms and adds them at once, as on a GPU.
    /// Otherwise it adds them in ascending k, and mma and wgmma have the same bits. The library's variant states the
    /// value at the start.</summary>
    internal bool TensorCoresTruncate
    {
        get => ((delegate* unmanaged<int>)NativeLibrary.GetExport(library, "emuTensorCoresTruncate"))() != 0;
        set
        {
            var truncate = (delegate* unmanaged<int, void>)NativeLibrary.GetExport(library, "emuTruncateTensorCores");
            truncate(value ? 1 : 0);
        }
    }

    /// <summary>Whether the kernels' a · b + c is one fused operation, as on a GPU.</summary>
    internal bool Contracts => ((delegate* unmanaged<int>)NativeLibrary.GetExport(library, "emuContracts"))() != 0;

    /// <summary>Device allocations and page-locked ones that were not freed.</summary>
    public ulong LiveAllocations =>
        ((delegate* unmanaged<ulong>)NativeLibrary.GetExport(library, "emuLiveAllocations"))();

    /// <summary>Streams, events, graphs, modules, contexts and cuBLAS handles that were not given back.</summary>
    public ulong LiveHandles => ((delegate* unmanaged<ulong>)NativeLibrary.GetExport(library, "emuLiveHandles"))();

    /// <summary>Counts calls from 0 on, of whatever name, and makes one of them fail.</summary>
    /// <param name="call">Number of that call; <see cref="ulong.MaxValue"/> for none.</param>
    /// <param name="sticky">The context is unusable from then on, as after a failed kernel: whatever works in it
    /// answers with this code.</param>
    public void FailAt(ulong call, int code = 0, bool sticky = false) =>
        ((delegate* unmanaged<ulong, int, int, void>)NativeLibrary.GetExport(library, "emuFailAt"))(call, code, sticky ? 1 : 0);

    /// <summary>Calls since <see cref="FailAt"/>.</summary>
    public ulong Calls => ((delegate* unmanaged<ulong>)NativeLibrary.GetExport(library, "emuCalls"))();

    /// <summary>What <see cref="FailAt"/>'s call was; empty while it has not come.</summary>
    public string Failed =>
        Marshal.PtrToStringUTF8((nint)((delegate* unmanaged<byte*>)NativeLibrary.GetExport(library, "emuFailed"))())
            ?? "";

    /// <summary>Makes a call fail once, after <paramref name="after"/> good ones.</summary>
    public void FailNext(string call, int code, int after = 0)
    {
        fixed (byte* name = System.Text.Encoding.UTF8.GetBytes(call + "\0"))
            ((delegate* unmanaged<byte*, int, int, void>)NativeLibrary.GetExport(library, "emuFailNext"))(name, code, after);
    }

    /// <summary>What it found wrong last; empty when nothing was.</summary>
    public string Report =>
        Marshal.PtrToStringUTF8((nint)((delegate* unmanaged<byte*>)NativeLibrary.GetExport(library, "emuReport"))())
            ?? "";

    /// <summary>Forgets a broken kernel, which leaves a real context unusable.</summary>
    public void Forgive() => ((delegate* unmanaged<void>)NativeLibrary.GetExport(library, "emuForgive"))();
}
