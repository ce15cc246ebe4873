using CudaSae.Backends;
using CudaSae.Backends.Cpu;
using CudaSae.Backends.Kernels;
using CudaSae.Devices;
using CudaSae.Distributed;
using CudaSae.Lab.Verification;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Cli;

/// <summary>A place where cases run.</summary>
/// <param name="Create">Creates the backend of one case.</param>
/// <param name="Rounding">The formats that its operands pass through.</param>
/// <param name="TopKOnly">Whether it differs from another target only for selections that the TopK encoder
/// serves.</param>
/// <param name="Order">The order in which several ranks add.</param>
/// <param name="RowChunks">Chunks of rows that several ranks exchange beside encoding.</param>
sealed record VerifyTarget(
    string Name, Func<SaeSpec, TrainConfig, InputType, IBackend> Create, Rounding Rounding, bool TopKOnly = false,
    SumOrder Order = SumOrder.Chain, int RowChunks = 1);

/// <summary>The targets of this machine. A GPU is open from the first target to the last, so that its context and its
/// modules are made once. The emulator is opened for each case, with the seed of the target's schedule.</summary>
sealed class VerifyTargets : IDisposable
{
    readonly List<IDevice> open = [];
    readonly ICollective? ranks;

    /// <param name="schedules">Orders of blocks, threads and streams that the emulator tries.</param>
    /// <param name="ranks">The ranks, each of which holds a part of a case's latents; null for one process.</param>
    /// <exception cref="SaeException">The backend that <paramref name="kind"/> names does not exist on this machine, or
    /// not on all ranks.</exception>
    public VerifyTargets(BackendKind kind, int schedules, ICollective? ranks)
    {
        this.ranks = ranks;
        if (ranks is not null)
        {
            NoGpu = AddOnRanks(kind, schedules, ranks);
            return;
        }
        var (auto, gpu) = (kind == BackendKind.Auto, CudaDevice.Count(out var why) > 0 && KernelModules.Embedded);
        var library = kind == BackendKind.Emulator ? BackendFactory.RequireEmulator() : Emulator.FindLibrary();
        if (auto || kind == BackendKind.Cpu)
            All.Add(new("cpu", (spec, config, type) => new CpuBackend(spec, config, type), Rounding.None));
        if (library is not null && (auto || kind == BackendKind.Emulator))
            for (var schedule = 0; schedule < schedules; schedule++) AddEmulator(library, (ulong)schedule);
        if (kind == BackendKind.Cuda) AddHeld("cuda", CudaDevice.Open(0));
        if (auto && gpu && CudaDevice.TryOpen(0, out why, loadKernels: false) is { } device) AddHeld("cuda", device);
        else if (auto) NoGpu = why.Length > 0 ? why : KernelModules.HowToEmbed;
        var managed = BackendFactory.ManagedCuda is not null && (gpu || library is not null);
        if (kind == BackendKind.ManagedCuda || auto && managed) AddManagedCuda(gpu);
    }

    public List<VerifyTarget> All { get; } = [];

    /// <summary>The reason why auto leaves the GPU out; null if it does not, or if one target is named.</summary>
    public string? NoGpu { get; }

    /// <summary>Adds the targets that all ranks have.</summary>
    /// <returns>The reason why auto leaves the GPUs out; otherwise null.</returns>
    string? AddOnRanks(BackendKind kind, int schedules, ICollective ranks)
    {
        var why = "";
        var agreed = kind == BackendKind.Auto ? RankDevice.Agreed(kind, ranks, out why) : kind;
        if (kind == BackendKind.Auto || agreed == BackendKind.Cpu)
        {
            var threads = CoreShare.Threads(ranks);
            All.Add(new("cpu", (spec, config, type) => new CpuBackend(spec, config, type, threads,
                new ShardPlan(ranks, spec)), Rounding.None));
        }
        if (agreed == BackendKind.Emulator)
            for (var schedule = 0; schedule < schedules; schedule++)
                AddEmulator(BackendFactory.RequireEmulator(), (ulong)schedule);
        else if (agreed != BackendKind.Cpu)
        {
            var device = RankDevice.Open(agreed, ranks);
            BackendFactory.Watch(device, ranks);
            AddHeld(BackendFactory.Name(agreed), device);
        }
        return kind == BackendKind.Auto && agreed == BackendKind.Cpu ? why : null;
    }

    /// <summary>Returns a case as the ranks run it.</summary>
    /// <param name="why">The reason if several ranks cannot run it; otherwise empty.</param>
    public VerifyCase Fit(VerifyTarget target, VerifyCase c, out string why)
    {
        why = "";
        if (ranks is null) return c;
        if (target.Order == SumOrder.Chain) c = c.Divided(ranks.Size);
        try
        {
            var plan = new ShardPlan(ranks, c.Spec, target.Order) { RowChunks = target.RowChunks };
            if (target.Rounding != Rounding.None) RankRules.Check(c.Spec, c.Config, plan);
        }
        // The rules are the same on all ranks; an error of the connection is not.
        catch (SaeException e) when (e.Kind != SaeErrorKind.Device) { why = e.Message; }
        return c;
    }

    void AddEmulator(string library, ulong seed)
    {
        Add(seed == 0 ? "emulator" : $"emulator, schedule {seed}", owned: true, () =>
        {
            new Emulator(library).SetSeed(seed == 0 ? 0 : seed + 1000 * (ulong)(ranks?.Rank ?? 0));
            var device = CudaDevice.OpenEmulator(library);
            if (ranks is not null) BackendFactory.Watch(device, ranks);
            return device;
        });
    }

    void AddManagedCuda(bool gpu)
    {
        var launcher = BackendFactory.RequireManagedCuda();
        if (gpu) AddHeld("managed-cuda", launcher.Open(0));
        else Add("managed-cuda, emulator", owned: true, () => launcher.OpenEmulator(BackendFactory.RequireEmulator()));
    }

    void AddHeld(string name, IDevice device)
    {
        open.Add(device);
        Add(name, owned: false, () => device);
    }

    /// <summary>Adds the kernels as a run uses them, and paths that are rare in a run: the exact fallback of encode,
    /// its float32 reference and, on several ranks, the exchange by chunks of rows.</summary>
    void Add(string name, bool owned, Func<IDevice> device)
    {
        AddForm(name, KernelVariant.Fastest, Rounding.BFloat16, topKOnly: false);
        AddForm($"{name}, 64 candidates", new() { EncodeCapacity = 64 }, Rounding.BFloat16, topKOnly: true);
        AddForm($"{name}, float32 encoder", new() { ReferenceEncode = true }, Rounding.Float32Encoder, topKOnly: true);
        if (ranks is not null)
            AddForm($"{name}, 3 chunks of rows", KernelVariant.Fastest, Rounding.BFloat16, topKOnly: true, chunks: 3);

        void AddForm(string form, KernelVariant variant, Rounding rounding, bool topKOnly, int chunks = 1)
        {
            IBackend Create(SaeSpec spec, TrainConfig config, InputType type) =>
                new KernelBackend(device(), spec, config, type, owned, variant,
                    shard: ranks is null ? null : new(ranks, spec, SumOrder.Ordered) { RowChunks = chunks });
            All.Add(new(form, Create, rounding, topKOnly, SumOrder.Ordered, chunks));
        }
    }

    public void Dispose()
    {
        foreach (var device in open) device.Dispose();
    }
}
