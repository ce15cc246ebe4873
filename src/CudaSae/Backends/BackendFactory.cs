using System.Text.Json.Serialization;
using CudaSae.Backends.Cpu;
using CudaSae.Backends.Kernels;
using CudaSae.Devices;
using CudaSae.Model;
using CudaSae.Numerics;
using CudaSae.Text;


namespace CudaSae.Backends;

/// <summary>Which backend a run uses.</summary>
[JsonConverter(typeof(NamedEnum<BackendKind>))]
public enum BackendKind
{
    /// <summary>The GPU if its driver, a device, embedded kernels and enough memory are here, else the CPU.</summary>
    Auto,
    Cuda,
    Cpu,
    /// <summary>The kernels on the emulated driver: for testing them, thousands of times slower than a GPU.</summary>
    Emulator,
    /// <summary>The GPU, launched through the package ManagedCuda: only in builds that were made with it.</summary>
    ManagedCuda,
}

static class BackendFactory
{
    /// <summary>The launcher on ManagedCuda; null in a build without it. CudaSae.ManagedCuda sets it, before anything
    /// is made.</summary>
    public static Launcher? ManagedCuda { get; set; }

    /// <summary>As --backend calls it.</summary>
    public static string Name(BackendKind kind) =>
        kind == BackendKind.ManagedCuda ? "managed-cuda" : kind.ToString().ToLowerInvariant();

    /// <summary>Prints and checks the memory plan, then makes the backend. <see cref="BackendKind.Auto"/> takes the CPU
    /// where the GPU does not come up: no driver, no device, kernels that cannot be loaded, memory that does not
    /// suffice. Nothing of the device stays allocated then.</summary>
    /// <param name="plan">Called with the plan and with where it will be taken, before anything is allocated; for Auto
    /// again where the GPU refused.</param>
    /// <param name="why">One sentence on the choice.</param>
    /// <param name="trainRows">Rows of the data that the run has for itself, for a pool of them on the device as
    /// <see cref="TrainConfig.DevicePool"/> says; 0 for none.</param>
    /// <exception cref="SaeException">What was asked for is not here, or the plan does not fit.</exception>
    public static IBackend Create(BackendKind kind, SaeSpec spec, TrainConfig config, InputType inputType,
        Action<MemoryPlan, string> plan, out string why, long trainRows = 0)
    {
        spec.Validate();
        config.Validate();
        SpecRules.Check(spec, config);
        why = $"--backend {Name(kind)}";
        if (kind == BackendKind.Cpu) return CreateCpu(spec, config, inputType, plan, ref why, trainRows);
        if (kind != BackendKind.Auto) return CreateOnKernels(Open(kind), spec, config, inputType, plan, trainRows);
        if (CudaDevice.TryOpen(0, out var problem) is not { } device)
        {
            why = NoGpu + problem;
            return CreateCpu(spec, config, inputType, plan, ref why, trainRows);
        }
        try
        {
            var backend = CreateOnKernels(device, spec, config, inputType, plan, trainRows);
            why = "a GPU is here";
            return backend;
        }
        catch (SaeException e) when (e.Kind is SaeErrorKind.Device or SaeErrorKind.Memory)
        {
            why = $"{NoGpu}{device.Info.Name} cannot be used: {e.Message}";
        }
        try { return CreateCpu(spec, config, inputType, plan, ref why, trainRows); }
        catch (SaeException e) { throw new SaeException($"{e.Message}; {why}", e, e.Kind); }
    }

    static CpuBackend CreateCpu(
        SaeSpec spec, TrainConfig config, InputType inputType, Action<MemoryPlan, string> plan, ref string why,
        long trainRows)
    {
        if (config.Screening != ScreeningKind.None)
            why += "; 8-bit screening is for kernels, the CPU encodes exactly without";
        if (config.DevicePool > 0 && trainRows > 0)
            throw new SaeException("--device-pool: the CPU has no memory apart from the host's; "
                + "leave it out, or train on cuda");
        var plans = CpuBackend.PlanFor(spec, config, inputType);
        plans.Add(HostCopy, HostCopyBytes(spec));
        plan(plans, Host);
        plans.Require(HostMemory.AvailableBytes(), Host);
        return new(spec, config, inputType);
    }

    /// <param name="device">Owned by the backend, or disposed.</param>
    static KernelBackend CreateOnKernels(
        IDevice device, SaeSpec spec, TrainConfig config, InputType inputType, Action<MemoryPlan, string> plan,
        long trainRows)
    {
        PoolPlan pool;
        try
        {
            var copy = new MemoryPlan();
            copy.Add(HostCopy, HostCopyBytes(spec));
            copy.Require(HostMemory.AvailableBytes(), Host);
            var plans = KernelBackend.PlanFor(spec, config, inputType);
            pool = PoolPlan.For(config, trainRows, spec.RowWidth * inputType.Bytes(),
                device.FreeBytes() - plans.TotalBytes);
            plan(plans.With(pool.Name, pool.Bytes), device.Info.Name);
        }
        catch
        {
            device.Dispose();
            throw;
        }
        return new(device, spec, config, inputType, ownsDevice: true, pool);
    }

    /// <summary>The kind of a backend that was made for <paramref name="kind"/>: the one that Auto took, otherwise the
    /// kind itself.</summary>
    public static BackendKind Taken(BackendKind kind, IBackend backend) =>
        kind != BackendKind.Auto ? kind : backend.Kind == BackendKind.Cpu ? BackendKind.Cpu : BackendKind.Cuda;

    /// <summary>What <see cref="Create"/> would choose for a run that fits.</summary>
    public static BackendKind Chosen(BackendKind kind) => Chosen(kind, out _);

    /// <summary>As the other; opens the GPU to find out, once a process.</summary>
    /// <param name="why">Why Auto does not take the GPU; nothing where it does.</param>
    public static BackendKind Chosen(BackendKind kind, out string why)
    {
        why = kind == BackendKind.Auto ? cudaProblem.Value : "";
        return kind != BackendKind.Auto ? kind : why.Length > 0 ? BackendKind.Cpu : BackendKind.Cuda;
    }

    static readonly Lazy<string> cudaProblem = new(() =>
    {
        CudaDevice.TryOpen(0, out var why)?.Dispose();
        return why.Length > 0 ? NoGpu + why : "";
    });

    /// <summary>The memory that <see cref="Create"/> would plan for, of the device or of this machine, found without
    /// taking any.</summary>
    public static MemoryPlan PlanFor(BackendKind kind, SaeSpec spec, TrainConfig config, InputType inputType) =>
        Chosen(kind) == BackendKind.Cpu ? CpuBackend.PlanFor(spec, config, inputType)
            : KernelBackend.PlanFor(spec, config, inputType);

    /// <summary>Bytes that are free now where the backends of this kind take their memory, and what that place is
    /// called.</summary>
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
        BackendKind.Cuda => CudaDevice.TryOpen(0, out var why) ?? throw CudaDevice.Refused(why),
        BackendKind.ManagedCuda => RequireManagedCuda().Open(0),
        _ => CudaDevice.OpenEmulator(RequireEmulator()),
    };

    /// <exception cref="SaeException">The emulator is not built.</exception>
    public static string RequireEmulator() =>
        Emulator.FindLibrary()
            ?? throw new SaeException("the emulator is not built on this machine; build/emulator.sh makes it, with g++",
                kind: SaeErrorKind.Device);

    /// <exception cref="SaeException">This build is without it; says how to make one that has it.</exception>
    public static Launcher RequireManagedCuda() =>
        ManagedCuda
            ?? throw new SaeException("this build is without ManagedCuda; dotnet build -c Release "
                + "-p:UseManagedCuda=true makes one that has it, from a feed that holds the package");

    const string NoGpu = "no GPU: ", Host = "this machine's memory";
    const string HostCopy = "weights in float32, to start from and to save";

    static long HostCopyBytes(SaeSpec spec) => 2L * spec.Latents * spec.InputWidth * sizeof(float);
}
