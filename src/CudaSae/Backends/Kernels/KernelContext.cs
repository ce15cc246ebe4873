using CudaSae.Backends.Cpu;
using CudaSae.Devices;
using CudaSae.Devices.Params;
using CudaSae.Distributed;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Kernels;

/// <summary>The device, the shared buffers and the shapes that every phase on kernels uses. A phase takes its scratch
/// memory from <see cref="Arena"/> in its constructor and launches kernels in its Run method. Without a device the
/// constructors only count memory, and nothing is launched.</summary>
sealed class KernelContext
{
    readonly IDevice? device;
    readonly Dictionary<string, KernelFunction> kernels = [];
    readonly Lazy<HopperOperands?> hopper;
    readonly SideStream? side;

    /// <param name="shard">The share of this rank; null for all latents.</param>
    /// <param name="link">The connection to the other ranks; null for one process, and where memory is counted.</param>
    /// <param name="side">The second stream; null for none, and where memory is counted.</param>
    public KernelContext(IDevice? device, nint stream, DeviceArena arena, SaeSpec spec, TrainConfig config,
        InputType inputType, ShardPlan? shard = null, NcclCommunicator? link = null, SideStream? side = null)
    {
        (this.device, this.side) = (device, side);
        (Stream, Arena, Spec, Config, InputType) = (stream, arena, spec, config, inputType);
        (Latents, First) = shard is null ? (spec.Latents, 0) : (shard.Count, shard.First);
        Buffers = new(arena, spec, config, inputType.Bytes(), Latents);
        Chunks = RowRange.Divide(config.BatchRows, shard?.RowChunks ?? 1);
        if (shard is not null) Ranks = new(this, shard, link);
        Loss = LossOf(spec);
        LeftOut = LeftOut.FromEnvironment();
        hopper = new(() => HopperOperands.For(this));
    }

    /// <summary>The spec's selection and losses in the form of kernel parameters.</summary>
    public LossParams Loss { get; }

    static LossParams LossOf(SaeSpec spec)
    {
        var loss = new LossParams
        {
            Selection = spec.Selection switch
            {
                Selection.Relu => SelectionCode.Relu,
                Selection.JumpRelu => SelectionCode.JumpRelu,
                Selection.Gated => SelectionCode.Gated,
                _ => SelectionCode.Bounded,
            },
            Penalty = spec.Penalty switch
            {
                SparsityPenalty.L1 => PenaltyCode.L1,
                SparsityPenalty.Tanh => PenaltyCode.Tanh,
                SparsityPenalty.Lp => PenaltyCode.Lp,
                SparsityPenalty.L0 => PenaltyCode.L0,
                SparsityPenalty.TargetL0 => PenaltyCode.TargetL0,
                _ => PenaltyCode.None,
            },
            Weight = spec.Penalty?.Weight ?? PenaltyWeight.One,
            Rescale = spec.Selection is Selection.Gated { Rescale: false } ? 0 : 1,
            LiveGate = spec.Selection is Selection.Gated { LiveAuxDecoder: true } ? 1 : 0,
            PreAct = spec.PreAct switch
            {
                null => PreActCode.None,
                { DeadOnly: true } => PreActCode.Dead,
                _ => PreActCode.All,
            },
            TanhScale = spec.Penalty is SparsityPenalty.Tanh tanh ? tanh.Scale : 0,
            Target = spec.Penalty is SparsityPenalty.TargetL0 target ? target.Target : 0,
        };
        if (spec.Selection is Selection.JumpRelu jump)
        {
            (loss.Kernel, loss.Form, loss.Bandwidth) = (jump.Kernel, jump.Form, jump.Bandwidth);
            loss.InputGradient = jump.InputGradient ? 1 : 0;
            loss.Adaptive = jump.AdaptiveBandwidth ? 1 : 0;
            loss.Reach = LatentMath.Reach(jump.Kernel);
        }
        return loss;
    }

    public IDevice Device => device ?? throw new InvalidOperationException("this context only counts memory");
    public int Multiprocessors => Device.Info.Multiprocessors;
    public nint Stream { get; private set; }
    public DeviceArena Arena { get; }
    public SaeSpec Spec { get; }
    public TrainConfig Config { get; }
    public InputType InputType { get; }
    public StepBuffers Buffers { get; }

    /// <summary>The exchanges with other ranks; null for one process.</summary>
    public RankExchange? Ranks { get; }

    public int Rows => Config.BatchRows;            // B
    public RowRange AllRows => new(0, Rows);
    public int Width => Spec.InputWidth;            // d
    public int Ld => Buffers.Ld;
    public int Lo => Buffers.Lo;
    public int Latents { get; }                     // n of this rank
    public int First { get; }                       // the first of them
    public int Active => Spec.Active;               // k

    /// <summary>Whether to use the portable kernels even if others fit this device, so that their results can be
    /// compared. Set it before the first step.</summary>
    public bool Portable { get; set; }

    /// <summary>Features that are disabled. Set it before the first step.</summary>
    public LeftOut LeftOut { get; set; }

    /// <summary>The encoder's operands for the Hopper kernels; null if the portable kernels are used.</summary>
    public HopperOperands? Hopper => hopper.Value;

    /// <summary>The chunks of the rows of a batch (<see cref="ShardPlan.RowChunks"/>). The first is the
    /// largest.</summary>
    public RowRange[] Chunks { get; }

    /// <summary>Queues work on the second stream, after the work so far on the stream of the phases.</summary>
    public void RunBeside(Action work)
    {
        var phases = Stream;
        side!.Fork(Device, phases);
        Stream = side.Stream;
        try { work(); }
        finally { Stream = phases; }
    }

    /// <summary>Makes the stream of the phases wait for the second stream.</summary>
    public void Join() => side!.Join(Device, Stream);

    /// <summary>Returns the length of an array that the ranks add; it is the given length for one process.</summary>
    public long Padded(long length) => Ranks?.Padded(length) ?? length;

    /// <summary>Writes the widths of the decoder's sites and returns their number, at most eight.</summary>
    public unsafe int Sites(int* widths)
    {
        var sites = Spec.Sites ?? [Spec.OutputWidth];
        for (var s = 0; s < sites.Length; s++) widths[s] = sites[s];
        return sites.Length;
    }

    /// <summary>Returns the weight w_m of a nested loss.</summary>
    public float LevelWeight(int m) =>
        Spec.Nested switch
        {
            Nesting.Budgets budgets => budgets.Weights[m],
            Nesting.Prefixes { Mean: true } => 1f / Spec.Levels,
            _ => 1
        };

    /// <summary>Returns the number of blocks for a kernel that strides over its items: enough to fill a large device,
    /// but at most as many as the items need.</summary>
    public int Blocks(long items, int perBlock) => (int)Math.Clamp((items + perBlock - 1) / perBlock, 1, 2048);

    public void Launch<TParams>(string kernel, Launch shape, in TParams parameters) where TParams : unmanaged
    {
        if (!kernels.TryGetValue(kernel, out var function) || function.SharedBytes < shape.SharedBytes)
            kernels[kernel] = function = Device.GetKernel(kernel, shape.SharedBytes);
        Device.Launch(function, shape with { Programmatic = Device.Info.IsHopper && !LeftOut.Programmatic }, parameters,
            Stream);
    }
}
