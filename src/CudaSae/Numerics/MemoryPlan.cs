namespace CudaSae.Numerics;

/// <summary>The memory that a run will allocate, by name, computed before anything is allocated.</summary>
public sealed class MemoryPlan
{
    readonly List<(string Name, long Bytes)> parts = [];

    /// <summary>The parts in the order in which they were added.</summary>
    public IReadOnlyList<(string Name, long Bytes)> Parts => parts;
    /// <summary>Sum of all parts, in bytes.</summary>
    public long TotalBytes { get; private set; }

    /// <summary>Adds a part.</summary>
    /// <param name="name">Name of the part in messages.</param>
    /// <param name="bytes">Its size.</param>
    public void Add(string name, long bytes)
    {
        parts.Add((name, bytes));
        TotalBytes += bytes;
    }

    /// <summary>Returns a copy of this plan with one more part; the part is omitted if it has no bytes.</summary>
    /// <param name="name">Name of the part in messages.</param>
    /// <param name="bytes">Its size.</param>
    public MemoryPlan With(string name, long bytes)
    {
        var plan = new MemoryPlan();
        foreach (var part in parts) plan.Add(part.Name, part.Bytes);
        if (bytes > 0) plan.Add(name, bytes);
        return plan;
    }

    /// <summary>Refuses a plan that does not fit.</summary>
    /// <param name="freeBytes">Memory that is available.</param>
    /// <param name="where">The place of the memory, as the message names it.</param>
    /// <exception cref="SaeException">The plan exceeds <paramref name="freeBytes"/>; the message states the need, the
    /// free memory and the largest parts.</exception>
    public void Require(long freeBytes, string where)
    {
        if (TotalBytes <= freeBytes) return;
        var largest =
            string.Join(", ", parts.OrderByDescending(p => p.Bytes).Take(3).Select(p => $"{p.Name} {Format(p.Bytes)}"));
        throw new SaeException($"this run needs {Format(TotalBytes)} on {where}, {Format(freeBytes)} are free "
            + $"(largest: {largest}); "
            + "use fewer latents, smaller batches, Storage = BFloat16, or Lazy = True with Beta1 = 0",
                kind: SaeErrorKind.Memory);
    }

    /// <summary>Formats a number of bytes in binary units, such as 1.25 GiB.</summary>
    /// <param name="bytes">The number.</param>
    public static string Format(long bytes) => bytes switch
    {
        >= 1L << 30 => $"{bytes / (double)(1L << 30):0.00} GiB",
        >= 1L << 20 => $"{bytes / (double)(1L << 20):0.0} MiB",
        >= 1L << 10 => $"{bytes / (double)(1L << 10):0.0} KiB",
        _ => $"{bytes} B",
    };
}
