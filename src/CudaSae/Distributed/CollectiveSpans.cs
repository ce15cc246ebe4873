using System.Runtime.InteropServices;

namespace CudaSae.Distributed;

/// <summary>The operations of <see cref="ICollective"/> on managed data.</summary>
static unsafe class CollectiveSpans
{
    /// <inheritdoc cref="ICollective.AllGather"/>
    /// <param name="starts">[Size + 1] numbers of elements.</param>
    public static void AllGather<T>(this ICollective collective, Span<T> data, ReadOnlySpan<long> starts)
        where T : unmanaged
    {
        var offsets = new long[starts.Length];
        for (var p = 0; p < offsets.Length; p++) offsets[p] = starts[p] * sizeof(T);
        fixed (T* at = data) collective.AllGather(at, offsets);
    }

    /// <summary>Returns one number of each rank, in the order of the ranks.</summary>
    public static long[] AllGather(this ICollective collective, long own)
    {
        var all = new long[collective.Size];
        all[collective.Rank] = own;
        collective.AllGather(all.AsSpan(), [.. Enumerable.Range(0, all.Length + 1).Select(p => (long)p)]);
        return all;
    }

    /// <inheritdoc cref="ICollective.Broadcast"/>
    public static void Broadcast<T>(this ICollective collective, Span<T> data, int root) where T : unmanaged
    {
        var bytes = MemoryMarshal.AsBytes(data);
        fixed (byte* at = bytes) collective.Broadcast(at, bytes.Length, root);
    }

    /// <summary>Copies a text of one rank to all others. Other ranks may give null.</summary>
    public static string Broadcast(this ICollective collective, string? text, int root)
    {
        Span<long> length = [text?.Length ?? 0];
        collective.Broadcast(length, root);
        var characters = new char[length[0]];
        if (collective.Rank == root) text!.CopyTo(characters);
        collective.Broadcast(characters.AsSpan(), root);
        return new(characters);
    }

    /// <summary>Returns the sum of a number over the ranks.</summary>
    public static long Sum(this ICollective collective, long own)
    {
        Span<long> number = [own];
        collective.Sum(number);
        return number[0];
    }

    /// <summary>Returns the maximum of a number over the ranks.</summary>
    public static long Max(this ICollective collective, long own)
    {
        Span<long> number = [own];
        collective.Max(number);
        return number[0];
    }
}
