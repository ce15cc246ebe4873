using CudaSae.Model;

namespace CudaSae.Backends.Cpu;

/// <summary>BatchTopK: the B·k largest positive values of all rows' candidates. At inference it keeps the values above
/// the running threshold.</summary>
sealed unsafe class BatchPhase : CpuPart
{
    readonly Selection.BatchTopK selection;
    readonly ShardSelection? ranks;
    readonly float* value;          // [B, k] of all ranks
    readonly ulong* keys;           // [B·k]
    float smallestKept;

    /// <param name="ranks">Null for one process.</param>
    public BatchPhase(CpuContext context, Selection.BatchTopK selection, ShardSelection? ranks) : base(context)
    {
        (this.selection, this.ranks) = (selection, ranks);
        value = ranks is null ? context.Buffers.Value : ranks.BatchValues;
        Threshold = context.Arena.Take<float>("batch threshold", 1);
        keys = context.Arena.Take<ulong>("batch keys", (long)B * k);
    }

    /// <summary>[1] the running threshold.</summary>
    public float* Threshold { get; }

    /// <summary>Sets the values outside the selection to 0. Of equal values the earlier entry is kept.</summary>
    public void Run()
    {
        Select();
        ranks?.TakeBatch();
    }

    void Select()
    {
        long wanted = (long)B * selection.K, count = 0;
        for (var b = 0; b < B; b++)
        {
            if (value[b * k + Smallest(b)] > 0 && k < spec.Latents) step.Sums.Overflows++;
            for (var j = 0; j < k; j++)
            {
                var entry = b * k + j;
                if (!(value[entry] > 0)) continue;
                if (step.Scalars.Inference == 1 && !(value[entry] > *Threshold)) value[entry] = 0;
                else keys[count++] = CandidateKey.Of(value[entry], entry);
            }
        }
        if (step.Scalars.Inference == 1) return;
        KeepFrom(count > wanted ? Largest.Quickselect(keys, (int)count, (int)(count - wanted)) : 0);
    }

    void KeepFrom(ulong least)
    {
        smallestKept = float.PositiveInfinity;
        for (var entry = 0; entry < B * k; entry++)
        {
            if (!(value[entry] > 0)) continue;
            if (CandidateKey.Of(value[entry], entry) < least) value[entry] = 0;
            else smallestKept = MathF.Min(smallestKept, value[entry]);
        }
    }

    int Smallest(int b)
    {
        var at = 0;
        for (var j = 1; j < k; j++)
            if (value[b * k + j] < value[b * k + at]) at = j;
        return at;
    }

    /// <summary>Moves the threshold, which is the running mean of the smallest value kept. A batch without positive
    /// values leaves it unchanged.</summary>
    public void MoveThreshold()
    {
        if (step.Scalars.Inference == 0 && !float.IsInfinity(smallestKept))
            *Threshold = *Threshold == 0 ? smallestKept
                : selection.ThresholdDecay * *Threshold + (1 - selection.ThresholdDecay) * smallestKept;
        step.Sums.Threshold = *Threshold;
    }
}
