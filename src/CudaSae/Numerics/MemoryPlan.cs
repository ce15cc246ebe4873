namespace CudaSae.Numerics;

/// <summary>What a run will allocate, by name, known before anything is allocated.</summary>
public sealed class MemoryPlan
{
    readonly List<(string Name, long Bytes)> parts = [];

    public IReadOnlyList<(string Name, long Bytes)> Parts => parts;
    public long TotalBytes { get; private set; }

    public void Add(string name, long bytes)
    {
        parts.Add((name, bytes));
        TotalBytes += bytes;
    }

    /// <summary>A copy of this plan with one part more; without it where the part has no bytes.</summary>
    public MemoryPlan With(string name, long bytes)
    {
        var plan = new MemoryPlan();
        foreach (var part in parts) plan.Add(part.Name, part.Bytes);
        if (bytes > 0) plan.Add(name, bytes);
        return plan;
    }

    /// <summary>Refuses a plan that does not fit.</summary>
    /// <exception cref="SaeException">Says what is needed, what is free and which parts are largest.</exception>
    public void Require(long freeBytes, string where)
    {
        if (TotalBytes <= freeBytes) return;
        var largest =
            string.Join(", ", parts.OrderByDescending(p => p.Bytes).Take(3).Select(p => $"{p.Name} {Format(p.Bytes)}"));
        throw new SaeException($"this run needs {Format(TotalBytes)} on {where}, {Format(freeBytes)} are free "
            + $"(largest: {largest}); "
            + "use fewer latents, smaller batches, --storage bfloat16, or --lazy with --beta1 0",
                kind: SaeErrorKind.Memory);
    }

    /// <summary>Bytes in binary units, such as 1.25 GiB.</summary>
    public static string Format(long bytes) => bytes switch
    {
        >= 1L << 30 => $"{bytes / (double)(1L << 30):0.00} GiB",
        >= 1L << 20 => $"{bytes / (double)(1L << 20):0.0} MiB",
        >= 1L << 10 => $"{bytes / (double)(1L << 10):0.0} KiB",
        _ => $"{bytes} B",
    };
}
