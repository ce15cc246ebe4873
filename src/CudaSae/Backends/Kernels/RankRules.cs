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
    }
}
