using System.Text.Json.Serialization;
using CudaSae.Backends.Cpu;
using CudaSae.Backends.Kernels;
using CudaSae.Devices;
using CudaSae.Distributed;
using CudaSae.Model;
using CudaSae.Numerics;
using CudaSae.Text;


namespace CudaSae.Backends;

/// <summary>The backend of a run.</summary>
[JsonConverter(typeof(NamedEnum<BackendKind>))]
public enum BackendKind
{
    /// <summary>The GPU if its driver, a device, embedded kernels and enough memory are available; otherwise the
    /// CPU.</summary>
    Auto,
    /// <summary>The GPU.</summary>
    Cuda,
    /// <summary>The CPU.</summary>
    Cpu,
    /// <summary>The kernels on the emulated driver, for tests; thousands of times slower than a GPU.</summary>
    Emulator,
    /// <summary>The GPU, launched through the package ManagedCuda; available only in builds with that
    /// package.</summary>
    ManagedCuda,
}

static class BackendFactory
{
    /// <summary>The launcher on ManagedCuda; null in a build without it. CudaSae.ManagedCuda sets it before any backend
    /// is made.</summary>
    public static Launcher? ManagedCuda { get; set; }

    /// <summary>Returns the name of a kind, as --backend spells it.</summary>
    public static string Name(BackendKind kind) =>
        kind == BackendKind.ManagedCuda ? "managed-cuda" : kind.ToString().ToLowerInvariant();

    /// <summary>Reports and checks the memory plan, then makes the backend. <see cref="BackendKind.Auto"/> selects the
    /// CPU if the GPU cannot be used: there is no driver or no device, the kernels cannot be loaded, or the memory does
    /// not suffice. In that case nothing stays allocated on the device.</summary>
    /// <param name="plan">Receives the plan and the name of the memory before anything is allocated. With Auto it is
    /// called again if the GPU cannot be used.</param>
    /// <param name="why">Receives one sentence about the choice.</param>
    /// <param name="trainRows">Number of training rows, for a pool of rows on the device
    /// (<see cref="TrainConfig.DevicePool"/>); 0 for none.</param>
    /// <param name="shard">The share of this rank in a run on several ranks; null for all latents.</param>
    /// <param name="chosen">The sentence about the choice, if the kind has been chosen before; otherwise null.</param>
    /// <exception cref="SaeException">The requested device is not available, or the plan does not fit.</exception>
    public static IBackend Create(BackendKind kind, SaeSpec spec, TrainConfig config, InputType inputType,
        Action<MemoryPlan, string> plan, out string why, long trainRows = 0, ShardPlan? shard = null,
        string? chosen = null)
    {
        spec.Validate();
        config.Validate();
        SpecRules.Check(spec, config);
        why = chosen ?? $"Backend = {kind}";
        if (shard is { Ranks: 1 } && kind is not (BackendKind.Cpu or BackendKind.Auto))
            throw new SaeException($"Backend = {kind}: {Alone(shard)} trains on the CPU only; choose Backend = Cpu, or "
                + "leave the order of sums out");
        if (shard is not null && kind == BackendKind.Auto)
            why = $"{(shard.Ranks > 1 ? $"an SAE on {shard.Ranks} ranks" : Alone(shard))} trains on the CPU";
        if (kind == BackendKind.Cpu || shard is not null && kind == BackendKind.Auto)
            return CreateCpu(spec, config, inputType, plan, ref why, trainRows, shard);
        if (shard is not null)
            return CreateOnKernels(RankDevice.Open(kind, shard.Collective), spec, config, inputType, plan, trainRows,
                shard);
        if (kind != BackendKind.Auto) return CreateOnKernels(Open(kind), spec, config, inputType, plan, trainRows);
        if (CudaDevice.TryOpen(0, out var problem) is not { } device)
        {
            why = NoGpu + problem;
            return CreateCpu(spec, config, inputType, plan, ref why, trainRows);
        }
        try
        {
            var backend = CreateOnKernels(device, spec, config, inputType, plan, trainRows);
            why = "a GPU is available";
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
        long trainRows, ShardPlan? shard = null)
    {
        if (config.Screening != ScreeningKind.None)
            why += "; 8-bit screening is for kernels; the CPU encodes exactly without it";
        if (config.DevicePool > 0 && trainRows > 0)
            throw new SaeException($"DevicePool = {config.DevicePool}: the CPU has no memory apart from the host's; "
                + "leave it out, or train on a GPU");
        var threads = shard is null ? 0 : CoreShare.Threads(shard.Collective);
        var plans = CpuBackend.PlanFor(spec, config, inputType, threads, shard);
        AddHostCopies(plans, spec, shard);
        plan(plans, Host);
        RequireHost(plans, shard);
        return new(spec, config, inputType, threads, shard);
    }

    static string Alone(ShardPlan shard) => $"an SAE with the order of sums {shard.Order}";

    /// <summary>Adds the weights in float32 on the host.</summary>
    static void AddHostCopies(MemoryPlan plan, SaeSpec spec, ShardPlan? shard)
    {
        plan.Add(HostCopy, HostCopyBytes(spec, shard?.Count));
        if (shard is { IsRoot: true, Ranks: > 1 } && !shard.SavesPieces())
            plan.Add("weights of all ranks, to save", HostCopyBytes(spec));
    }

    static void RequireHost(MemoryPlan plan, ShardPlan? shard)
    {
        var here = shard?.Collective.LocalSize ?? 1;
        plan.Require(HostMemory.AvailableBytes() / here, here == 1 ? Host : $"{Host}, divided among {here} ranks");
    }

    /// <summary>Makes a backend on the kernels.</summary>
    /// <param name="device">The backend owns it; it is disposed on failure.</param>
    static KernelBackend CreateOnKernels(
        IDevice device, SaeSpec spec, TrainConfig config, InputType inputType, Action<MemoryPlan, string> plan,
        long trainRows, ShardPlan? shard = null)
    {
        PoolPlan pool = default;
        try
        {
            // A plan that fits on all ranks precedes the connection of their devices.
            RankAgreement.Do(shard?.Collective, () =>
            {
                if (shard is not null) RankRules.Check(spec, config, shard);
                var copy = new MemoryPlan();
                AddHostCopies(copy, spec, shard);
                RequireHost(copy, shard);
                var plans = KernelBackend.PlanFor(spec, config, inputType, shard);
                RankRules.CheckPool(config, shard);
                pool = PoolPlan.For(config, shard is { SharedReading: true } ? 0 : trainRows,
                    spec.RowWidth * inputType.Bytes(), device.FreeBytes() - plans.TotalBytes);
                var whole = plans.With(pool.Name, pool.Bytes);
                plan(whole, device.Info.Name);
                if (shard is not null) whole.Require(device.FreeBytes() - NcclBytes, device.Info.Name);
            });
            if (shard is not null) Watch(device, shard.Collective);
        }
        catch
        {
            device.Dispose();
            throw;
        }
        return new(device, spec, config, inputType, ownsDevice: true, pool, shard);
    }

    /// <summary>Lets the ranks' watchdog limit waits for the device, and find errors of its network.</summary>
    public static void Watch(IDevice device, ICollective ranks)
    {
        device.Waits = begins => ranks.Waiting(begins ? "device work" : null);
        ranks.Watch(device.GroupError);
    }

    /// <summary>Returns the kind of a backend that was made for <paramref name="kind"/>: the choice of Auto, otherwise
    /// the kind itself.</summary>
    public static BackendKind Taken(BackendKind kind, IBackend backend) =>
        kind != BackendKind.Auto ? kind : backend.Kind == BackendKind.Cpu ? BackendKind.Cpu : BackendKind.Cuda;

    /// <summary>Returns the choice of <see cref="Create"/> for a run that fits.</summary>
    public static BackendKind Chosen(BackendKind kind) => Chosen(kind, out _);

    /// <summary>Returns the choice of <see cref="Create"/> for a run that fits. It opens the GPU once per process to
    /// find out.</summary>
    /// <param name="why">The reason for which Auto does not use the GPU; empty if it does.</param>
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

    /// <summary>Returns the memory plan of <see cref="Create"/>, for the device or for this machine, without allocating
    /// any.</summary>
    public static MemoryPlan PlanFor(BackendKind kind, SaeSpec spec, TrainConfig config, InputType inputType) =>
        Chosen(kind) == BackendKind.Cpu ? CpuBackend.PlanFor(spec, config, inputType)
            : KernelBackend.PlanFor(spec, config, inputType);

    /// <summary>Returns the free bytes of the memory that backends of this kind use, and its name.</summary>
    /// <exception cref="SaeException">The requested device is not available.</exception>
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

    /// <summary>Returns the emulator's library.</summary>
    /// <exception cref="SaeException">The emulator is not built.</exception>
    public static string RequireEmulator() =>
        Emulator.FindLibrary()
            ?? throw new SaeException("the emulator is not built on this machine; build/emulator.sh makes it, with g++",
                kind: SaeErrorKind.Device);

    /// <summary>Returns the launcher on ManagedCuda.</summary>
    /// <exception cref="SaeException">This build does not contain it; the message states how to make one that
    /// does.</exception>
    public static Launcher RequireManagedCuda() =>
        ManagedCuda
            ?? throw new SaeException("this build does not contain ManagedCuda; dotnet build -c Release "
                + "-p:UseManagedCuda=true makes one that does, from a feed with the package");

    const long NcclBytes = 512 << 20;       // an estimate of the buffers that NCCL allocates
    const string NoGpu = "no GPU: ", Host = "this machine's memory";
    const string HostCopy = "weights in float32, to start from and to save";

    static long HostCopyBytes(SaeSpec spec, int? latents = null) =>
        2L * (latents ?? spec.Latents) * spec.InputWidth * sizeof(float);
}
