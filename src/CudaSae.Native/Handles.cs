using System.Collections.Concurrent;

namespace CudaSae.Native;

/// <summary>Maps the handles of callers to objects. A handle is a number that is never used twice, so that a stale or
/// invalid handle, or one of another kind, is detected.</summary>
static class Handles
{
    sealed class Entry(IDisposable target)
    {
        public readonly IDisposable Target = target;
        public int Busy;
    }

    static readonly ConcurrentDictionary<nint, Entry> open = new();
    static long last = 0x5ae0000;       // far from the small numbers that a caller may pass by mistake

    public static nint Add(IDisposable target)
    {
        var handle = (nint)Interlocked.Increment(ref last);
        open[handle] = new(target);
        return handle;
    }

    /// <summary>Leases the object for one call, during which other threads must not use it.</summary>
    public static Lease<T> Use<T>(nint handle) where T : class, IDisposable, INamed
    {
        var entry = Find<T>(handle);
        return new((T)entry.Target, entry);
    }

    /// <summary>Disposes of the object; its handle becomes stale.</summary>
    public static void Free<T>(nint handle) where T : class, IDisposable, INamed
    {
        var entry = Find<T>(handle);        // it stays busy for a caller that found it just before
        open.TryRemove(handle, out _);
        entry.Target.Dispose();
    }

    static Entry Find<T>(nint handle) where T : class, IDisposable, INamed
    {
        if (handle == 0) throw new SaeException($"the handle is null; {T.Name} is needed");
        if (!open.TryGetValue(handle, out var entry))
            throw new SaeException($"the handle is not valid; {T.Name} is needed, and this one was freed or "
                + "never made");
        if (entry.Target is not T)
            throw new SaeException("the handle belongs to "
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

/// <summary>Gives the name of a kind of object for error messages.</summary>
interface INamed
{
    static abstract string Name { get; }
}
