using System.Collections.Concurrent;

namespace CudaSae.Native;

/// <summary>What callers hold instead of objects: numbers from a table. A number is never given twice, so one that is
/// stale, made up or of another kind is noticed.</summary>
static class Handles
{
    sealed class Entry(IDisposable target)
    {
        public readonly IDisposable Target = target;
        public int Busy;
    }

    static readonly ConcurrentDictionary<nint, Entry> open = new();
    static long last = 0x5ae0000;       // far from the small numbers that a caller may hold by mistake

    public static nint Add(IDisposable target)
    {
        var handle = (nint)Interlocked.Increment(ref last);
        open[handle] = new(target);
        return handle;
    }

    /// <summary>The object for the length of one call, in which no other thread may use it.</summary>
    public static Lease<T> Use<T>(nint handle) where T : class, IDisposable, INamed
    {
        var entry = Find<T>(handle);
        return new((T)entry.Target, entry);
    }

    /// <summary>Disposes of the object; its handle is stale from now on.</summary>
    public static void Free<T>(nint handle) where T : class, IDisposable, INamed
    {
        var entry = Find<T>(handle);        // stays busy for a caller that found it just before
        open.TryRemove(handle, out _);
        entry.Target.Dispose();
    }

    static Entry Find<T>(nint handle) where T : class, IDisposable, INamed
    {
        if (handle == 0) throw new SaeException($"the handle is null; {T.Name} is needed");
        if (!open.TryGetValue(handle, out var entry))
            throw new SaeException($"the handle stands for nothing; {T.Name} is needed, and this one was freed or "
                + "never made");
        if (entry.Target is not T)
            throw new SaeException("the handle stands for "
                + $"{(entry.Target is OpenSae ? OpenSae.Name : OpenTrainer.Name)}; {T.Name} is needed");
        if (Interlocked.CompareExchange(ref entry.Busy, 1, 0) != 0)
            throw new SaeException($"another thread is using this handle; {T.Name} is for one thread at a time");
        return entry;
    }

    public readonly ref struct Lease<T>(T target, object entry) where T : class
    {
        public T Target { get; } = target;

        public void Dispose() => Volatile.Write(ref ((Entry)entry).Busy, 0);
    }
}

/// <summary>What error messages call a kind of object.</summary>
interface INamed
{
    static abstract string Name { get; }
}
