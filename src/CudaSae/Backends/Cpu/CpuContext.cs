using CudaSae.Distributed;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>What every phase needs: the spec, the shapes, the threads, the memory and the step in progress. A phase
/// takes its scratch from <see cref="Arena"/> in its constructor and works in its Run method. With a counting arena the
/// same constructors only count memory, and no phase runs.</summary>
sealed unsafe class CpuContext : IDisposable
{
    /// <param name="threads">Threads of a step; 0 for one a core.</param>
    /// <param name="counting">Counts memory without taking it, and starts no threads.</param>
    /// <param name="shard">The share of this rank; null for all latents.</param>
    public CpuContext(SaeSpec spec, TrainConfig config, InputType inputType, int threads, bool counting,
        ShardPlan? shard)
    {
        (Spec, Config, InputType, Shard) = (spec, config, inputType, shard);
        Workers = new(threads > 0 ? threads : Environment.ProcessorCount, start: !counting);
        Arena = new(counting);
        Step = new(spec.Levels);
        Math = new(spec);
        Buffers = new(this);
        Products = new(this);
    }

    public SaeSpec Spec { get; }
    public TrainConfig Config { get; }
    public InputType InputType { get; }

    /// <summary>The share of this rank; null for all latents.</summary>
    public ShardPlan? Shard { get; }

    public Workers Workers { get; }
    public HostArena Arena { get; }
    public CpuStep Step { get; }
    public LatentMath Math { get; }
    public CpuBuffers Buffers { get; }
    public DenseProducts Products { get; }

    public int Rows => Config.BatchRows;                                            // B
    public int Width => Spec.InputWidth;                                            // d
    public int OutWidth => Spec.OutputWidth;                                        // D
    public int Latents => Shard?.Count ?? Spec.Latents;                             // n of this rank
    public int First => Shard?.First ?? 0;                                          // the first of them
    public int Active => Spec.Active;                                               // k
    public int InStride => (Width + 15) & ~15;                                      // ld
    public int OutStride => (OutWidth + 15) & ~15;                                  // lo
    public int Panels => (Rows + Gemm.TileColumns - 1) / Gemm.TileColumns;

    public bool Gated => Spec.Selection is Selection.Gated;

    /// <summary>Whether the gate's own reconstruction trains the decoder.</summary>
    public bool LiveGate => Spec.Selection is Selection.Gated { LiveAuxDecoder: true };

    /// <summary>ReLU, JumpReLU and Gated, which also have the dense training path.</summary>
    public bool Thresholded => Spec.IsThresholded;

    /// <summary>Whether an entry has a pre-activation beside its value, because the value does not determine
    /// it.</summary>
    public bool Paired => Gated || Spec.Selection is Selection.JumpRelu;

    /// <summary>Whether an entry's gradient is that of its value alone: TopK and its kin without a penalty.</summary>
    public bool Plain => !Thresholded && Spec.Penalty is null;

    /// <summary>Whether the residuals of the loss differ from e = x̂ − y: nested losses.</summary>
    public bool Nested => Spec.Levels > 1 || LevelWeight(0) != 1;

    public bool Skips => Spec.Transcoder is { Skip: true };

    /// <summary>w_m of nested losses.</summary>
    public float LevelWeight(int m) => Spec.Nested switch
    {
        Nesting.Budgets budgets => budgets.Weights[m],
        Nesting.Prefixes { Mean: true } => 1f / Spec.Levels,
        _ => 1,
    };

    public void Dispose()
    {
        Workers.Dispose();
        Arena.Dispose();
    }
}
