using CudaSae.Distributed;
using CudaSae.Model;

namespace CudaSae.Backends.Kernels;

/// <summary>What the kernels do not train on several ranks.</summary>
static class RankRules
{
    /// <exception cref="SaeException">The order of sums, or a setting, is for one process.</exception>
    public static void Check(SaeSpec spec, TrainConfig config, ShardPlan shard)
    {
        var ranks = $"an SAE on {shard.Ranks} ranks";
        if (shard.Order != SumOrder.Ordered)
            throw new SaeException($"kernels on {shard.Ranks} ranks add in the order of the ranks, not as "
                + $"{shard.Order}: leave the order of sums out, or choose Backend = Cpu");
        if (config.HotDensity > 0)
            throw new SaeException($"HotDensity = {config.HotDensity}: the list of hot latents is for one process, "
                + $"and this is {ranks}; set it to 0");
        if (config.ValidateEvery > 0)
            throw new SaeException($"the dense check is for one process, and this is {ranks}; leave ValidateEvery = 0 "
                + "(cudasae verify checks ranks)");
        CheckChunks(spec, config, shard);
    }

    /// <exception cref="SaeException">A pool is requested, and ranks that read shares of a batch have none.</exception>
    public static void CheckPool(TrainConfig config, ShardPlan? shard)
    {
        if (shard is { SharedReading: true } && config.DevicePool > 0)
            throw new SaeException($"DevicePool = {config.DevicePool}: ranks that each read a share of a batch have no "
                + "pool of rows; leave DevicePool out, or let each rank read all rows");
    }

    static void CheckChunks(SaeSpec spec, TrainConfig config, ShardPlan shard)
    {
        if (shard.RowChunks == 1) return;
        var refused = $"{shard.RowChunks} chunks of rows: ";
        if (shard.RowChunks < 1 || shard.RowChunks > config.BatchRows)
            throw new SaeException($"{refused}a batch of {config.BatchRows} rows has 1 to {config.BatchRows} chunks");
        if (spec.Selection is not (Selection.TopK or Selection.AbsTopK))
            throw new SaeException($"{refused}a row of {spec.Selection.GetType().Name} is not selected among the ranks "
                + "by itself, and chunks are for TopK and AbsTopK; use 1 chunk");
        if (config.Screening != ScreeningKind.None)
            throw new SaeException($"{refused}8-bit screening encodes all rows at once; use 1 chunk, or "
                + "Screening = None");
    }
}
