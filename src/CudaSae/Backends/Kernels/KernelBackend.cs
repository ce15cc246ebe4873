using CudaSae.Devices;
using CudaSae.Distributed;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Kernels;

/// <summary>The backend on kernels, for any <see cref="IDevice"/>: a GPU or the emulator. All work after the copies of
/// the input and the scalars is recorded as one graph and replayed.</summary>
sealed unsafe partial class KernelBackend : IBackend
{
    readonly IDevice device;
    readonly Owned owned;
    readonly nint stream, copyStream;
    readonly nint[] copied, taken, lentReady;
    // The input in device memory of the caller.
    readonly (ulong Rows, long Bytes, nint Stream)[] lent = new (ulong, long, nint)[2];
    readonly void*[] slots = new void*[2];
    readonly bool[] shares = new bool[2];
    readonly StepScalars* scalarRing; // [Ring] page-locked; a step's scalars are kept until the device has read them
    readonly nint[] scalarsRead;
    readonly StepSums* sums;                // [2] page-locked, for the last two steps
    readonly nint[] sumsReady;
    readonly StepScalars* verdict;          // page-locked; the scalars after the sparse encoding
    readonly nint decided;
    readonly nint[] graphs = new nint[2];   // sparse path, dense path
    readonly Phases phases;
    readonly RowPool? pool;
    long steps, published;
    bool capturing;

    const int Ring = 4;

    /// <summary>Allocates the backend on a device.</summary>
    /// <param name="device">The device.</param>
    /// <param name="spec">The architecture.</param>
    /// <param name="config">The run's configuration.</param>
    /// <param name="inputType">Element type of the input.</param>
    /// <param name="ownsDevice">Whether the device is disposed with the backend, or immediately if the backend cannot
    /// be made.</param>
    /// <param name="pool">Size of the pool of rows on the device; default is none.</param>
    /// <param name="shard">The share of this rank, whose device joins those of the other ranks; null for all
    /// latents.</param>
    /// <exception cref="SaeException">The plan does not fit the device, or a call to the device failed. Nothing stays
    /// allocated.</exception>
    public KernelBackend(IDevice device, SaeSpec spec, TrainConfig config, InputType inputType, bool ownsDevice = false,
        PoolPlan pool = default, ShardPlan? shard = null)
        : this(device, spec, config, inputType, ownsDevice, KernelVariant.Fastest, pool, shard) { }

    internal KernelBackend(IDevice device, SaeSpec spec, TrainConfig config, InputType inputType, bool ownsDevice,
        KernelVariant variant, PoolPlan pool = default, ShardPlan? shard = null)
    {
        (this.device, Spec, Config, Shard) = (device, spec, config, shard);
        owned = new(device);
        if (ownsDevice) owned.Add(device);
        try
        {
            var plan = new MemoryPlan();
            byte[] id = [];
            // The ranks join after each of them has accepted the run.
            RankAgreement.Do(shard?.Collective, () =>
            {
                Check(spec, config, shard);
                plan = PlanFor(spec, config, inputType, variant, shard);
                plan.With(pool.Name, pool.Bytes).Require(device.FreeBytes(), device.Info.Name);
                if (shard is { IsRoot: true }) id = device.NewNcclId();
            });
            stream = owned.Stream();
            copyStream = owned.Stream();
            var link = shard is null ? null : owned.Add(Connect(device, shard.Collective, id));
            var arena = owned.Add(new DeviceArena(device, plan));
            device.Fill32(arena.Start, 0, arena.Capacity / 4, stream);
            var side = shard is { RowChunks: > 1 } ? new SideStream(owned) : null;
            phases = new(new(device, stream, arena, spec, config, inputType, shard, link, side), variant);
            Dense = spec.IsThresholded;
            copied = [owned.Event(), owned.Event()];
            taken = [owned.Event(), owned.Event()];
            lentReady = [owned.Event(), owned.Event()];
            scalarsRead = [.. Enumerable.Range(0, Ring).Select(_ => owned.Event())];
            for (var slot = 0; slot < 2; slot++) slots[slot] = owned.Pinned(SlotBytes);
            scalarRing = (StepScalars*)owned.Pinned(Ring * sizeof(StepScalars));
            sums = (StepSums*)owned.Pinned(2 * sizeof(StepSums));
            new Span<StepSums>(sums, 2).Clear();
            sumsReady = [owned.Event(), owned.Event()];
            verdict = (StepScalars*)owned.Pinned(sizeof(StepScalars));
            decided = owned.Event();
            if (pool.Rows > 0) this.pool = new(device, owned, pool, config.BatchRows);
            Plan = arena.Plan.With(pool.Name, pool.Bytes);
            Context.Ranks?.Connect();
            device.Synchronize(stream);
        }
        catch
        {
            owned.Dispose();
            throw;
        }
    }

    /// <summary>Returns the device memory that a run needs; it does not need a device.</summary>
    /// <param name="shard">The share of this rank; null for all latents.</param>
    public static MemoryPlan PlanFor(SaeSpec spec, TrainConfig config, InputType inputType, ShardPlan? shard = null) =>
        PlanFor(spec, config, inputType, KernelVariant.Fastest, shard);

    static MemoryPlan PlanFor(SaeSpec spec, TrainConfig config, InputType inputType, KernelVariant variant,
        ShardPlan? shard)
    {
        var counting = new DeviceArena();
        _ = new Phases(new(null, 0, counting, spec, config, inputType, shard), variant);
        return counting.Plan;
    }

    static void Check(SaeSpec spec, TrainConfig config, ShardPlan? shard)
    {
        if (spec.Active > SaeSpec.MaxActive)
            throw new SaeException($"a row's code of up to {spec.Active} entries is more than the kernels hold: "
                + $"set Room to {SaeSpec.MaxActive} or less");
        SpecRules.Check(spec, config);
        if (shard is not null) RankRules.Check(spec, config, shard);
    }

    /// <summary>Joins the devices of all ranks.</summary>
    /// <param name="id">The id of the group on rank 0.</param>
    static NcclCommunicator Connect(IDevice device, ICollective ranks, byte[] id)
    {
        if (ranks.Rank > 0) id = new byte[Nccl.IdBytes];
        ranks.Broadcast(id.AsSpan(), 0);
        return device.Connect(id, ranks.Rank, ranks.Size);
    }

    public SaeSpec Spec { get; }
    public TrainConfig Config { get; }
    public ShardPlan? Shard { get; }
    public MemoryPlan Plan { get; }
    public BackendKind Kind => device.Info.Emulated ? BackendKind.Emulator : BackendKind.Cuda;
    public string StateFormat => "cuda";
    public string Description =>
        $"{(device.Info.Emulated ? "emulator" : "cuda")}, {device.Info.Name}, compute capability "
            + $"{device.Info.Major}.{device.Info.Minor}, bfloat16 "
            + "operands" + (phases.Screen is null ? ""
                : $", 8-bit screening (P(miss) of an entry at most {ScreenPhase.MissProbability:0e-0})");

    KernelContext Context => phases.Context;
    StepBuffers Buffers => phases.Context.Buffers;

    internal ScreenPhase? Screen => phases.Screen;

    public void Prepare()
    {
        phases.Prepare.Run(pool);
        if (AuditIsDue(Now)) phases.Screen!.Audit();
    }

    public void EncodeSelect()
    {
        phases.Scalars?.Run();
        stepDense = WantsDense;
        if (phases.Overlap is { } overlap) overlap.Run(Baseline());
        else if (phases.Select is { } select) select.Run();
        else if (!stepDense) EncodeColumns();
    }

    public void DecodeLoss()
    {
        if (phases.Overlap is not null)
        {
            phases.Decode.FinishOnRanks();
            phases.Entries?.Run(phases.Decode.RowActive);
            return;
        }
        var baseline = Baseline();
        if (stepDense)
        {
            phases.Dense!.Forward(baseline);
            return;
        }
        phases.Decode.Run(phases.Hot?.Forward(baseline) ?? baseline);
        phases.Hot?.CountActive();
        phases.Entries?.Run(phases.Decode.RowActive);
    }

    /// <summary>Computes the skip connection, if there is one, to which the code adds.</summary>
    DeviceArray<float> Baseline()
    {
        phases.Skip?.Forward();
        return phases.Skip?.Baseline ?? default;
    }

    public void AuxLoss() => phases.Dead?.Run();

    public void Backward()
    {
        if (stepDense) return;
        phases.Hot?.Gradients();
        phases.Backward.Run();
        phases.Entries?.SumLatents(phases.Backward);
    }

    public void Optimize() => phases.Optimize.Run(stepDense ? phases.Dense : null);

    public void TrackLatents()
    {
        phases.Hot?.Choose();
        phases.Latents.Run(stepDense);
        phases.Select?.Batch?.MoveThreshold();
    }

    public void EndStep()
    {
        var overflows = phases.Overlap?.Overflows ?? phases.Encode?.Overflows ?? phases.Columns!.Overflows;
        phases.Decode.FinishSums(new()
        {
            Overflows = overflows.Pointer, OverflowCounts = (int)overflows.Length, AuxSums = Spec.Aux is null
                ? 0 : phases.Dead!.Sums.Pointer,
            Ghost = Spec.Ghost is null ? 0
                : phases.Dead!.Sums.Pointer, GradientNorm =
                    phases.Optimize.GradientNorm.Pointer, Threshold = phases.Select?.Batch?.Threshold.Pointer
                    ?? 0,
            Screening = phases.Screen?.AuditCounts.Pointer ?? 0,
            RowPenalty = phases.Entries?.RowPenalty.Pointer ?? 0, PreActLoss = Spec.PreAct is null ? 0
                : phases.Entries!.PreActLoss.Pointer,
            RowNear = stepDense ? phases.Dense!.RowNear.Pointer
                : phases.Columns?.RowNear.Pointer ?? 0,
        }, stepDense);
        Context.Ranks?.ShareSums(sameOverflows: Spec.IsThresholded);
        if (!capturing) LeaveStep();
    }

    public bool Dense { get; set; }

    /// <summary>A prediction of the cost model for an H100-class device. It has not been measured on one.</summary>
    public double DenseCrossover => 0.0073;

    /// <summary>Releases everything, even after a failed call or the loss of the device; it does not throw. If the
    /// ranks of a run end with an error, it leaves the release to the end of the process.</summary>
    public void Dispose()
    {
        if (Shard is { Collective.Failed: true }) return;
        LeaveGraphs();
        owned.Dispose();
    }
}
