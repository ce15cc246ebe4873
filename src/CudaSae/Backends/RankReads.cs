using CudaSae.Distributed;
using CudaSae.Model;

namespace CudaSae.Backends;

/// <summary>Results of a step on several ranks, joined on every rank. All ranks call the same method at the same
/// point.</summary>
static class RankReads
{
    /// <summary>Joins the entries of all ranks that fire; they are in ascending order of the latent.</summary>
    /// <param name="index">[B, k] This rank's entries, with the numbers of all latents.</param>
    /// <param name="value">[B, k] Their values, 0 where an entry does not fire.</param>
    /// <param name="into">Receives the code, with index −1 behind the last entry of a row.</param>
    public static void Join(ShardPlan shard, int[] index, float[] value, SparseCode into)
    {
        var k = into.Active;
        var (otherIndex, otherValue) = (new int[index.Length], new float[value.Length]);
        var filled = new int[into.Rows];
        into.Index.AsSpan().Fill(-1);
        into.Value.AsSpan().Clear();
        for (var rank = 0; rank < shard.Ranks; rank++)
        {
            var (indices, values) = rank == shard.Rank ? (index, value) : (otherIndex, otherValue);
            shard.Collective.Broadcast(indices.AsSpan(), rank);
            shard.Collective.Broadcast(values.AsSpan(), rank);
            for (var entry = 0; entry < indices.Length; entry++)
            {
                if (values[entry] == 0) continue;
                var to = entry / k * k + filled[entry / k]++;
                (into.Index[to], into.Value[to]) = (indices[entry], values[entry]);
            }
        }
    }

    /// <summary>Joins one number of each latent.</summary>
    /// <param name="numbers">[n] of all ranks; those of this rank's latents are set.</param>
    public static void Join(ShardPlan shard, Span<int> numbers) =>
        shard.Collective.AllGather(numbers, shard.LatentStarts());
}
