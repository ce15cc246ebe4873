using System.Runtime.InteropServices;

namespace CudaSae.Devices;

/// <summary>Finds the emulator's library and controls the emulator.</summary>
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
            throw new SaeException($"{path} is not a loadable library of the emulator; build/emulator.sh makes "
                + $"one", e, SaeErrorKind.Device);
        }
    }

    public string Path { get; }

    /// <summary>Returns the library that the variable CUDASAE_EMULATOR names, the one beside the program, or the one in
    /// artifacts/emulator of a parent folder; null if there is none.</summary>
    /// <exception cref="SaeException">The variable names a file that does not exist.</exception>
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

    /// <summary>Sets the order of blocks, threads and streams from now on; 0 selects the plain order.</summary>
    public void SetSeed(ulong seed) =>
        ((delegate* unmanaged<ulong, void>)NativeLibrary.GetExport(library, "emuSetSeed"))(seed);

    /// <summary>Sets the compute capability of the emulated device from now on, such as 9.0. 0.0 selects the value of
    /// the variable CUDASAE_EMULATOR_CAPABILITY, or 8.0 without it. Below 9.0 the emulator refuses TMA, clusters and
    /// programmatic launches.</summary>
    internal void SetCapability(int major, int minor) =>
        ((delegate* unmanaged<int, int, void>)NativeLibrary.GetExport(library, "emuSetCapability"))(major, minor);

    /// <summary>Whether a tensor core instruction truncates its terms and adds them at once, as on a GPU. Otherwise it
    /// adds them in ascending k, and mma and wgmma give the same bits. The library's variant determines the initial
    /// value.</summary>
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

    /// <summary>Number of device and page-locked allocations that were not freed.</summary>
    public ulong LiveAllocations =>
        ((delegate* unmanaged<ulong>)NativeLibrary.GetExport(library, "emuLiveAllocations"))();

    /// <summary>Number of streams, events, graphs, modules, contexts, cuBLAS handles and NCCL communicators that were
    /// not released.</summary>
    public ulong LiveHandles => ((delegate* unmanaged<ulong>)NativeLibrary.GetExport(library, "emuLiveHandles"))();

    /// <summary>Counts calls of all functions from 0 on, and makes one of them fail.</summary>
    /// <param name="call">Number of the call that fails; <see cref="ulong.MaxValue"/> for none.</param>
    /// <param name="sticky">The context is unusable from then on, as after a failed kernel: all calls that use it
    /// return this code.</param>
    public void FailAt(ulong call, int code = 0, bool sticky = false) =>
        ((delegate* unmanaged<ulong, int, int, void>)NativeLibrary.GetExport(library, "emuFailAt"))(call, code,
            sticky ? 1 : 0);

    /// <summary>Number of calls since <see cref="FailAt"/>.</summary>
    public ulong Calls => ((delegate* unmanaged<ulong>)NativeLibrary.GetExport(library, "emuCalls"))();

    /// <summary>Name of the call that <see cref="FailAt"/> made fail; empty until it occurs.</summary>
    public string Failed =>
        Marshal.PtrToStringUTF8((nint)((delegate* unmanaged<byte*>)NativeLibrary.GetExport(library, "emuFailed"))())
            ?? "";

    /// <summary>Makes a call fail once, after <paramref name="after"/> successful ones.</summary>
    public void FailNext(string call, int code, int after = 0)
    {
        fixed (byte* name = System.Text.Encoding.UTF8.GetBytes(call + "\0"))
            ((delegate* unmanaged<byte*, int, int, void>)NativeLibrary.GetExport(library, "emuFailNext"))(name, code,
                after);
    }

    /// <summary>Sets the seconds that an operation of the emulated NCCL waits for another rank. 0 selects the value of
    /// the variable CUDASAE_EMULATOR_NCCL_TIMEOUT, or 60 without it.</summary>
    public void SetPeerLimit(double seconds) =>
        ((delegate* unmanaged<double, void>)NativeLibrary.GetExport(library, "emuSetPeerLimit"))(seconds);

    /// <summary>The last fault that the emulator found; empty if there was none.</summary>
    public string Report =>
        Marshal.PtrToStringUTF8((nint)((delegate* unmanaged<byte*>)NativeLibrary.GetExport(library, "emuReport"))())
            ?? "";

    /// <summary>Clears the error of a failed kernel, which would make a real context unusable.</summary>
    public void Forgive() => ((delegate* unmanaged<void>)NativeLibrary.GetExport(library, "emuForgive"))();
}
