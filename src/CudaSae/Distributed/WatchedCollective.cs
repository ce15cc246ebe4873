namespace CudaSae.Distributed;

/// <summary>Collectives with a limit of time, which a <see cref="Watchdog"/> enforces. A call costs a few writes to
/// memory.</summary>
/// <param name="inner">Owned.</param>
/// <param name="watchdog">Owned.</param>
sealed unsafe class WatchedCollective(ICollective inner, Watchdog watchdog) : ICollective
{
    int trainer = Environment.CurrentManagedThreadId;       // the thread whose waits count

    public int Rank => inner.Rank;
    public int Size => inner.Size;
    public int LocalSize => inner.LocalSize;
    public string Description => inner.Description;

    public void AllToAll(void* send, void* receive, long bytes)
    {
        watchdog.Enter("all-to-all");
        inner.AllToAll(send, receive, bytes);
        watchdog.Leave();
    }

    public void AllGather(void* data, ReadOnlySpan<long> starts)
    {
        watchdog.Enter("all-gather");
        inner.AllGather(data, starts);
        watchdog.Leave();
    }

    public void Broadcast(void* data, long bytes, int root)
    {
        watchdog.Enter("broadcast");
        inner.Broadcast(data, bytes, root);
        watchdog.Leave();
    }

    public void Send(void* data, long bytes, int to)
    {
        watchdog.Enter("send");
        inner.Send(data, bytes, to);
        watchdog.Leave();
    }

    public void Receive(void* data, long bytes, int from)
    {
        watchdog.Enter("receive");
        inner.Receive(data, bytes, from);
        watchdog.Leave();
    }

    public void Sum(Span<long> numbers)
    {
        watchdog.Enter("sum");
        inner.Sum(numbers);
        watchdog.Leave();
    }

    public void Sum(Span<int> numbers)
    {
        watchdog.Enter("sum");
        inner.Sum(numbers);
        watchdog.Leave();
    }

    public void Max(Span<long> numbers)
    {
        watchdog.Enter("maximum");
        inner.Max(numbers);
        watchdog.Leave();
    }

    public void Barrier()
    {
        watchdog.Enter("barrier");
        inner.Barrier();
        watchdog.Leave();
    }

    public void AtStep(long step)
    {
        trainer = Environment.CurrentManagedThreadId;
        watchdog.AtStep(step);
    }

    public void Waiting(string? what)
    {
        if (Environment.CurrentManagedThreadId != trainer) return;
        if (what is null) watchdog.Leave();
        else watchdog.Enter(what);
    }

    public bool WaitsForDevice => inner.WaitsForDevice;

    public bool Failed { get; set; }

    public void Watch(Func<string?> fault) => watchdog.Watch(fault);

    public void WaitsLong(bool begins) => watchdog.WaitsLong = begins;

    public void Abort(int exitCode)
    {
        watchdog.AtAbort();
        watchdog.Enter("abort");
        inner.Abort(exitCode);
        watchdog.Leave();
    }

    public void Dispose()
    {
        watchdog.Enter("finalize");
        inner.Dispose();
        watchdog.Leave();
        watchdog.Dispose();
    }
}
