namespace CudaSae.Backends.Cpu;

/// <summary>backward: for each latent the entries of the code that hold it, rows ascending, by counting sort. Gradients
/// are formed where they are used, one latent at a time, and never stored.</summary>
sealed unsafe class BackwardPhase : CpuPart
{
    readonly int* index, rowCount;
    readonly float* value;
    readonly bool paired;

    public BackwardPhase(CpuContext context) : base(context)
    {
        var (arena, buffers) = (context.Arena, context.Buffers);
        index = buffers.Index;
        rowCount = buffers.RowCount;
        value = buffers.Value;
        paired = context.Paired;
        Start = arena.Take<int>("run starts", n + 1L);
        Entry = arena.Take<int>("runs", (long)B * k);
    }

    public int* Start { get; }          // [n + 1]
    public int* Entry { get; }          // [B·k] entries b·k + j, by latent

    public void Run()
    {
        new Span<int>(Start, n + 1).Clear();
        if (!step.Dense) Sort(Start, Entry);
    }

    void Sort(int* start, int* sorted)
    {
        for (var b = 0; b < B; b++)
            for (var entry = b * k; entry < b * k + rowCount[b]; entry++)
                if (value[entry] != 0 || paired) start[index[entry] + 1]++;
        for (var f = 0; f < n; f++) start[f + 1] += start[f];
        for (var b = 0; b < B; b++)
            for (var entry = b * k; entry < b * k + rowCount[b]; entry++)
                if (value[entry] != 0 || paired) sorted[start[index[entry]]++] = entry;
        for (var f = n; f > 0; f--) start[f] = start[f - 1];
        start[0] = 0;
    }
}
