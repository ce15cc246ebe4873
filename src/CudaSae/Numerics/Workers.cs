using System.Runtime.ExceptionServices;

namespace CudaSae.Numerics;

/// <summary>Threads that wait between phases. They claim parts from a counter; the result of a part must not depend on
/// the thread that runs it. A phase ends when its parts are done: it does not wait for a thread that has none, so other
/// programs on the same cores delay it little. A call allocates nothing.</summary>
sealed class Workers : IDisposable
{
    const int SpinsBeforeSleep = 2000;      // about 1.5 ms: phases of a step follow each other closely

    readonly Thread[] threads;
    readonly SemaphoreSlim wake = new(0);
    Action<int, int> work = static (_, _) => { };
    long ticket;        // number of the phase << 32 | parts that are not claimed yet
    int parts, pending, sleeping;
    ExceptionDispatchInfo? failure;
    volatile bool stopping;

    /// <summary>Starts the threads.</summary>
    /// <param name="count">Number of threads, the caller's included.</param>
    /// <param name="start">False starts none and only sets <see cref="Count"/>.</param>
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

    /// <summary>Number of threads, the caller's included.</summary>
    public int Count { get; }

    /// <summary>Calls <paramref name="body"/>(part, worker) for every part below <paramref name="count"/>; returns when
    /// all are done. If a part throws, parts that are not claimed yet are left out, and the exception is thrown
    /// here.</summary>
    public void Run(int count, Action<int, int> body)
    {
        if (threads.Length == 0 || count <= 1)
        {
            for (var part = 0; part < count; part++) body(part, 0);
            return;
        }
        (work, parts, pending, failure) = (body, count, count, null);
        Interlocked.Exchange(ref ticket, (Phase(ticket) + 1L) << 32 | (uint)count);
        WakeSleepers();
        Claim(0);
        var spinner = new SpinWait();
        while (Volatile.Read(ref pending) > 0) spinner.SpinOnce(sleep1Threshold: -1);
        failure?.Throw();
    }

    static uint Phase(long ticket) => (uint)(ticket >> 32);

    /// <summary>Claims parts until none is left. The claim of a part keeps its phase open, so
    /// <see cref="work"/> and <see cref="parts"/> are those of the ticket.</summary>
    void Claim(int worker)
    {
        var done = 0;
        for (long seen; (uint)(seen = Volatile.Read(ref ticket)) > 0;)
        {
            if (Interlocked.CompareExchange(ref ticket, seen - 1, seen) != seen) continue;
            try { if (failure is null) work(parts - (int)(uint)seen, worker); }
            catch (Exception e) { Interlocked.CompareExchange(ref failure, ExceptionDispatchInfo.Capture(e), null); }
            done++;
        }
        if (done > 0) Interlocked.Add(ref pending, -done);
    }

    void Loop(int worker)
    {
        for (uint seen = 0; !stopping;)
        {
            for (var spins = 0; Phase(Volatile.Read(ref ticket)) == seen && spins < SpinsBeforeSleep; spins++)
                Thread.SpinWait(20);
            while (Phase(Volatile.Read(ref ticket)) == seen && !stopping) Sleep(seen);
            seen = Phase(Volatile.Read(ref ticket));
            Claim(worker);
        }
    }

    /// <summary>Waits for a signal, unless a phase began before this thread was counted as asleep.</summary>
    void Sleep(uint seen)
    {
        Interlocked.Increment(ref sleeping);
        if (Phase(Volatile.Read(ref ticket)) == seen && !stopping || !Withdraw()) wake.Wait();
    }

    /// <summary>Takes one thread out of the count of sleepers. Returns false if every counted one has a signal, which a
    /// wait must then consume.</summary>
    bool Withdraw()
    {
        for (int count; (count = Volatile.Read(ref sleeping)) > 0;)
            if (Interlocked.CompareExchange(ref sleeping, count - 1, count) == count) return true;
        return false;
    }

    void WakeSleepers()
    {
        if (Volatile.Read(ref sleeping) > 0 && Interlocked.Exchange(ref sleeping, 0) is > 0 and var asleep)
            wake.Release(asleep);
    }

    public void Dispose()
    {
        stopping = true;
        Interlocked.MemoryBarrier();
        WakeSleepers();
        foreach (var thread in threads) thread.Join();
        wake.Dispose();
    }
}
