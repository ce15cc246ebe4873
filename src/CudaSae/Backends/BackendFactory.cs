using CudaSae.Backends.Cpu;
using CudaSae.Backends.Kernels;
using CudaSae.Data;
using CudaSae.Devices;
using CudaSae.Model;
using CudaSae.Training;

namespace CudaSae.Backends;

/// <summary>Which backend a run uses.</summary>
public enum BackendKind
{
    /// <summary>The GPU if its driver, a device and embedded kernels are here, else the CPU.</summary>
    Auto,
    Cuda,
    Cpu,
    /// <summary>The kernels on the emulated driver: for testing them, thousands of times slower than a GPU.</summary>
    Emulator,
    /// <summary>The GPU, launched through the package ManagedCuda: only in builds that were made with it.</summary>
    ManagedCuda,
}

public static class BackendFactory
{
    /// <summary>The launcher on ManagedCuda; null in a build without it. CudaSae.ManagedCuda sets it, before anything is made.</summary>
    public static Launcher? ManagedCuda { get; set; }

    /// <summary>As --backend calls it.</summary>
    public static string Name(BackendKind kind) => kind == BackendKind.ManagedCuda ? "managed-cuda" : kind.ToString().ToLowerInvariant();

    /// <summary>Prints and checks the memory plan, then makes the backend.</summary>
    /// <param name="plan">Called with the plan and with where it will be taken, before anything is allocated.</param>
    /// <param name="why">One sentence on the choice.</param>
    /// <param name="trainRows">Rows of the data that the run has for itself, for a pool of them on the device as <see cref="TrainConfig.DevicePool"/> says; 0 for none.</param>
    /// <exception cref="SaeException">What was asked for is not here, or the plan does not fit.</exception>
    public static IBackend Create(BackendKind kind, SaeSpec spec, TrainConfig config, InputType inputType, Action<MemoryPlan, string> plan, out string why, long trainRows = 0)
    {
        spec.Validate();
        config.Validate();
        SpecRules.Check(spec, config);
        why = kind == BackendKind.Auto ? "" : $"--backend {Name(kind)}";
        if (kind == BackendKind.Auto) kind = Choose(out why);
        if (kind == BackendKind.Cpu)
        {
            if (config.Screening != ScreeningKind.None) why += "; 8-bit screening is for kernels, the CPU encodes exactly without";
            if (config.DevicePool > 0 && trainRows > 0) throw new SaeException("--device-pool: the CPU has no memory apart from the host's; leave it out, or train on cuda");
            var plans = CpuBackend.PlanFor(spec, config, inputType);
            plans.Add(HostCopy, HostCopyBytes(spec));
            plan(plans, Host);
            plans.Require(HostMemory.AvailableBytes(), Host);
            return new CpuBackend(spec, config, inputType);
        }
        var copy = new MemoryPlan();
        copy.Add(HostCopy, HostCopyBytes(spec));
        copy.Require(HostMemory.AvailableBytes(), Host);
        var device = Open(kind);
        PoolPlan pool;
        try
        {
            var plans = KernelBackend.PlanFor(spec, config, inputType);
            pool = PoolPlan.For(config, trainRows, spec.RowWidth * inputType.Bytes(), device.FreeBytes() - plans.TotalBytes);
            plan(plans.With(pool), device.Info.Name);
        }
        catch
        {
            device.Dispose();
            throw;
        }
        return new KernelBackend(device, spec, config, inputType, ownsDevice: true, pool);
    }

    /// <summary>What <see cref="Create"/> would choose.</summary>
    public static BackendKind Chosen(BackendKind kind) => kind == BackendKind.Auto ? Choose(out _) : kind;

    /// <summary>The memory that <see cref="Create"/> would plan for, of the device or of this machine, found without taking any.</summary>
    public static MemoryPlan PlanFor(BackendKind kind, SaeSpec spec, TrainConfig config, InputType inputType) =>
        Chosen(kind) == BackendKind.Cpu ? CpuBackend.PlanFor(spec, config, inputType) : KernelBackend.PlanFor(spec, config, inputType);

    /// <summary>Bytes that are free now where the backends of this kind take their memory, and what that place is called.</summary>
    /// <exception cref="SaeException">What was asked for is not here.</exception>
    public static (long Bytes, string Where) Free(BackendKind kind)
    {
        kind = Chosen(kind);
        if (kind == BackendKind.Cpu) return (HostMemory.AvailableBytes(), Host);
        using var device = Open(kind);
        return (device.FreeBytes(), device.Info.Name);
    }

    static IDevice Open(BackendKind kind) => kind switch
    {
        BackendKind.Cuda => CudaDevice.Open(0),
        BackendKind.ManagedCuda => RequireManagedCuda().Open(0),
        _ => CudaDevice.OpenEmulator(RequireEmulator()),
    };

    /// <exception cref="SaeException">The emulator is not built.</exception>
    public static string RequireEmulator() =>
        Emulator.FindLibrary() ?? throw new SaeException("the emulator is not built on this machine; build/emulator.sh makes it, with g++", kind: SaeErrorKind.Device);

    /// <exception cref="SaeException">This build is without it; says how to make one that has it.</exception>
    public static Launcher RequireManagedCuda() =>
        ManagedCuda ?? throw new SaeException("this build is without ManagedCuda; dotnet build -c Release -p:UseManagedCuda=true makes one that has it, from a feed that holds the package");

    const string Host = "this machine's memory", HostCopy = "weights in float32, to start from and to save";

    static long HostCopyBytes(SaeSpec spec) => 2L * spec.Latents * spec.InputWidth * sizeof(float);

    static BackendKind Choose(out string why)
    {
        if (CudaDevice.Count(out why) > 0 && KernelModules.Embedded)
        {
            why = "a GPU is here";
            return BackendKind.Cuda;
        }
        if (why.Length == 0) why = KernelModules.HowToEmbed;
        return BackendKind.Cpu;
    }
}
