using CudaSae.Distributed;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>The forward half of the dense path on several ranks. As a chain, the reconstructions and the penalties pass
/// through the ranks in the order of the latents, and the last rank sends them to all; a rank starts when the rank
/// before it has finished. In the order of the ranks, every rank adds its own latents at once.</summary>
sealed unsafe class ShardDense : CpuPart
{
    readonly ShardPlan plan;
    readonly Residuals residuals;
    readonly int* rowCount;
    readonly float* reconstruction, gateReconstruction;     // [panels][lo, 48]
    readonly RowSums* panelSums;                            // [panels]
    readonly double* penalties;                             // [panels, 2]
    readonly float* rowScratch;                             // [workers, ld + lo]
    readonly ShardRowCounts counts;
    readonly OrderedSum? ordered;                           // null for a chain
    readonly float* scratch;
    readonly double* penaltyScratch;
    readonly bool nested;
    readonly Action<int, int> levelPart;
    int level;                                              // in work

    public ShardDense(CpuContext context, ShardPlan plan, Residuals residuals, float* reconstruction,
        float* gateReconstruction, RowSums* panelSums) : base(context)
    {
        (this.plan, this.residuals) = (plan, residuals);
        this.reconstruction = reconstruction;
        this.gateReconstruction = gateReconstruction;
        this.panelSums = panelSums;
        rowCount = context.Buffers.RowCount;
        rowScratch = context.Buffers.RowScratch;
        nested = context.Nested;
        counts = new(context, plan);
        penalties = context.Arena.Take<double>("penalties of panels", 2L * panels);
        levelPart = FinishLevel;
        if (plan.Order != SumOrder.Ordered) return;
        ordered = new(plan);
        scratch = context.Arena.Take<float>("partial dense sums", OrderedSum.ScratchLength(plan, (long)lanes * lo));
        penaltyScratch = context.Arena.Take<double>("partial dense penalties",
            OrderedSum.ScratchLength(plan, 2L * panels));
    }

    long Bytes => (long)lanes * lo * sizeof(float);
    long PenaltyBytes => 2L * panels * sizeof(double);

    /// <summary>Whether this rank takes the sum of every level over its own latents.</summary>
    public bool IsPartial => ordered is not null;

    /// <summary>Starts with the sums of the lower ranks, as a chain; otherwise with zeros.</summary>
    public void Begin()
    {
        if (IsPartial || plan.Rank == 0) return;
        plan.Collective.Receive(reconstruction, Bytes, plan.Rank - 1);
        if (gateReconstruction is not null) plan.Collective.Receive(gateReconstruction, Bytes, plan.Rank - 1);
        if (spec.Penalty is null) return;
        plan.Collective.Receive(penalties, PenaltyBytes, plan.Rank - 1);
        TakePenalties();
    }

    /// <summary>Gives every rank the sums over all ranks.</summary>
    public void End()
    {
        for (var panel = 0; panel < panels; panel++)
            (penalties[2 * panel], penalties[2 * panel + 1]) = (panelSums[panel].Penalty, panelSums[panel].NextPenalty);
        if (ordered is not null) AddInOrder(ordered);
        else EndChain();
        if (spec.Penalty is not null) TakePenalties();
        step.MaxRow = counts.Share(rowCount, int.MaxValue).Fullest;
    }

    void AddInOrder(OrderedSum sum)
    {
        if (!nested) sum.Run(reconstruction, (long)lanes * lo, scratch);
        for (level = 0; nested && level < spec.Levels; level++)
        {
            sum.Run(residuals.Weighted(level, 0), (long)B * lo, scratch);
            workers.Run(rowBlocks, levelPart);
        }
        if (gateReconstruction is not null) sum.Run(gateReconstruction, (long)lanes * lo, scratch);
        if (spec.Penalty is not null) sum.Run(penalties, 2L * panels, penaltyScratch);
    }

    /// <summary>The residual of a level from its sum.</summary>
    void FinishLevel(int block, int worker)
    {
        var start = rowScratch + (long)worker * (ld + lo);
        for (var b = block * RowBlock; b < Math.Min((block + 1) * RowBlock, B); b++)
        {
            residuals.StartRow(start, b);
            residuals.Subtract(start, b);
            Rows.Add(residuals.Weighted(level, b), 1, start, lo);
        }
    }

    void EndChain()
    {
        if (!plan.IsLast) SendOn();
        if (nested) ShareLevels();
        else plan.Collective.Broadcast(reconstruction, Bytes, plan.Ranks - 1);
        if (gateReconstruction is not null) plan.Collective.Broadcast(gateReconstruction, Bytes, plan.Ranks - 1);
        if (spec.Penalty is not null) plan.Collective.Broadcast(penalties, PenaltyBytes, plan.Ranks - 1);
    }

    void SendOn()
    {
        plan.Collective.Send(reconstruction, Bytes, plan.Rank + 1);
        if (gateReconstruction is not null) plan.Collective.Send(gateReconstruction, Bytes, plan.Rank + 1);
        if (spec.Penalty is not null) plan.Collective.Send(penalties, PenaltyBytes, plan.Rank + 1);
    }

    void TakePenalties()
    {
        for (var panel = 0; panel < panels; panel++)
            (panelSums[panel].Penalty, panelSums[panel].NextPenalty) =
                (penalties[2 * panel], penalties[2 * panel + 1]);
    }

    /// <summary>Gives every rank the residual of each level, from the rank that holds the level's last
    /// latent.</summary>
    void ShareLevels()
    {
        for (var m = 0; m < spec.Levels; m++)
            plan.Collective.Broadcast(residuals.Weighted(m, 0), (long)B * lo * sizeof(float),
                plan.RankOf(Math.Max(step.EndOf(m, spec.Latents) - 1, 0)));
    }
}
