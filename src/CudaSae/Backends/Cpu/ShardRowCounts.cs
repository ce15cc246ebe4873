using CudaSae.Distributed;

namespace CudaSae.Backends.Cpu;

/// <summary>The entries of each row on all ranks.</summary>
sealed unsafe class ShardRowCounts(CpuContext context, ShardPlan plan) : CpuPart(context)
{
    readonly long[] counts = new long[context.Rows];

    /// <summary>Adds the ranks' counts of each row.</summary>
    /// <param name="own">[B] Entries of this rank.</param>
    /// <param name="capacity">Entries that a row has room for.</param>
    /// <returns>Entries of the fullest row, at most the capacity, and the number of rows without room.</returns>
    public (int Fullest, int Overflows) Share(int* own, int capacity)
    {
        for (var b = 0; b < B; b++) counts[b] = own[b];
        plan.Collective.Sum(counts);
        var (fullest, overflows) = (0L, 0);
        foreach (var count in counts)
        {
            fullest = Math.Max(fullest, Math.Min(count, capacity));
            if (count > capacity) overflows++;
        }
        return ((int)fullest, overflows);
    }
}
