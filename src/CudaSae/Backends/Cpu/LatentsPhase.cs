
namespace CudaSae.Backends.Cpu;

/// <summary>latents: which latents fired, which are dead, and the window of dead latents for the next step.</summary>
sealed unsafe class LatentsPhase : CpuPart
{
    readonly DeadWindow window;
    readonly DensePhase? dense;
    readonly int* index, rowCount, lastFired;
    readonly float* value;
    readonly int* firings;              // [n] rows of the last step on which a latent fired

    /// <param name="dense">Null where the selection has no dense path.</param>
    public LatentsPhase(CpuContext context, DeadWindow window, DensePhase? dense) : base(context)
    {
        var buffers = context.Buffers;
        (this.window, this.dense) = (window, dense);
        index = buffers.Index;
        rowCount = buffers.RowCount;
        lastFired = buffers.LastFired;
        value = buffers.Value;
        firings = context.Arena.Take<int>("firings", n);
    }

    public void Run()
    {
        CountFirings();
        for (var f = 0; f < n; f++)
            if (firings[f] > 0) lastFired[f] = (int)step.Scalars.Step;
        window.Find(step.Scalars.Step, step.Scalars.DeadAfterSteps);
        step.Sums.Dead = window.Dead;
    }

    void CountFirings()
    {
        new Span<int>(firings, n).Clear();
        if (step.Dense)
        {
            dense!.AddFirings(firings);
            return;
        }
        for (var b = 0; b < B; b++)
            for (var entry = b * k; entry < b * k + rowCount[b]; entry++)
                if (value[entry] != 0) firings[index[entry]]++;
    }

    /// <summary>Copies out on how many rows of the last step each latent of all ranks fired.</summary>
    public void ReadFirings(Span<int> into)
    {
        CountFirings();
        new ReadOnlySpan<int>(firings, n).CopyTo(into[firstLatent..]);
        if (shard is not null) RankReads.Join(shard, into);
    }
}
