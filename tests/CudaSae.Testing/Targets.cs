using CudaSae.Backends;
using CudaSae.Backends.Cpu;
using CudaSae.Backends.Kernels;
using CudaSae.Devices;
using CudaSae.Lab.Verification;
using CudaSae.Model;
using CudaSae.Numerics;
using CudaSae.Testing.Problems;

namespace CudaSae.Testing;

/// <summary>The targets of a shared test body: the CPU backend, the kernels on the emulator under several schedules,
/// and the kernels on a GPU. Targets that this machine lacks are omitted, and TargetsTests reports them once.</summary>
static class Targets
{
    static readonly string? emulatorLibrary = Emulator.FindLibrary();
    static readonly Launcher? managedCuda = FindManagedCuda(out whyNoManagedCuda);
    static readonly string whyNoManagedCuda;

    static Launcher? FindManagedCuda(out string why)
    {
        why = "it is not in this build; -p:UseManagedCuda=true adds it, if the feed has it";
#if MANAGED_CUDA
        ManagedCuda.ManagedCudaDevice.Register();
#endif
        if (BackendFactory.ManagedCuda is not { } launcher) return null;
        try
        {
            (HasGpu(out _) ? launcher.Open(0) : launcher.OpenEmulator(BackendFactory.RequireEmulator())).Dispose();
            return launcher;
        }
        catch (SaeException e)
        {
            why = e.Message;
            return null;
        }
    }

    public static string[] Names { get; } =
    [
        "cpu", "cpu, one thread",
        .. emulatorLibrary is null ? (string[])[]
            : ["emulator, schedule 0", "emulator, schedule 7", "emulator, schedule 20261121",
                "emulator, float32 encoder, schedule 1", "emulator, 64 candidates, schedule 2"],
        .. HasGpu(out _) ? (string[])["cuda"] : [],
        .. HasManagedCuda(out _) ? (string[])["managed-cuda, schedule 3"] : [],
    ];

    /// <summary>The launchers that can be opened on the emulator. A process loads ManagedCuda for one library, which is
    /// the GPU's on a machine with a GPU.</summary>
    public static string[] EmulatorLaunchers => [.. HasEmulator ? (string[])["own imports"] : [],
        .. HasEmulator && HasManagedCuda(out _) && !HasGpu(out _) ? (string[])["managed-cuda"] : []];

    public static bool HasEmulator => emulatorLibrary is not null;

    public static bool HasManagedCuda(out string why)
    {
        why = whyNoManagedCuda;
        return managedCuda is not null;
    }

    public static bool HasGpu(out string why)
    {
        if (CudaDevice.Count(out why) == 0) return false;
        why = KernelModules.Embedded ? "" : KernelModules.HowToEmbed;
        return KernelModules.Embedded;
    }

    // The device stays open until the process ends, so that the GPU's context is made once and not for every test.
    static readonly CudaDevice? gpu = HasGpu(out _) ? CudaDevice.Open(0) : null;

    /// <summary>Whether this machine's GPU runs the Hopper kernels.</summary>
    public static bool HasHopper => gpu is { Info.IsHopper: true };

    static readonly Emulator emulator = emulatorLibrary is null ? null! : new(emulatorLibrary);

    /// <summary>Runs before each use of the emulator in this process. The tests refuse a use beside other uses
    /// here.</summary>
    public static Action BeforeEmulator { get; set; } = static () => { };

    public static Emulator Emulator
    {
        get
        {
            BeforeEmulator();
            return emulator;
        }
    }

    public static Func<SaeSpec, TrainConfig, InputType, IBackend> Create(string target) => target switch
    {
        "cpu" => (spec, config, type) => new CpuBackend(spec, config, type, 2),
        "cpu, one thread" => (spec, config, type) => new CpuBackend(spec, config, type, 1),
        "cuda" => (spec, config, type) => new KernelBackend(CudaDevice.Open(0), spec, config, type, ownsDevice: true),
        _ => (spec, config, type) =>
        {
            if (HasEmulator) Emulator.SetSeed(ulong.Parse(target.Split(' ')[^1]));
            return new KernelBackend(target.StartsWith("managed-cuda", StringComparison.Ordinal) ? OpenManagedCuda()
                : OpenEmulator(),
                spec, config, type, ownsDevice: true,
                new KernelVariant
                {
                    EncodeCapacity = target.Contains("64 candidates") ? 64 : Backends.Kernels.EncodePhase.MaxCapacity,
                    ReferenceEncode = target.Contains("float32")
                });
        }
        ,
    };

    /// <summary>Whether mma and wgmma give equal bits in this place for sums that round. They do on the emulator,
    /// unless its tensor cores truncate. Truncating tensor cores and those of a GPU give equal bits for exact sums
    /// alone.</summary>
    /// <param name="place">A schedule of the emulator, or <see cref="EncodeProblem.Gpu"/>.</param>
    public static bool TensorCoresAgree(int place) => place != EncodeProblem.Gpu && !emulator.TensorCoresTruncate;

    public static CudaDevice OpenEmulator()
    {
        BeforeEmulator();
        return CudaDevice.OpenEmulator(emulatorLibrary!);
    }

    /// <summary>Opens the emulator as a device of that compute capability, such as (9, 0).</summary>
    public static CudaDevice OpenEmulator((int Major, int Minor) capability)
    {
        BeforeEmulator();
        return CudaDevice.OpenEmulator(emulatorLibrary!, capability);
    }

    public static IDevice OpenEmulator(string launcher)
    {
        BeforeEmulator();
        return launcher == "managed-cuda" ? managedCuda!.OpenEmulator(emulatorLibrary!) : OpenEmulator();
    }

    static IDevice OpenManagedCuda() => HasGpu(out _) ? managedCuda!.Open(0) : OpenEmulator("managed-cuda");

    public static Rounding Rounding(string target) =>
        target.StartsWith("cpu", StringComparison.Ordinal) ? Lab.Verification.Rounding.None
        : target.Contains("float32") ? Lab.Verification.Rounding.Float32Encoder : Lab.Verification.Rounding.BFloat16;
}
