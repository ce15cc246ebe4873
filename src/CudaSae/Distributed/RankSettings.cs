namespace CudaSae.Distributed;

/// <summary>How the ranks of a run work together. Only <see cref="Order"/> changes results, and only it is recorded; a
/// resumed run takes the others again.</summary>
/// <param name="Order">The order of sums over ranks; null for that of the run, or of its backend.</param>
/// <param name="SharedReading">See <see cref="ShardPlan.SharedReading"/>.</param>
/// <param name="RowChunks">See <see cref="ShardPlan.RowChunks"/>.</param>
sealed record RankSettings(SumOrder? Order = null, bool SharedReading = false, int RowChunks = 1)
{
    public static RankSettings Default { get; } = new();
}
