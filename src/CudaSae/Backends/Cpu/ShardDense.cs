using CudaSae.Distributed;

namespace CudaSae.Backends.Cpu;

/// <summary>The forward half of the dense path on several ranks: the reconstructions and the penalties pass through the
/// ranks in the order of the latents, and the last rank sends them to all. A rank starts when the rank before it has
/// finished.</summary>
sealed unsafe class ShardDense : CpuPart
{
    readonly ShardPlan plan;
    readonly Residuals residuals;
    readonly int* rowCount;
    readonly float* reconstruction, gateReconstruction;     // [panels][lo, 48]
    readonly RowSums* panelSums;                            // [panels]
    readonly double* penalties;                             // [panels, 2]
    readonly ShardRowCounts counts;
    readonly bool nested;

    public ShardDense(CpuContext context, ShardPlan plan, Residuals residuals, float* reconstruction,
        float* gateReconstruction, RowSums* panelSums) : base(context)
    {
        (this.plan, this.residuals) = (plan, residuals);
        this.reconstruction = reconstruction;
        this.gateReconstruction = gateReconstruction;
        this.panelSums = panelSums;
        rowCount = context.Buffers.RowCount;
        nested = context.Nested;
        counts = new(context, plan);
        penalties = context.Arena.Take<double>("penalties of panels", 2L * panels);
    }

    long Bytes => (long)lanes * lo * sizeof(float);
    long PenaltyBytes => 2L * panels * sizeof(double);

    /// <summary>Takes the sums of the lower ranks.</summary>
    public void Begin()
    {
        if (plan.Rank == 0) return;
        plan.Collective.Receive(reconstruction, Bytes, plan.Rank - 1);
        if (gateReconstruction is not null) plan.Collective.Receive(gateReconstruction, Bytes, plan.Rank - 1);
        if (spec.Penalty is null) return;
        plan.Collective.Receive(penalties, PenaltyBytes, plan.Rank - 1);
        TakePenalties();
    }

    /// <summary>Passes the sums on to the next rank, then gives every rank those of all ranks.</summary>
    public void End()
    {
        for (var panel = 0; panel < panels; panel++)
            (penalties[2 * panel], penalties[2 * panel + 1]) = (panelSums[panel].Penalty, panelSums[panel].NextPenalty);
        if (!plan.IsLast) SendOn();
        if (nested) ShareLevels();
        else plan.Collective.Broadcast(reconstruction, Bytes, plan.Ranks - 1);
        if (gateReconstruction is not null) plan.Collective.Broadcast(gateReconstruction, Bytes, plan.Ranks - 1);
        if (spec.Penalty is not null)
        {
            plan.Collective.Broadcast(penalties, PenaltyBytes, plan.Ranks - 1);
            TakePenalties();
        }
        step.MaxRow = counts.Share(rowCount, int.MaxValue).Fullest;
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

    /// <summary>Gives every rank the residual of each level, from the rank that holds the level's last latent.</summary>
    void ShareLevels()
    {
        for (var m = 0; m < spec.Levels; m++)
            plan.Collective.Broadcast(residuals.Weighted(m, 0), (long)B * lo * sizeof(float),
                plan.RankOf(Math.Max(step.EndOf(m, spec.Latents) - 1, 0)));
    }
}
