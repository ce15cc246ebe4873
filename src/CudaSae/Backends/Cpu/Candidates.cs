using CudaSae.Model;

namespace CudaSae.Backends.Cpu;

/// <summary>The candidates of each row for its code: keys in ascending order of the latent.</summary>
sealed unsafe class Candidates
{
    public Candidates(CpuContext context)
    {
        var (arena, k) = (context.Arena, context.Active);
        Capacity = context.Thresholded || context.Spec.Selection is Selection.GroupMax ? k
            : Math.Min(context.Latents, k + Math.Max(64, k / 2));
        Keys = arena.Take<ulong>("candidates", (long)context.Rows * Capacity);
        Count = arena.Take<int>("candidate counts", context.Rows);
        Overflows = arena.Take<int>("fallback counts", context.Workers.Count);
    }

    /// <summary>Candidates that a row holds.</summary>
    public int Capacity { get; }

    public ulong* Keys { get; }             // [B, Capacity]
    public int* Count { get; }              // [B]
    public int* Overflows { get; }          // [workers] rows that took the exact fallback, or that had no room
}
