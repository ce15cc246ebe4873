using System.Numerics;
using System.Runtime.Intrinsics;
using CudaSae.Model;
using CudaSae.Numerics;

namespace CudaSae.Backends.Cpu;

/// <summary>select: what is not simply the k largest of a row, by latent, by group, over the batch, and the parts of a
/// code that nested losses look at.</summary>
sealed unsafe partial class CpuBackend
{
    ulong* batchKeys;       // [B·k] BatchTopK

    /// <summary>ReLU, JumpReLU and Gated: z above the latent's own limit, near a threshold included.</summary>
    void FilterByLatent(float* tile, int latent, int count, int row, int worker)
    {
        for (var r = 0; r < count; r++, tile += Gemm.TileColumns)
        {
            var low = Vector512.Create(latents[latent + r].Floor);
            for (var lane = 0; lane < Gemm.TileColumns; lane += 16)
            {
                var above = Vector512.GreaterThan(Vector512.Load(tile + lane), low).ExtractMostSignificantBits();
                for (; above != 0; above &= above - 1)
                {
                    var at = lane + BitOperations.TrailingZeroCount(above);
                    var b = row + at;
                    if (b >= B) break;
                    if (candidateCount[b] < capacity)
                        candidates[(long)b * capacity + candidateCount[b]] = Key(tile[at], latent + r);
                    else if (candidateCount[b] == capacity) overflow[worker]++;
                    candidateCount[b]++;
                }
            }
        }
    }

    /// <summary>GroupMax: strictly larger, so that the lower of equal ones stays.</summary>
    void FilterByGroup(float* tile, int latent, int count, int panel)
    {
        var size = n / k;
        for (var r = 0; r < count; r++, tile += Gemm.TileColumns)
        {
            var group = (latent + r) / size;
            var best = groupBest + ((long)panel * k + group) * Gemm.TileColumns;
            for (var lane = 0; lane < Gemm.TileColumns; lane += 16)
            {
                var values = Vector512.Load(tile + lane);
                var above = Vector512.GreaterThan(values, Vector512.Load(best + lane));
                var bits = above.ExtractMostSignificantBits();
                if (bits == 0) continue;
                Vector512.ConditionalSelect(above, values, Vector512.Load(best + lane)).Store(best + lane);
                for (; bits != 0; bits &= bits - 1)
                {
                    var b = panel * Gemm.TileColumns + lane + BitOperations.TrailingZeroCount(bits);
                    if (b < B)
                        candidates[(long)b * capacity + group] = Key(values[b % Gemm.TileColumns - lane], latent + r);
                }
            }
        }
    }

    /// <summary>A group without a number above −∞ gives its first latent.</summary>
    void TakeGroups(int b)
    {
        candidateCount[b] = k;
        for (var g = 0; g < k; g++)
            if (groupBest[((long)(b / Gemm.TileColumns) * k + g) * Gemm.TileColumns
                + b % Gemm.TileColumns] == float.NegativeInfinity)
                candidates[(long)b * capacity + g] = Key(float.NegativeInfinity, g * (n / k));
    }

    /// <summary>The B·k largest positive values of all rows' candidates; of equal ones the earlier entry. At inference
    /// what exceeds the running threshold.</summary>
    void SelectBatch(Selection.BatchTopK batch)
    {
        long want = (long)B * batch.K, count = 0;
        for (var b = 0; b < B; b++)
        {
            if (value[b * k + Smallest(b)] > 0 && k < n) sums.Overflows++;
            for (var j = 0; j < k; j++)
            {
                var entry = b * k + j;
                if (!(value[entry] > 0)) continue;
                if (scalars.Inference == 1 && !(value[entry] > *batchThreshold)) value[entry] = 0;
                else batchKeys[count++] = Key(value[entry], entry);
            }
        }
        if (scalars.Inference == 1) return;
        var least = count > want ? Quickselect(batchKeys, (int)count, (int)(count - want)) : 0;
        smallestKept = float.PositiveInfinity;
        for (var entry = 0; entry < B * k; entry++)
        {
            if (!(value[entry] > 0)) continue;
            if (Key(value[entry], entry) < least) value[entry] = 0;
            else smallestKept = MathF.Min(smallestKept, value[entry]);
        }
    }

    float smallestKept;

    int Smallest(int b)
    {
        var at = 0;
        for (var j = 1; j < k; j++)
            if (value[b * k + j] < value[b * k + at]) at = j;
        return at;
    }

    /// <summary>The running mean of the smallest value kept; a batch without positive values leaves it alone.</summary>
    void MoveBatchThreshold(Selection.BatchTopK batch)
    {
        if (scalars.Inference == 0 && !float.IsInfinity(smallestKept))
            *batchThreshold = *batchThreshold == 0 ? smallestKept
                : batch.ThresholdDecay * *batchThreshold + (1 - batch.ThresholdDecay) * smallestKept;
        sums.Threshold = *batchThreshold;
    }

    /// <summary>The first reconstruction that holds each entry: by its latent's place among the prefixes, or by its
    /// rank in the row.</summary>
    void SetLevels(int b, ulong* keys, int count)
    {
        for (var j = 0; j < count; j++)
        {
            var m = 0;
            if (Spec.Nested is Nesting.Budgets budgets)
            {
                var rank = 0;
                for (var other = 0; other < count; other++)
                    if (keys[other] > keys[j]) rank++;
                while (rank >= budgets.Ks[m]) m++;
            }
            else m = LevelOf(index[b * k + j]);
            level[b * k + j] = (byte)m;
        }
    }

    /// <summary>The first of the step's prefixes that holds a latent.</summary>
    int LevelOf(int latent)
    {
        var m = 0;
        while (m < levels - 1 && latent >= scalars.Prefix[m]) m++;
        return m;
    }
}
