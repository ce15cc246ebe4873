using System.Runtime.Intrinsics;
using CudaSae.Distributed;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>The phases in C#: float32, the widest vectors of the machine, all cores. Work is divided into parts that do
/// not depend on the number of threads, so results are bitwise the same for any. In one process no phase
/// allocates.</summary>
sealed unsafe partial class CpuBackend : IBackend
{
    readonly CpuContext context;
    readonly CpuStep step;
    readonly Phases phases;
    readonly bool[] shares = new bool[2];
    bool used;      // fresh memory is zero already, and not yet resident

    /// <param name="threads">Threads of a step; 0 for one a core.</param>
    /// <param name="shard">The share of this rank; null for all latents.</param>
    public CpuBackend(SaeSpec spec, TrainConfig config, InputType inputType, int threads = 0, ShardPlan? shard = null)
        : this(new CpuContext(spec, config, inputType, threads, counting: false, shard)) { }

    CpuBackend(CpuContext context)
    {
        if (context.Shard is not null && context.Config.ValidateEvery > 0) throw NoDenseCheck();
        if (context.Shard is { RowChunks: not 1 and var chunks })
            throw new SaeException($"{chunks} chunks of rows: only devices exchange a chunk while they encode the next "
                + "one; use 1 chunk, or Backend = Cuda");
        this.context = context;
        (step, phases) = (context.Step, new(context));
        Dense = context.Thresholded;
    }

    /// <summary>The memory that a run takes on the host, found without taking it.</summary>
    /// <param name="threads">Threads of a step; 0 for one a core.</param>
    /// <param name="shard">The share of this rank; null for all latents.</param>
    public static MemoryPlan PlanFor(SaeSpec spec, TrainConfig config, InputType inputType, int threads = 0,
        ShardPlan? shard = null)
    {
        using var counting = new CpuContext(spec, config, inputType, threads, counting: true, shard);
        _ = new Phases(counting);
        return counting.Arena.Plan;
    }

    public SaeSpec Spec => context.Spec;
    public TrainConfig Config => context.Config;
    public ShardPlan? Shard => context.Shard;
    public MemoryPlan Plan => context.Arena.Plan;
    public BackendKind Kind => BackendKind.Cpu;
    public string StateFormat => "cpu";
    public bool StateIsOnHost => true;
    public string Description => $"cpu, {context.Workers.Count} threads, {VectorBits}-bit vectors, float32";

    /// <summary>The widest vectors that this machine's instructions have.</summary>
    internal static int VectorBits => Vector512.IsHardwareAccelerated ? 512
        : Vector256.IsHardwareAccelerated ? 256 : 128;

    CpuBuffers Buffers => context.Buffers;

    public Span<byte> InputSlot(int slot) =>
        new(Buffers.Slots[slot], checked(context.Rows * Spec.RowWidth * context.InputType.Bytes()));

    public bool IsShare(int slot) => shares[slot];
    public void SetShare(int slot, bool isShare) => shares[slot] = isShare;

    public bool IsSynchronous => true;

    /// <summary>Returns at once: a step has read its slot when <see cref="Prepare"/> returns.</summary>
    public void WaitForSlot(int slot) { }

    public bool Dense { get; set; }

    /// <summary>The value follows from two points at n 4096, d 512: the dense path takes 180 ms for any density, the
    /// sparse one 24 ms at 1.4 % and 0.15 ms more for each active latent.</summary>
    public double DenseCrossover => 0.2;

    public void BeginStep(int slot, in StepScalars scalars)
    {
        used = true;
        if (shares[slot]) Gather(slot);
        step.Begin(Buffers.Slots[slot], scalars, Dense);
    }

    /// <summary>Receives the rows of a batch that other ranks have read.</summary>
    void Gather(int slot)
    {
        shares[slot] = false;
        Shard!.Collective.AllGather(InputSlot(slot),
            Shard.RowStarts(context.Rows, Spec.RowWidth * context.InputType.Bytes()));
    }

    public void Prepare()
    {
        phases.Prepare.Run();
        phases.Scalars?.Run();
    }

    public void EncodeSelect()
    {
        if (step.Dense) return;
        phases.Encode.Run();
        phases.Batch?.Run();
    }

    public void DecodeLoss()
    {
        phases.Skip?.Forward();
        if (step.Dense) phases.Dense!.Forward();
        else phases.Decode.Run();
        phases.Residuals.FinishSums();
        if (!step.Dense) phases.Entries?.Run();
    }

    public void AuxLoss() => phases.Dead?.Run();

    public void Backward()
    {
        phases.Backward.Run();
        if (Config.Clip == ClipKind.GlobalNorm) phases.Optimize.Measure();
    }

    public void Optimize() => phases.Optimize.Run();

    public void TrackLatents()
    {
        phases.Latents.Run();
        phases.Batch?.MoveThreshold();
    }

    /// <summary>Does nothing: each phase has written its sums.</summary>
    public void EndStep() { }

    public bool BeginCapture() => false;
    public void EndCapture() => throw new NotSupportedException("the CPU backend records no graphs");
    public bool Replay(int slot, in StepScalars scalars, Action rest) => false;

    public void Dispose() => context.Dispose();
}
