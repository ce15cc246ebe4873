namespace CudaSae.Distributed;

/// <summary>Ranks that are threads of one process. Each thread uses its own member of <see cref="Group"/>.</summary>
sealed unsafe class ThreadCollective : ICollective
{
    sealed class Shared(int size) : IDisposable
    {
        public readonly Barrier Barrier = new(size);
        public readonly CancellationTokenSource Stop = new();
        public readonly nint[] Data = new nint[size];           // what each rank offers in the current call
        public readonly long[][] Numbers = new long[size][];
        public readonly SemaphoreSlim[] Sent = Slots(size), Taken = Slots(size);    // [from, to]
        public readonly nint[] Message = new nint[size * size];                     // [from, to]
        int members = size;

        static SemaphoreSlim[] Slots(int size) =>
            [.. Enumerable.Range(0, size * size).Select(_ => new SemaphoreSlim(0))];

        public void Leave()
        {
            if (Interlocked.Decrement(ref members) == 0) Dispose();
        }

        public void Dispose()
        {
            Barrier.Dispose();
            Stop.Dispose();
            foreach (var slot in Sent.Concat(Taken)) slot.Dispose();
        }
    }

    readonly Shared shared;

    ThreadCollective(Shared shared, int rank, int size, int machineSize) =>
        (this.shared, Rank, Size, LocalSize) = (shared, rank, size, machineSize);

    /// <summary>Makes the members of a group.</summary>
    /// <param name="machineSize">Ranks that act as those of one machine; 0 for all.</param>
    public static ThreadCollective[] Group(int size, int machineSize = 0)
    {
        var shared = new Shared(size);
        return [.. Enumerable.Range(0, size)
            .Select(rank => new ThreadCollective(shared, rank, size, machineSize > 0 ? machineSize : size))];
    }

    public int Rank { get; }
    public int Size { get; }
    public int LocalSize { get; }
    public string Description => $"{Size} ranks on threads";

    public void AllToAll(void* send, void* receive, long bytes) => Exchange(send, () =>
    {
        for (var p = 0; p < Size; p++)
            Copy((byte*)shared.Data[p] + Rank * bytes, (byte*)receive + p * bytes, bytes);
    });

    public void AllGather(void* data, ReadOnlySpan<long> starts)
    {
        var places = starts.ToArray();
        Exchange(data, () =>
        {
            for (var p = 0; p < Size; p++)
                if (p != Rank)
                    Copy((byte*)shared.Data[p] + places[p], (byte*)data + places[p], places[p + 1] - places[p]);
        });
    }

    public void Broadcast(void* data, long bytes, int root) => Exchange(data, () =>
    {
        if (Rank != root) Copy((byte*)shared.Data[root], (byte*)data, bytes);
    });

    public void Send(void* data, long bytes, int to)
    {
        var slot = Rank * Size + to;
        shared.Message[slot] = (nint)data;
        shared.Sent[slot].Release();
        Guarded(() => shared.Taken[slot].Wait(shared.Stop.Token));
    }

    public void Receive(void* data, long bytes, int from)
    {
        var slot = from * Size + Rank;
        Guarded(() => shared.Sent[slot].Wait(shared.Stop.Token));
        Copy((byte*)shared.Message[slot], (byte*)data, bytes);
        shared.Taken[slot].Release();
    }

    public void Sum(Span<int> numbers)
    {
        var wide = new long[numbers.Length];
        for (var i = 0; i < wide.Length; i++) wide[i] = numbers[i];
        Sum(wide);
        for (var i = 0; i < wide.Length; i++) numbers[i] = checked((int)wide[i]);
    }

    public void Sum(Span<long> numbers) => Combine(numbers, static (a, b) => a + b);

    public void Max(Span<long> numbers) => Combine(numbers, Math.Max);

    void Combine(Span<long> numbers, Func<long, long, long> join)
    {
        shared.Numbers[Rank] = numbers.ToArray();
        Barrier();
        shared.Numbers[0].CopyTo(numbers);
        for (var p = 1; p < Size; p++)
            for (var i = 0; i < numbers.Length; i++) numbers[i] = join(numbers[i], shared.Numbers[p][i]);
        Barrier();
    }

    public void Barrier() => Guarded(() => shared.Barrier.SignalAndWait(shared.Stop.Token));

    public void Abort(int exitCode) => shared.Stop.Cancel();

    /// <summary>Offers data, lets every rank copy, and waits until all have.</summary>
    void Exchange(void* data, Action copy)
    {
        shared.Data[Rank] = (nint)data;
        Barrier();
        copy();
        Barrier();
    }

    static void Guarded(Action wait)
    {
        try { wait(); }
        catch (OperationCanceledException e)
        {
            throw new SaeException("another rank ended the run", e, SaeErrorKind.Device);
        }
    }

    static void Copy(byte* from, byte* to, long bytes) => Buffer.MemoryCopy(from, to, bytes, bytes);

    public void Dispose() => shared.Leave();
}
