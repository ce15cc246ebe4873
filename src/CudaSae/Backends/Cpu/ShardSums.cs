using CudaSae.Distributed;

namespace CudaSae.Backends.Cpu;

/// <summary>The sums over the latents of all ranks, in one of the orders of <see cref="SumOrder"/>.</summary>
abstract unsafe class ShardSums : CpuPart
{
    /// <summary>All levels of a code that is not nested, or the gate's.</summary>
    public const int AllLevels = -1;

    readonly Residuals residuals;

    protected ShardSums(CpuContext context, ShardPlan plan, Residuals residuals) : base(context)
    {
        (Plan, this.residuals) = (plan, residuals);
        Code = new(context);
    }

    public static ShardSums Of(CpuContext context, ShardPlan plan, Residuals residuals) => plan.Order switch
    {
        SumOrder.Chain => new ChainSums(context, plan, residuals),
        SumOrder.Ordered => new OrderedSums(context, plan, residuals),
        _ => new FixedSums(context, plan, residuals),
    };

    protected ShardPlan Plan { get; }
    protected CodeRows Code { get; }

    /// <summary>Computes a reconstruction of the batch on all ranks.</summary>
    /// <param name="sums">[B, lo] Receives the reconstruction.</param>
    /// <param name="factor">[B, k] What the decoder rows are multiplied by.</param>
    /// <param name="level">The level to add to the level before it, or
    /// <see cref="AllLevels"/>.</param>
    public abstract void Reconstruct(float* sums, float* factor, int level);

    /// <summary>Computes sums over the ranks, such as the penalties of rows.</summary>
    /// <param name="numbers">[count] Zeros; receives the sums.</param>
    /// <param name="addOwn">Adds the numbers of this rank.</param>
    public abstract void Add(double* numbers, long count, Action addOwn);

    /// <summary>Starts the reconstruction of a row: with b_dec, or with the level before.</summary>
    protected void Start(float* to, int b, int level)
    {
        if (level <= 0) residuals.StartRow(to, b);
        else new ReadOnlySpan<float>(residuals.Weighted(level - 1, b), lo).CopyTo(new(to, lo));
    }

    /// <summary>Lists this rank's entries of a level.</summary>
    /// <param name="entries">[k] Receives the entries.</param>
    /// <param name="scratch">[k].</param>
    protected int List(int b, int level, int* entries, int* scratch)
    {
        if (level == AllLevels) return Code.List(b, entries).Count;
        var count = Code.List(b, scratch).Count;
        return Code.ListLevel(level, scratch, count, entries);
    }
}
