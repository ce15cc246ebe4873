using System.Reflection;
using System.Runtime.InteropServices;
using System.Runtime.Loader;
using CudaSae.Devices;
using CudaSae.Text;
using ManagedCuda.CudaBlas;
using Driver = ManagedCuda.DriverAPINativeMethods;

namespace CudaSae.ManagedCuda;

/// <summary>Which libraries ManagedCuda's imports find. They are static, so the first device decides for the process:
/// NVIDIA's, or one emulator.
/// On Linux the package asks for libcuda.so and libcublas.so alone, which only development installations have, and its
/// assemblies take no second
/// import resolver; but what the loader does not find, it asks the load context for.</summary>
static class NativeLibraries
{
    const string DriverOnLinux = "libcuda", CublasOnLinux = "cublas", CublasOnWindows = "cublas64_12";

    static readonly Lock gate = new();
    static bool bound;

    /// <summary>The emulator that the process is bound to; null on NVIDIA's driver.</summary>
    public static Emulator? Emulator { get; private set; }

    /// <summary>Binds the process to an emulator's library, or with null to NVIDIA's.</summary>
    /// <exception cref="SaeException">It is bound to another already, or the machine's own libraries stand before the
    /// emulator's.</exception>
    public static void Bind(string? emulatorPath)
    {
        lock (gate)
        {
            if (bound && Emulator?.Path != emulatorPath)
                throw new SaeException("ManagedCuda's imports belong to the process, and this one has "
                    + $"{Name(Emulator?.Path)}: use {Name(emulatorPath)} in another process, "
                    + $"or --backend {(emulatorPath is null ? "cuda" : "emulator")}");
            if (bound) return;
            if (emulatorPath is not null) RequireFree(DriverOnLinux, CublasOnLinux);
            Emulator = emulatorPath is null ? null : new(emulatorPath);
            AssemblyLoadContext.Default.ResolvingUnmanagedDll += Resolve;
            bound = true;
        }
    }

    static string Name(string? emulatorPath) =>
        emulatorPath is null ? "NVIDIA's driver" : $"the emulator {emulatorPath}";

    /// <summary>The load context is asked last: a library that the loader finds by itself cannot be replaced.</summary>
    static void RequireFree(params ReadOnlySpan<string> names)
    {
        foreach (var name in names)
            if (NativeLibrary.TryLoad(name, typeof(Driver).Assembly, DllImportSearchPath.SafeDirectories, out _))
                throw new SaeException($"this machine has its own {name}, which ManagedCuda takes first: use --backend "
                    + "emulator, or --backend managed-cuda on the GPU");
    }

    static nint Resolve(Assembly assembly, string name)
    {
        if (assembly != typeof(Driver).Assembly && assembly != typeof(CudaBlasNativeMethods).Assembly) return 0;
        string[] candidates = name switch
        {
            DriverOnLinux when Emulator is null => CudaDriver.NvidiaNames,
            CublasOnLinux or CublasOnWindows when Emulator is null => Cublas.Names,
            DriverOnLinux or CublasOnLinux => [Emulator!.Path],
            _ => [],
        };
        foreach (var candidate in candidates)
            if (NativeLibrary.TryLoad(candidate, out var handle)) return handle;
        return 0;
    }
}
