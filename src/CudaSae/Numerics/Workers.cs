namespace CudaSae.Numerics;

/// <summary>Threads that wait between phases. Parts are claimed from a counter; what a part computes must not depend on
/// who runs it.
/// Nothing is allocated per call.</summary>
sealed class Workers : IDisposable
{
    const int SpinsBeforeSleep = 2000;      // about 50 µs: phases of a step follow each other closely

    readonly Thread[] threads;
    readonly SemaphoreSlim wake = new(0);
    Action<int, int> work = static (_, _) => { };
    int parts, next, running, sleeping, generation;
    Exception? failure;
    volatile bool stopping;

    /// <param name="start">False only counts.</param>
    public Workers(int count, bool start = true)
    {
        Count = Math.Max(1, count);
        threads = new Thread[start ? Count - 1 : 0];
        for (var i = 0; i < threads.Length; i++)
        {
            var worker = i + 1;
            threads[i] = new Thread(() => Loop(worker)) { IsBackground = true, Name = $"cudasae worker {worker}" };
            threads[i].Start();
        }
    }

    /// <summary>Threads, the caller's included.</summary>
    public int Count { get; }

    /// <summary>Calls work(part, worker) for every part below <paramref name="count"/>; returns when all are
    /// done.</summary>
    public void Run(int count, Action<int, int> body)
    {
        if (threads.Length == 0 || count <= 1)
        {
            for (var part = 0; part < count; part++) body(part, 0);
            return;
        }
        work = body;
        parts = count;
        next = 0;
        failure = null;
        Volatile.Write(ref running, threads.Length);
        Interlocked.Increment(ref generation);
        var asleep = Volatile.Read(ref sleeping);
        if (asleep > 0) wake.Release(asleep);
        Claim(0);
        var spinner = new SpinWait();
        while (Volatile.Read(ref running) > 0) spinner.SpinOnce(sleep1Threshold: -1);
        if (failure is { } e) throw new AggregateException(e);
    }

    void Claim(int worker)
    {
        try
        {
            for (int part; (part = Interlocked.Increment(ref next) - 1) < parts;) work(part, worker);
        }
        catch (Exception e)
        {
            Interlocked.CompareExchange(ref failure, e, null);
            Volatile.Write(ref next, parts);
        }
    }

    void Loop(int worker)
    {
        var seen = 0;
        while (true)
        {
            for (var spins = 0; Volatile.Read(ref generation) == seen && spins < SpinsBeforeSleep; spins++)
                Thread.SpinWait(20);
            while (Volatile.Read(ref generation) == seen && !stopping)
            {
                Interlocked.Increment(ref sleeping);
                if (Volatile.Read(ref generation) == seen && !stopping) wake.Wait(50);
                Interlocked.Decrement(ref sleeping);
            }
            if (stopping) return;
            seen = Volatile.Read(ref generation);
            Claim(worker);
            Interlocked.Decrement(ref running);
        }
    }

    public void Dispose()
    {
        stopping = true;
        if (threads.Length > 0) wake.Release(threads.Length);
        foreach (var thread in threads) thread.Join();
        wake.Dispose();
    }
}
